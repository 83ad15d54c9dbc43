package main

import (
	"fmt"

	"github.com/replifire/replifire/engine"
)

// purgeCommand finishes what a reset began.
type purgeCommand struct {
	spaceCommand `embed:""`
}

// Help is shown above the flags.
func (purgeCommand) Help() string {
	return `Deletes from storage what a reset of the space has made invisible and an
interrupted process left behind. Changes nothing that a client can see, and may
run while the service does, be interrupted and be run again.`
}

// Run purges the space and prints how many entries it deleted, also when it could
// not finish.
func (c *purgeCommand) Run(p *program) error {
	store, closeStore, err := c.open(p)
	if err != nil {
		return err
	}
	defer closeStore()
	deleted, err := store.Purge(p.ctx, c.Space)
	if err != nil {
		return fmt.Errorf("purge of space %q was cut short after %d entries, run it again: %w",
			c.Space, deleted, p.cause(err))
	}
	if deleted == 0 { // the name may be mistyped
		snap, err := store.Snapshot(p.ctx, c.Space, engine.Documents{Head: true})
		if err != nil {
			return err
		}
		if !snap.Head().Exists() {
			return p.tell(c.Space, snap.Head())
		}
	}
	_, err = fmt.Fprintf(p.stdout, "space %q: %d entries purged\n", c.Space, deleted)
	return err
}
