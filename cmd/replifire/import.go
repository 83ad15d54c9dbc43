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
that was interrupted after it had begun leaves the space so: run it again with the same
file and without --replace. It goes on where it was, or says that the space is not empty:
then it was through, and --replace would replace what clients have written since.
replifire reset gives it up. Clients heal by themselves, also those that have seen more
than the backup holds. Into a space of another name only the entries are imported.

What is compressed, a pipe and standard input are copied to the folder for temporary
files (TMPDIR) first, which needs the room of the unpacked backup.`
}

// Run imports the file, and tells on stderr how far it is.
func (c *importCommand) Run(p *program) error {
	store, closeStore, err := c.open(p)
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	defer closeStore()
	file, closeFile, err := openBackup(p.ctx, c.File, p.stdin)
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", p.cause(err))
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
			" run replifire gc %s: %w", c.Space, p.cause(err))
	}
	return nil
}

// explain says what became of the space, and what to do.
func (c *importCommand) explain(done backup.Result, err error) error {
	if !done.Begun {
		return fmt.Errorf("nothing was imported: %w", c.explainNothing(done, err))
	}
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	what := fmt.Sprintf("import of space %q was broken off", c.Space)
	switch {
	case errors.Is(err, engine.ErrConflict):
		return fmt.Errorf("%s, since somebody else, another import or a reset, has taken over the space:"+
			" replifire fsck %s says whether an import is unfinished: %w", what, c.Space, err)
	case errors.Is(err, engine.ErrImpossible), errors.Is(err, backup.ErrForeignGroup):
		return fmt.Errorf("%s, and nobody sees the space: replifire reset %s --yes gives it up: %w", what, c.Space, err)
	case done.Head.Importing != done.SHA256:
		// Its first commit may not be stored, and its last one was not tried: nothing that
		// clients write could be lost by the same command.
		return fmt.Errorf("%s as it began: run the same command again: %w", what, err)
	default:
		return fmt.Errorf("%s: run it again with the same file, without --replace: it goes on, or says that the"+
			" space is not empty, and so that it was through (then replifire gc %s): %w", what, c.Space, err)
	}
}

// explainNothing says why an import has not begun.
func (c *importCommand) explainNothing(done backup.Result, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, engine.ErrConflict):
		return fmt.Errorf("others write to space %q all the time: run it again when they do less,"+
			" or stop the service meanwhile: %w", c.Space, err)
	case errors.Is(err, backup.ErrNotEmpty) && done.Head.Importing == "":
		return fmt.Errorf("%w: --replace replaces what it holds; but if you run an import again that was broken off"+
			" after it had begun, it was through: run replifire gc %s", err, c.Space)
	case errors.Is(err, backup.ErrNotEmpty):
		return fmt.Errorf("%w: --replace starts over with this one", err)
	default:
		return err
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

// openBackup makes a file of standard input, of pipes and their like, and of what is
// compressed, since a backup is read twice: before anything is changed, and then again.
func openBackup(ctx context.Context, name string, stdin io.Reader) (io.ReadSeeker, func(), error) {
	if name == stdio {
		return spool(ctx, func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil })
	}
	//nolint:gosec // The operator's own file, by the name that he gave.
	open := func() (io.ReadCloser, error) { return os.Open(name) }
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return spool(ctx, open)
	}
	f, err := os.Open(name) //nolint:gosec // See above.
	if err != nil {
		return nil, nil, err
	}
	magic := make([]byte, 2)
	if _, err := io.ReadFull(f, magic); err == nil && compressed(magic) {
		_ = f.Close() // it is only read
		return spool(ctx, open)
	}
	return f, func() { _ = f.Close() }, nil
}

func compressed(magic []byte) bool { return bytes.Equal(magic, []byte{0x1f, 0x8b}) }

// spool copies into a temporary file, unpacking what is compressed. It returns when ctx
// ends.
func spool(ctx context.Context, open func() (io.ReadCloser, error)) (io.ReadSeeker, func(), error) {
	f, err := os.CreateTemp("", "replifire-import-*")
	if err != nil {
		return nil, nil, noCopy(err)
	}
	_ = os.Remove(f.Name()) // where open files may have no name: then no kill leaves it behind
	remove := func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }
	if err := await(ctx, func() error { return unpack(temporary{f}, open) }); err != nil {
		remove()
		return nil, nil, err
	}
	return f, remove, nil
}

func unpack(w io.Writer, open func() (io.ReadCloser, error)) error {
	file, err := open()
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	var r io.Reader = in
	if magic, err := in.Peek(2); err == nil && compressed(magic) {
		if r, err = gzip.NewReader(in); err != nil {
			return unreadable(err)
		}
	}
	_, err = io.Copy(w, r) //nolint:gosec // As large as what the operator gave.
	return unreadable(err)
}

// unreadable says what a decompressor means by an end that it did not expect.
func unreadable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the compressed backup ends too early, a part of it is missing: %w", err)
	}
	return err
}

// temporary is a file that a backup is copied to.
type temporary struct{ f *os.File }

// Write tells the copy's trouble from the backup's.
func (t temporary) Write(p []byte) (int, error) {
	n, err := t.f.Write(p)
	if err != nil {
		err = noCopy(err)
	}
	return n, err
}

func noCopy(err error) error {
	return fmt.Errorf("a copy of the backup goes to the folder for temporary files, which TMPDIR names,"+
		" and needs the room of the unpacked backup: %w", err)
}
