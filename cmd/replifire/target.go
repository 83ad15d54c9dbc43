package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// target is the file that an export goes to.
type target struct {
	path     string // without links, if it is a file or none yet
	compress bool
	// through: it is a device or a pipe, which is written to as it is.
	through bool
	force   bool // it may exist
}

// newTarget finds reasons not to begin.
func newTarget(name string, force bool) (target, error) {
	t := target{path: name, compress: strings.HasSuffix(name, ".gz"), force: force}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, t.check() // a link to nothing exists
	case err != nil:
		return t, err
	case info.IsDir():
		return t, fmt.Errorf("%s is a directory: name a file in it", name)
	case !info.Mode().IsRegular():
		t.through = true
		return t, nil
	}
	if err := t.check(); err != nil {
		return t, err
	}
	t.path, err = filepath.EvalSymlinks(name)
	return t, err
}

// check refuses what is there already, and a link to nothing also by force.
func (t target) check() error {
	info, err := os.Lstat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(t.path); err != nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a link to nothing: name the file itself, or remove the link", t.path)
	}
	if !t.force {
		return fmt.Errorf("%s exists: --force writes over it", t.path)
	}
	return nil
}

// write has do write into the file, which has its name only when the disk has all of
// it. Until then it is a file of its own beside it: another export may be on its way.
func (t target) write(ctx context.Context, do func(io.Writer) error) error {
	if t.through {
		return t.writeThrough(ctx, do)
	}
	f, err := os.CreateTemp(filepath.Dir(t.path), filepath.Base(t.path)+".*.partial")
	if err != nil {
		return err
	}
	err = errors.Join(t.fill(f, do), f.Close())
	if err == nil {
		err = t.rename(f.Name())
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name())) // it is of no use, and full of content
	}
	return nil
}

// rename looks again, since an export takes its time.
func (t target) rename(partial string) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("nothing was written, since something has appeared meanwhile: %w", err)
	}
	return os.Rename(partial, t.path)
}

// writeThrough ends when ctx does, though a pipe may have no reader, or one that has
// stopped reading.
func (t target) writeThrough(ctx context.Context, do func(io.Writer) error) error {
	var f *os.File
	err := await(ctx, func() (err error) { // of a pipe, the reader is waited for
		f, err = os.OpenFile(t.path, os.O_WRONLY, 0)
		return err
	})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Now()) }) // most devices have none
	defer stop()
	return errors.Join(t.fill(f, do), f.Close())
}

// fill writes until the disk has it.
func (t target) fill(f *os.File, do func(io.Writer) error) error {
	if !t.compress {
		return errors.Join(do(f), t.sync(f))
	}
	z := gzip.NewWriter(f)
	return errors.Join(do(z), z.Close(), t.sync(f))
}

// sync waits for the disk. Most devices and all pipes have none.
func (t target) sync(f *os.File) error {
	err := f.Sync()
	if t.through && (errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)) {
		return nil
	}
	return err
}
