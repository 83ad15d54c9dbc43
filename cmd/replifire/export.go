package main

import (
	"errors"
	"fmt"
	"io"

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
The file has its name only when it is whole; until then it is FILE.<number>.partial,
which only a killed export leaves behind: delete it. A backup that was interrupted
starts over, since its moment has passed; one may take an hour at the most. What is a
device or a pipe is written to as it is. The file holds all that users wrote: keep it
as you keep the database.`
}

// Run writes the backup, and on stderr how far it is.
func (c *exportCommand) Run(p *program) error {
	return p.interrupted(c.export(p), fmt.Sprintf("export of space %q", c.Space), "run it again, it starts over")
}

func (c *exportCommand) export(p *program) error {
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

// toFile says on stdout what it wrote, unless stdout may be where that went.
func (c *exportCommand) toFile(p *program, store engine.Store) error {
	out, err := newTarget(c.Output, c.Force)
	if err != nil {
		return err
	}
	var done backup.Summary
	err = out.write(p.ctx, func(w io.Writer) (err error) {
		done, err = write(p, store, c.Space, w)
		return err
	})
	if err != nil || out.through {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "space %q at version %d: %s in %s\n",
		done.Space, done.Version, counts(done.Counts), c.Output)
	return err
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
		return done, fmt.Errorf("space %q cannot be exported: %s", space, unfinished(space))
	case err != nil:
		return done, fmt.Errorf("export of space %q is not whole, run it again: %w", space, err)
	}
	return done, nil
}
