package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// stdio is the name of a file that means standard input or output.
const stdio = "-"

// exportCommand writes a backup of a space.
type exportCommand struct {
	spaceCommand `embed:""`
	Output       string `help:"File to write; - is standard output. A name in .gz is compressed." short:"o" default:"-" placeholder:"FILE"`
	Force        bool   `help:"Write over a file that exists."`
}

// Help is shown above the flags.
func (exportCommand) Help() string {
	return `Writes a backup of the space, as it is when the command starts: JSON Lines
that replifire import puts back. Changes nothing, and may run while the service does.
The file has its name only when it is whole; until then it is FILE.partial. A backup
that was interrupted starts over, since its moment has passed; one may take an hour
at the most. The file holds all that users wrote: keep it as you keep the database.`
}

// Run writes the backup, and on stderr how far it is.
func (c *exportCommand) Run(p *program) error {
	store, closeStore, err := c.open(p)
	if err != nil {
		return err
	}
	defer closeStore()
	if c.Output == stdio {
		_, err = write(p, store, c.Space, p.stdout)
		return err
	}
	return c.toFile(p, store)
}

func (c *exportCommand) toFile(p *program, store engine.Store) error {
	if err := c.checkOutput(); err != nil {
		return err
	}
	partial := c.Output + ".partial"
	//nolint:gosec // The operator's own file, by the name that he gave.
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	done, err := writeFile(p, store, c.Space, f, strings.HasSuffix(c.Output, ".gz"))
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(partial)) // it is of no use, and full of content
	}
	if err := os.Rename(partial, c.Output); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	_, err = fmt.Fprintf(p.stdout, "space %q at version %d: %s in %s\n",
		done.Space, done.Version, counts(done.Counts), c.Output)
	return err
}

// checkOutput finds reasons not to begin.
func (c *exportCommand) checkOutput() error {
	info, err := os.Stat(c.Output)
	if err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory: name a file in it", c.Output)
	}
	if _, err := os.Lstat(c.Output); !c.Force && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s exists: --force writes over it", c.Output)
	}
	return nil
}

// writeFile writes until the disk has it.
func writeFile(
	p *program, store engine.Store, space protocol.SpaceID, f *os.File, compress bool,
) (backup.Summary, error) {
	if !compress {
		done, err := write(p, store, space, f)
		return done, errors.Join(err, f.Sync())
	}
	z := gzip.NewWriter(f)
	done, err := write(p, store, space, z)
	return done, errors.Join(err, z.Close(), f.Sync())
}

func write(
	p *program, store engine.Store, space protocol.SpaceID, w io.Writer,
) (backup.Summary, error) {
	progress := newProgress(p, "exported")
	done, err := backup.Write(p.ctx, store, space, w, progress.tell)
	switch {
	case errors.Is(err, backup.ErrNoSpace):
		return done, fmt.Errorf("space %q does not exist", space)
	case errors.Is(err, engine.ErrImporting):
		return done, fmt.Errorf("space %q: %w", space, err)
	case errors.Is(err, context.Canceled):
		return done, fmt.Errorf("export of space %q was interrupted: run it again, it starts over", space)
	case err != nil:
		return done, fmt.Errorf("export of space %q is not whole, run it again: %w", space, err)
	}
	return done, nil
}
