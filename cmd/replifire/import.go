package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
)

// importCommand puts a backup into a space.
type importCommand struct {
	spaceCommand `embed:""`
	File         string `arg:"" optional:"" default:"-" help:"What replifire export has written, compressed or not; - is standard input."`
	Replace      bool   `help:"Replace what the space holds: there is no way back."`
}

// Help is shown above the flags.
func (importCommand) Help() string {
	return `Verifies the whole backup, then puts it into the space. Meanwhile the service
answers pushes and pulls of the space with 503, and nobody sees half of it. An import
that was interrupted leaves the space so: run it again with the same file, and it goes
on where it was; replifire reset gives it up. Clients heal by themselves, also those
that have seen more than the backup holds. Into a space of another name only the
entries are imported.`
}

// Run imports the file, and tells on stderr how far it is.
func (c *importCommand) Run(p *program) error {
	store, closeStore, err := c.open(p)
	if err != nil {
		return err
	}
	defer closeStore()
	file, closeFile, err := openBackup(p.ctx, c.File, p.stdin)
	if err != nil {
		return err
	}
	defer closeFile()
	done, err := backup.Import(p.ctx, store, c.Space, file, backup.Options{
		Replace: c.Replace, Progress: newProgress(p, "imported").tell,
	})
	if err != nil {
		return c.explain(done, err)
	}
	if err := c.print(p, done); err != nil {
		return err
	}
	if _, err := store.Purge(p.ctx, c.Space); err != nil {
		return fmt.Errorf("the import is done, but not all that it replaced is deleted:"+
			" run replifire gc %s: %w", c.Space, err)
	}
	return nil
}

// explain says what became of the space, and what to do.
func (c *importCommand) explain(done backup.Result, err error) error {
	switch {
	case errors.Is(err, backup.ErrNotEmpty):
		return fmt.Errorf("nothing was imported: %w: --replace replaces what it holds", err)
	case !done.Begun && errors.Is(err, engine.ErrConflict):
		return fmt.Errorf("nothing was imported, since others write to space %q all the time:"+
			" run it again when they do less, or stop the service meanwhile: %w", c.Space, err)
	case !done.Begun:
		return fmt.Errorf("nothing was imported: %w", err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("import of space %q was interrupted: run it again, it goes on", c.Space)
	case errors.Is(err, engine.ErrImpossible), errors.Is(err, backup.ErrForeignGroup):
		return fmt.Errorf("import of space %q was broken off, and nobody sees the space:"+
			" replifire reset %s --yes gives it up: %w", c.Space, c.Space, err)
	default:
		return fmt.Errorf("import of space %q was broken off, run it again with the same file, it goes on: %w", c.Space, err)
	}
}

func (c *importCommand) print(p *program, done backup.Result) error {
	what := counts(done.Counts)
	if done.EntriesOnly {
		what = fmt.Sprintf("%d entries (its clients are those of space %q)", done.Entries, done.Space)
	}
	how := ""
	if done.Resumed {
		how = ", going on where an earlier import was broken off"
	}
	_, err := fmt.Fprintf(p.stdout, "space %q is at version %d: imported %s%s\n", c.Space, done.Head.Version, what, how)
	return err
}

// openBackup makes a file of standard input and of what is compressed, since a
// backup is read twice: before anything is changed, and then again.
func openBackup(ctx context.Context, name string, stdin io.Reader) (io.ReadSeeker, func(), error) {
	if name == stdio {
		return spool(ctx, stdin)
	}
	f, err := os.Open(name) //nolint:gosec // The operator's own file, by the name that he gave.
	if err != nil {
		return nil, nil, err
	}
	magic := make([]byte, 2)
	if _, err := io.ReadFull(f, magic); err != nil || !compressed(magic) {
		return f, func() { _ = f.Close() }, nil // it is only read
	}
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, nil, err
	}
	return spool(ctx, f)
}

func compressed(magic []byte) bool { return bytes.Equal(magic, []byte{0x1f, 0x8b}) }

// spool copies into a temporary file, unpacking what is compressed. It returns when ctx
// ends, though nothing can interrupt the reading of a silent terminal or pipe: that
// ends with the program.
func spool(ctx context.Context, r io.Reader) (io.ReadSeeker, func(), error) {
	f, err := os.CreateTemp("", "replifire-import-*")
	if err != nil {
		return nil, nil, err
	}
	_ = os.Remove(f.Name()) // where open files may have no name: then no kill leaves it behind
	remove := func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }
	unpacked := make(chan error, 1)
	go func() { unpacked <- unpack(f, bufio.NewReader(r)) }()
	select {
	case err = <-unpacked:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		remove()
		return nil, nil, fmt.Errorf("nothing was imported: %w", err)
	}
	return f, remove, nil
}

func unpack(w io.Writer, in *bufio.Reader) error {
	var r io.Reader = in
	if magic, err := in.Peek(2); err == nil && compressed(magic) {
		if r, err = gzip.NewReader(in); err != nil {
			return err
		}
	}
	if _, err := io.Copy(w, r); err != nil { //nolint:gosec // As large as what the operator gave.
		return fmt.Errorf("reading the backup: %w", err)
	}
	return nil
}
