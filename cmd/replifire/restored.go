package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/server"
)

// restoredCommand is for after a managed restore.
type restoredCommand struct {
	server.FirestoreSettings `embed:""`
	Spaces                   []protocol.SpaceID `arg:"" optional:"" help:"The spaces."`
	All                      bool               `help:"All spaces of the database."`
}

// Help is shown above the flags.
func (restoredCommand) Help() string {
	return `Run this with --all after a backup of the database was put back, before clients
are let in. Without it a client that has seen more than the backup holds refuses the
service's answers for ever; with it, it starts afresh. When it fails or is
interrupted, run it again: a space may be marked twice.`
}

// Validate wants either names or --all, so that a forgotten name does nothing.
func (c *restoredCommand) Validate() error {
	if c.All == (len(c.Spaces) > 0) {
		return errors.New("either name spaces or say --all")
	}
	return cmp.Or(checkSpaces(c.Spaces), c.CheckDatabase())
}

// Run marks the spaces as restored. Trouble with one does not keep it from the others.
func (c *restoredCommand) Run(p *program) error {
	return withEngine(p, c.FirestoreSettings, c.mark)
}

// mark goes through the spaces.
func (c *restoredCommand) mark(p *program, e *engine.Engine) error {
	spaces, failed, err := eachSpace(p, e, "restored", c.Spaces, func(id protocol.SpaceID) error {
		head, err := e.Restored(p.ctx, id)
		if errors.Is(err, engine.ErrImporting) {
			return fmt.Errorf("%s; then run replifire restored %s", unfinished(id), id)
		}
		if err != nil {
			return err
		}
		return p.tell(id, head)
	})
	if err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("restored failed in %d of %d spaces: do what is said of them above,"+
			" then run it again for these", failed, spaces)
	}
	if c.All {
		fmt.Fprintf(p.stdout, "%d spaces\n", spaces)
	}
	return nil
}
