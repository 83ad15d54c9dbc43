package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
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
	return checkSpaces(c.Spaces)
}

// Run marks the spaces as restored. Trouble with one does not keep it from the others.
func (c *restoredCommand) Run(p *program) error {
	store, err := c.Open(p.ctx)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // nothing is written on close
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	e := engine.New(store, mutate.NewRegistry(), engine.Options{Logger: log})
	return errors.Join(c.mark(p, e), e.Close(p.ctx))
}

// mark goes through the spaces.
func (c *restoredCommand) mark(p *program, e *engine.Engine) error {
	spaces, failed := 0, 0
	for id, err := range spacesOf(p, e, c.Spaces) {
		if err != nil {
			return fmt.Errorf("listing the spaces was cut short after %d, run it again: %w", spaces, err)
		}
		err := markOne(p, e, id)
		if p.ctx.Err() != nil {
			return fmt.Errorf("restored was cut short in space %q, run it again: %w", id, p.ctx.Err())
		}
		if err != nil {
			failed++
			fmt.Fprintf(p.stderr, "space %q: %v\n", id, err)
		}
		spaces++
	}
	if failed > 0 {
		return fmt.Errorf("restored failed in %d of %d spaces, run it again", failed, spaces)
	}
	if c.All {
		fmt.Fprintf(p.stdout, "%d spaces\n", spaces)
	}
	return nil
}

func markOne(p *program, e *engine.Engine, id protocol.SpaceID) error {
	head, err := e.Restored(p.ctx, id)
	if err != nil {
		return err
	}
	return p.tell(id, head)
}
