package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/server"
)

// gcCommand collects what nobody needs any more.
type gcCommand struct {
	server.FirestoreSettings `embed:""`
	Spaces                   []protocol.SpaceID `arg:"" optional:"" help:"The spaces; all of them if none is named."`
	Retention                time.Duration      `default:"720h" help:"How long a deletion is remembered: a client that was away for longer loads everything anew."`
	DryRun                   bool               `help:"Only say how many deletions are past their time, up to 10000 of a space."`
}

// Help is shown above the flags.
func (gcCommand) Help() string {
	return `Forgets deletions that are older than the retention, and deletes from storage
what nobody can see any more: those, and what resets and deleted spaces have left.
It may run while the service does, be interrupted and be run again. Nothing to
collect in a space costs two or three reads.`
}

// Validate refuses names of no space, and times in the future.
func (c *gcCommand) Validate() error {
	if c.Retention < 0 {
		return errors.New("--retention must not be negative")
	}
	return cmp.Or(checkSpaces(c.Spaces), c.CheckDatabase())
}

// Run collects in space after space and prints what it did in each where there was
// something to do. Trouble with one space does not keep it from the others.
func (c *gcCommand) Run(p *program) error {
	return withEngine(p, c.FirestoreSettings, c.collect)
}

// collect goes through the spaces, and says also of a run that ended early what it did.
func (c *gcCommand) collect(p *program, e *engine.Engine) error {
	var total engine.Collected
	capped, before := false, time.Now().Add(-c.Retention)
	spaces, failed, err := eachSpace(p, e, "gc", c.Spaces, func(id protocol.SpaceID) error {
		done, err := c.one(p, e, id, before)
		total.Tombstones += done.Tombstones
		total.Deleted += done.Deleted
		capped = capped || c.capped(done)
		if err != nil || len(c.Spaces) == 0 || done != (engine.Collected{}) {
			return err
		}
		return c.tellAbsent(p, e, id)
	})
	fmt.Fprintf(p.stdout, "%d spaces: %s\n", spaces, c.summary(total, capped))
	if err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("gc failed in %d of %d spaces", failed, spaces)
	}
	return nil
}

// tellAbsent says so of a name that may be mistyped.
func (c *gcCommand) tellAbsent(p *program, e *engine.Engine, id protocol.SpaceID) error {
	head, err := e.Head(p.ctx, id)
	if err != nil || head.Exists() {
		return err
	}
	return p.tell(id, head)
}

// one collects in a space, or only looks.
func (c *gcCommand) one(
	p *program, e *engine.Engine, id protocol.SpaceID, before time.Time,
) (done engine.Collected, err error) {
	if c.DryRun {
		done.Tombstones, err = e.Expired(p.ctx, id, before)
	} else {
		done, err = e.Collect(p.ctx, id, before)
	}
	if done != (engine.Collected{}) {
		fmt.Fprintf(p.stdout, "space %q: %s\n", id, c.summary(done, c.capped(done)))
	}
	return done, err
}

// capped reports whether there may be more than was counted.
func (c *gcCommand) capped(done engine.Collected) bool {
	return c.DryRun && done.Tombstones >= engine.MaxExpired
}

func (c *gcCommand) summary(done engine.Collected, capped bool) string {
	switch {
	case capped:
		return fmt.Sprintf("%d or more deletions past their time", done.Tombstones)
	case c.DryRun:
		return fmt.Sprintf("%d deletions past their time", done.Tombstones)
	default:
		return fmt.Sprintf("%d deletions forgotten, %d documents deleted", done.Tombstones, done.Deleted)
	}
}

// deleteCommand deletes a space.
type deleteCommand struct {
	spaceCommand `embed:""`
	Yes          bool `help:"Yes, delete it: there is no way back." required:""`
}

// Help is shown above the flags.
func (deleteCommand) Help() string {
	return `Deletes the space in one commit, then what was stored in it. Clients that had it
start afresh, and what they have not pushed yet is lost. What stays is a mark that
the space was deleted, and who owned its client groups. When it fails or is
interrupted, run it again; gc finishes it too.`
}

// Run deletes the space.
func (c *deleteCommand) Run(p *program) error {
	return c.operate(p, operation{
		name: "delete", done: "deleted", do: (*engine.Engine).Delete, interrupted: "run it again",
	})
}
