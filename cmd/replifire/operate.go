package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/server"
)

// spaceCommand is what the operators' commands share: a space of a database.
type spaceCommand struct {
	server.FirestoreSettings `embed:""`
	Space                    protocol.SpaceID `arg:"" help:"The space."`
}

// store is what the commands need of a store.
type store interface {
	engine.Store
	Members() members.Directory
}

// open makes the store. The memory store is of no use here: it is another
// process's.
func (c *spaceCommand) open(p *program) (store, func(), error) {
	if err := protocol.CheckID(c.Space); err != nil {
		return nil, nil, fmt.Errorf("space %w", err)
	}
	s, err := c.Open(p.ctx)
	if err != nil {
		return nil, nil, err
	}
	return s, func() { _ = s.Close() }, nil // nothing is written on close
}

// operation is a method of the engine that changes a space as a whole.
type operation func(*engine.Engine, context.Context, protocol.SpaceID) (engine.Head, error)

// operate has an engine do something to the space and prints the new head.
func (c *spaceCommand) operate(p *program, do operation) error {
	store, closeStore, err := c.open(p)
	if err != nil {
		return err
	}
	defer closeStore()
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	e := engine.New(store, mutate.NewRegistry(), engine.Options{Logger: log})
	head, err := do(e, p.ctx, c.Space)
	if err := errors.Join(err, e.Close(p.ctx)); err != nil {
		return err
	}
	if !head.Exists() {
		_, err = fmt.Fprintf(p.stdout, "space %q does not exist: nothing to do\n", c.Space)
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "space %q is at version %d, epoch %s\n", c.Space, head.Version, head.Epoch)
	return err
}

// resetCommand empties a space.
type resetCommand struct {
	spaceCommand `embed:""`
	Yes          bool `help:"Yes, empty it: there is no way back." required:""`
}

// Help is shown above the flags.
func (resetCommand) Help() string {
	return `Empties the space in one commit, then deletes what was in it. Clients hear
of it and drop their copies; changes they have not pushed yet are applied to the
empty space.`
}

// Run resets the space.
func (c *resetCommand) Run(p *program) error { return c.operate(p, (*engine.Engine).Reset) }

// restoredCommand is for after a managed restore.
type restoredCommand struct {
	spaceCommand `embed:""`
}

// Help is shown above the flags.
func (restoredCommand) Help() string {
	return `Run this once for each space after a backup of the database was put back,
before clients are let in. Without it a client that has seen more than the backup
holds refuses the service's answers for ever; with it, it starts afresh.`
}

// Run marks the space as restored.
func (c *restoredCommand) Run(p *program) error { return c.operate(p, (*engine.Engine).Restored) }
