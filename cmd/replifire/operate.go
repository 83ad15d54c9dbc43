package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

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

// Validate refuses what no space is called, and settings that name no database.
func (c *spaceCommand) Validate() error {
	if err := protocol.CheckID(c.Space); err != nil {
		return fmt.Errorf("<space> %w", err)
	}
	return c.CheckDatabase()
}

// open opens the store.
func (c *spaceCommand) open(p *program) (store, func(), error) {
	return openStore(p, c.FirestoreSettings)
}

// operation changes a space as a whole.
type operation struct {
	name, done string // reset, so that the space is empty
	// interrupted is what to do when nobody knows whether it is done.
	interrupted string
	do          func(*engine.Engine, context.Context, protocol.SpaceID) (engine.Head, error)
}

// operate has an engine do something to the space, removes from storage what nobody can
// see any more, and prints the new head.
func (c *spaceCommand) operate(p *program, o operation) error {
	store, closeStore, err := c.open(p)
	if err != nil {
		return err
	}
	defer closeStore()
	e := newEngine(p, store)
	head, err := o.do(e, p.ctx, c.Space)
	// The engine purges by itself, and only logs how that went. Whether all is gone is for
	// the purge here to say, also when the context ended the other one.
	_ = e.Close(p.ctx)
	if err != nil {
		return p.interrupted(err, fmt.Sprintf("%s of space %q", o.name, c.Space), o.interrupted)
	}
	if _, err := store.Purge(p.ctx, c.Space); err != nil {
		return fmt.Errorf("space %q is %s, but not all of it is removed from storage:"+
			" run replifire gc %s: %w", c.Space, o.done, c.Space, p.cause(err))
	}
	return p.tell(c.Space, head)
}

// newEngine makes an engine without mutators, which is enough for operators.
func newEngine(p *program, s engine.Store) *engine.Engine {
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	return engine.New(s, mutate.NewRegistry(), engine.Options{Logger: log})
}

// withEngine opens the store for a command that goes through many spaces.
func withEngine(
	p *program, settings server.FirestoreSettings, do func(*program, *engine.Engine) error,
) error {
	store, closeStore, err := openStore(p, settings)
	if err != nil {
		return err
	}
	defer closeStore()
	e := newEngine(p, store)
	err = do(p, e)
	return cmp.Or(err, e.Close(p.ctx)) // after a signal both say the same
}

// progressEvery is how often a long run says where it is.
const progressEvery = 10 * time.Second

// eachSpace does something in space after space, those that were named or all. Trouble
// with one is printed, counted as failed, and does not keep it from the others.
func eachSpace(
	p *program, e *engine.Engine, command string, named []protocol.SpaceID, do func(protocol.SpaceID) error,
) (spaces, failed int, err error) {
	told := time.Now()
	for id, err := range spacesOf(p, e, named) {
		if err != nil {
			return spaces, failed, fmt.Errorf("listing the spaces was cut short after %d, run it again: %w",
				spaces, p.cause(err))
		}
		err = do(id)
		if p.ctx.Err() != nil {
			return spaces, failed, fmt.Errorf("%s was interrupted in space %q: run it again", command, id)
		}
		if err != nil {
			failed++
			fmt.Fprintf(p.stderr, "space %q: %v\n", id, err)
		}
		spaces++
		if time.Since(told) > progressEvery {
			told = time.Now()
			fmt.Fprintf(p.stderr, "%d spaces so far, now at %q\n", spaces, id)
		}
	}
	return spaces, failed, nil
}

// unfinished says how to end an import that stands in the way.
func unfinished(id protocol.SpaceID) string {
	return fmt.Sprintf("its import is not finished: run that again with the same file (replifire import %s FILE), or"+
		" give it up with replifire reset %s --yes, which empties the space", id, id)
}

// tell prints the head of a space.
func (p *program) tell(id protocol.SpaceID, head engine.Head) error {
	if !head.Exists() {
		_, err := fmt.Fprintf(p.stdout, "space %q does not exist: nothing to do\n", id)
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "space %q is at version %d, epoch %s\n", id, head.Version, head.Epoch)
	return err
}

// checkSpaces finds a name that no space can have.
func checkSpaces(named []protocol.SpaceID) error {
	for _, id := range named {
		if err := protocol.CheckID(id); err != nil {
			return fmt.Errorf("space %w", err)
		}
	}
	return nil
}

// spacesOf are those that were named, each once, or all of the database if none was.
func spacesOf(p *program, e *engine.Engine, named []protocol.SpaceID) iter.Seq2[protocol.SpaceID, error] {
	if len(named) == 0 {
		return e.Spaces(p.ctx, "")
	}
	return func(yield func(protocol.SpaceID, error) bool) {
		for i, id := range named {
			if slices.Contains(named[:i], id) {
				continue
			}
			if !yield(id, nil) {
				return
			}
		}
	}
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
func (c *resetCommand) Run(p *program) error {
	return c.operate(p, operation{
		name: "reset", done: "empty", do: (*engine.Engine).Reset,
		interrupted: fmt.Sprintf("replifire fsck %s says whether it is done;"+
			" running it again empties the space again", c.Space),
	})
}
