package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/storetest"
)

// say is what writes a text.
func say(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func newTestTarget(t *testing.T, name string, force bool) target {
	t.Helper()
	to, err := newTarget(name, force)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// expectFile wants a text in a file, and nothing else in its folder but the names.
func expectFile(t *testing.T, name, want string, names int) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
	}
	if all, err := os.ReadDir(filepath.Dir(name)); err != nil || len(all) != names {
		t.Errorf("there are %v, %v, want %d", all, err, names)
	}
}

// TestTwoExportsToOneFile: one has it, whole, and the other says that it has not.
func TestTwoExportsToOneFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "f")
	first, second := newTestTarget(t, name, false), newTestTarget(t, name, false)
	err := first.write(t.Context(), func(w io.Writer) error {
		if err := second.write(t.Context(), say("second")); err != nil {
			t.Error(err)
		}
		return say("the first")(w)
	})
	if err == nil || !strings.Contains(err.Error(), "nothing was written") || !strings.Contains(err.Error(), "--force") {
		t.Errorf("got %v, want that the file exists", err)
	}
	expectFile(t, name, "second", 1)

	first, second = newTestTarget(t, name, true), newTestTarget(t, name, true)
	err = first.write(t.Context(), func(w io.Writer) error {
		return errors.Join(second.write(t.Context(), say("second")), say("the first")(w))
	})
	if err != nil {
		t.Error(err)
	}
	expectFile(t, name, "the first", 1)
}

// TestOldPartial: what lies beside the file is not touched, whatever leads from it.
func TestOldPartial(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "f")
	old := name + ".partial"
	if err := os.WriteFile(old, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := newTestTarget(t, name, false).write(t.Context(), say("new")); err != nil {
		t.Error(err)
	}
	expectFile(t, name, "new", 2)
	expectFile(t, old, "old", 2)
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	boom := errors.New("boom")
	fail := func(io.Writer) error { return boom }
	if err := newTestTarget(t, name, true).write(t.Context(), fail); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	expectFile(t, name, "new", 2)
}

// TestLinks: the file that a link leads to is written, and the link stays.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(t.TempDir(), "file"), filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		if _, err := newTarget(link, force); err == nil || !strings.Contains(err.Error(), "is a link to nothing") {
			t.Errorf("force %t: got %v, want a link to nothing", force, err)
		}
	}
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newTarget(link, false); err == nil || !strings.Contains(err.Error(), "--force writes over it") {
		t.Errorf("got %v, want that the file exists", err)
	}
	if err := newTestTarget(t, link, true).write(t.Context(), say("new")); err != nil {
		t.Error(err)
	}
	expectFile(t, file, "new", 1)
	if to, err := os.Readlink(link); err != nil || to != file {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

// TestExportIntoASilentPipe ends when it is told to, whether nobody reads or somebody has
// stopped.
func TestExportIntoASilentPipe(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	d.change(t, storetest.Put("large", `"`+strings.Repeat("x", 200_000)+`"`)) // more than a pipe holds
	for _, stalled := range []bool{false, true} {
		t.Run(fmt.Sprintf("stalled %t", stalled), func(t *testing.T) {
			t.Parallel()
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Skip(err)
			}
			open := func() *os.File {
				f, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			if stalled {
				defer open().Close()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			code, stdout, stderr := execute(ctx, d.environment(), "export", "s", "-o", pipe)
			if code != 1 || stdout != "" || !strings.Contains(stderr, "was interrupted: run it again, it starts over") {
				t.Errorf("export exits with %d, prints %q, %q", code, stdout, stderr)
			}
			_ = open().Close() // for the one that waits to be opened
		})
	}
}

// TestExportIntoAPipe needs no --force, replaces nothing and prints nothing beside it.
func TestExportIntoAPipe(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	for _, name := range []string{"pipe", "pipe.gz"} {
		pipe := filepath.Join(t.TempDir(), name)
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Skip(err)
		}
		var got []byte
		var wg sync.WaitGroup
		wg.Go(func() { got, _ = os.ReadFile(pipe) })
		code, stdout, stderr := execute(t.Context(), d.environment(), "export", "s", "-o", pipe)
		if code != 0 || stdout != "" || stderr != "" {
			t.Fatalf("export exits with %d, prints %q, %q", code, stdout, stderr)
		}
		wg.Wait()
		var r io.Reader = bytes.NewReader(got)
		if strings.HasSuffix(name, ".gz") {
			var err error
			if r, err = gzip.NewReader(r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := backup.Verify(r); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(pipe); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
			t.Errorf("it is %v, %v afterwards", info.Mode(), err)
		}
	}
	if code, _, stderr := execute(t.Context(), d.environment(), "export", "s", "-o", "/dev/null"); code != 0 {
		t.Errorf("export to nowhere exits with %d, prints %q", code, stderr)
	}
}
