package engine

import (
	"context"
	"iter"
	"time"

	"github.com/replifire/replifire/protocol"
)

// MaxExpired is how many tombstones Collect gives up by one commit, and deletes before
// it looks for the next ones. Expired counts no further.
const MaxExpired = 10_000

// Collected is what Collect has done, also when it could not finish.
type Collected struct {
	// Tombstones is how many were past their time.
	Tombstones int
	// Deleted is how many documents were removed from storage: tombstones, and what
	// an interrupted collection, reset or deletion had left.
	Deleted int
}

// Collect removes the tombstones that were made before a time, and whatever else of
// the space nobody can see any more. First a commit raises the space's floor, so that
// a client whose cookie is below it gets everything anew; then what is below is
// deleted. A space with nothing to collect is not changed, nor is one nobody has
// written to.
//
// It is safe beside everything else, in any number of processes, may be
// interrupted at any point and run again. Fails as Store.Expired, Store.Purge and
// Reset do.
func (e *Engine) Collect(ctx context.Context, id protocol.SpaceID, before time.Time) (Collected, error) {
	var done Collected
	for {
		n, err := e.store.Purge(ctx, id)
		done.Deleted += n
		if err != nil {
			return done, err
		}
		found, err := e.store.Expired(ctx, id, before, MaxExpired)
		if err != nil || found.Tombstones == 0 {
			return done, err
		}
		raised, err := e.raise(ctx, id, found.Floor)
		if err != nil || !raised {
			return done, err
		}
		done.Tombstones += found.Tombstones
	}
}

// raise moves the floor up to a version, and reports whether it was below. A version
// that the space has not reached is another history's.
func (e *Engine) raise(ctx context.Context, id protocol.SpaceID, floor int64) (bool, error) {
	needless := func(h Head) bool { return h.Floor >= floor || h.Version < floor }
	op := &operation{skip: needless, head: func(next *Head) { next.Floor = floor }}
	_, err := e.operate(ctx, id, op)
	return err == nil && len(op.nonces) > 0, err
}

// Delete makes the space one that holds nothing: its entries and clients become
// invisible in one commit whatever their number, and are deleted from storage in the
// background, with whatever else is stored in the space; Collect finishes what is
// left of that. The client groups of before get ClientStateNotFound from then on, so
// that their clients start afresh and nothing they still have to push comes back to
// life. What remains for ever is the head, a document of some 300 bytes, and the
// groups. The space may be written to again, by new groups. Deleting a deleted space,
// or one nobody has written to, changes nothing.
func (e *Engine) Delete(ctx context.Context, id protocol.SpaceID) (Head, error) {
	op := &operation{skip: Head.Deleted, head: func(next *Head) {
		next.Epoch = e.chance.epoch()
		next.Base, next.Floor, next.DeletedVersion = next.Version, next.Version, next.Version
		next.DeletedAt = next.UpdatedAt
	}}
	head, err := e.operate(ctx, id, op)
	if err != nil || !head.Exists() {
		return head, err
	}
	e.purge(id)
	return head, nil
}

// spacesPage is how many spaces are listed at once.
const spacesPage = 300

// Spaces yields the spaces that were ever written to, deleted ones too, in an order
// that never changes: those behind after, from the first if that is "". What is done
// meanwhile may take any time, since it reads by pages. An error is yielded once, last.
func (e *Engine) Spaces(ctx context.Context, after protocol.SpaceID) iter.Seq2[protocol.SpaceID, error] {
	return func(yield func(protocol.SpaceID, error) bool) {
		for {
			page, err := e.store.Spaces(ctx, after, spacesPage)
			if err != nil {
				yield("", err)
				return
			}
			for _, id := range page {
				if !yield(id, nil) {
					return
				}
				after = id
			}
			if len(page) < spacesPage {
				return
			}
		}
	}
}

// Expired says how many tombstones of the space Collect would give up next, MaxExpired
// if there are as many or more.
func (e *Engine) Expired(ctx context.Context, id protocol.SpaceID, before time.Time) (int, error) {
	found, err := e.store.Expired(ctx, id, before, MaxExpired)
	return found.Tombstones, err
}
