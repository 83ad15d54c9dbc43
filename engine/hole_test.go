package engine_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// between is a store that lets something happen in the middle of one pull: after its
// head was read, and before memory is asked for what has changed.
type between struct {
	engine.Store
	group protocol.ClientGroupID // of the pull
	event func()                 // happens once
}

func (b *between) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	snap, err := b.Store.Snapshot(ctx, id, d)
	return &betweenSnapshot{Snapshot: snap, store: b}, err
}

type betweenSnapshot struct {
	engine.Snapshot
	store *between
}

// Group is what a pull asks of the snapshot it has got, and nobody else does.
func (s *betweenSnapshot) Group(id protocol.ClientGroupID) (engine.ClientGroup, bool) {
	if event := s.store.event; event != nil && id == s.store.group {
		s.store.event = nil
		event()
	}
	return s.Snapshot.Group(id)
}

// TestTailEndsBelowARaisedFloor: while a pull is under way, another instance deletes an
// entry, and collects the tombstone, of which this instance's memory has seen nothing.
// A neighbour's pull takes that memory to the present. The pull, whose own head is of
// before, must not be told that nothing was deleted.
func TestTailEndsBelowARaisedFloor(t *testing.T) {
	t.Parallel()
	base := fresh(t)
	store := &between{Store: base, group: "g1"}
	here, there := start(t, store, engine.Options{}), start(t, base, engine.Options{})
	mustPush(t, there, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "put", put{"b", 2}))
	v, neighbour := newView(), newView()
	v.pull(t, there, alice, "g1")
	mustPush(t, there, alice, "g2", mutation("d", 1, "put", put{"c", 3}))
	neighbour.pull(t, here, alice, "g2")

	happened := false
	store.event = func() {
		mustPush(t, there, alice, "g2", mutation("d", 2, "del", "b"))
		mustCollect(t, there, engine.Collected{Tombstones: 1, Deleted: 1})
		neighbour.pull(t, here, alice, "g2")
		happened = true
	}
	v.pull(t, here, alice, "g1")
	v.pull(t, here, alice, "g1")
	if !happened {
		t.Error("the pull asked its snapshot for no group")
	}
	for name, who := range map[string]*view{"under way": v, "neighbour": neighbour} {
		if diff := cmp.Diff(map[string]string{"a": `1`, "c": `3`}, who.entries); diff != "" {
			t.Errorf("%s: entries (-want +got):\n%s", name, diff)
		}
	}
}
