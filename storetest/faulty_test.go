package storetest_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

func TestFaultyCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault    storetest.Fault
		kind     error
		applied  bool
		released bool // after Release
	}{
		"no fault":            {storetest.NoFault, nil, true, true},
		"not applied":         {storetest.NotApplied, engine.ErrUnavailable, false, false},
		"unknown not applied": {storetest.UnknownNotApplied, engine.ErrUnknownOutcome, false, false},
		"unknown applied":     {storetest.UnknownApplied, engine.ErrUnknownOutcome, true, true},
		"unknown held":        {storetest.UnknownHeld, engine.ErrUnknownOutcome, false, true},
		"conflict":            {storetest.Conflict, engine.ErrConflict, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := storetest.NewFaulty(memory.New())
			store.Next(storetest.MethodCommit, c.fault)
			_, err := store.Commit(t.Context(), "s", storetest.Step(engine.Head{}))
			if !errors.Is(err, c.kind) {
				t.Errorf("got error %v, want %v", err, c.kind)
			}
			if got := exists(t, store); got != c.applied {
				t.Errorf("applied %t, want %t", got, c.applied)
			}
			if err := errors.Join(store.Release(t.Context())...); err != nil {
				t.Errorf("release: %v", err)
			}
			if got := exists(t, store); got != c.released {
				t.Errorf("applied after Release %t, want %t", got, c.released)
			}
			storetest.MustFsck(t, store, "s")
		})
	}
}

func exists(t *testing.T, store engine.Store) bool {
	t.Helper()
	snap, err := store.Snapshot(t.Context(), "s", engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	return snap.Head().Exists()
}

func TestFaultyCommitFails(t *testing.T) {
	t.Parallel()
	store := storetest.NewFaulty(memory.New())
	head, err := store.Commit(t.Context(), "s", storetest.Step(engine.Head{}))
	if err != nil {
		t.Fatal(err)
	}
	// A lost reply cannot hide what a store that never applied it would say.
	store.Next(storetest.MethodCommit, storetest.UnknownApplied, storetest.UnknownHeld)
	stale := storetest.Step(engine.Head{})
	if _, err := store.Commit(t.Context(), "s", stale); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("stale commit: error %v, want %v", err, engine.ErrConflict)
	}
	held := storetest.Step(head)
	if _, err := store.Commit(t.Context(), "s", held); !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Errorf("held commit: error %v, want %v", err, engine.ErrUnknownOutcome)
	}
	if _, err := store.Commit(t.Context(), "s", storetest.Step(head)); err != nil {
		t.Errorf("commit that overtakes: %v", err)
	}
	errs := store.Release(t.Context())
	if len(errs) != 1 || !errors.Is(errs[0], engine.ErrConflict) {
		t.Errorf("release: %v, want one %v", errs, engine.ErrConflict)
	}
}

func TestFaultyReads(t *testing.T) {
	t.Parallel()
	store := storetest.NewFaulty(memory.New())
	c := storetest.Step(engine.Head{}, storetest.Put("a", `1`), storetest.Put("b", `1`),
		storetest.Del("c"), storetest.Group("g", "u", "s"), storetest.Client("x", "g", 1), storetest.Client("y", "g", 1))
	if _, err := store.Commit(t.Context(), "s", c); err != nil {
		t.Fatal(err)
	}
	snap, err := store.Snapshot(t.Context(), "s", engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, call := range map[storetest.Method]func() (items int, err error){
		storetest.MethodSnapshot: func() (int, error) {
			_, err := store.Snapshot(t.Context(), "s", engine.Documents{})
			return 1, err
		},
		storetest.MethodWatch: func() (int, error) {
			err := store.Watch(ctx, "s", func(engine.Head) {})
			if errors.Is(err, context.Canceled) {
				err = nil
			}
			return 1, err
		},
		storetest.MethodPurge: func() (int, error) { return store.Purge(t.Context(), "s") },
		storetest.MethodExpired: func() (int, error) {
			found, err := store.Expired(t.Context(), "s", time.Now(), 10)
			return found.Tombstones, err
		},
		storetest.MethodSpaces: func() (int, error) {
			ids, err := store.Spaces(t.Context(), "", 10)
			return len(ids), err
		},
		storetest.MethodPing: func() (int, error) { return 1, store.Ping(t.Context()) },
		storetest.MethodRange: func() (int, error) {
			entries, err := snap.Range(t.Context(), engine.Range{})
			return len(entries), err
		},
		storetest.MethodEntries: func() (int, error) { return count(snap.Entries(t.Context(), 0)) },
		storetest.MethodClients: func() (int, error) { return count(snap.Clients(t.Context(), "g", 0)) },
	} {
		before := store.Calls(method)
		store.Next(method, storetest.NotApplied, storetest.NoFault)
		items, err := call()
		if !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s: error %v, want %v", method, err, engine.ErrUnavailable)
		}
		breaks := method == storetest.MethodEntries || method == storetest.MethodClients
		if breaks && items != 1 {
			t.Errorf("%s: %d items before it broke, want 1", method, items)
		}
		if _, err := call(); err != nil {
			t.Errorf("%s without a fault: %v", method, err)
		}
		if got := store.Calls(method) - before; got != 2 {
			t.Errorf("%s: %d calls counted, want 2", method, got)
		}
		if n := store.Pending(method); n != 0 {
			t.Errorf("%s: %d faults left, want 0", method, n)
		}
	}
}

func count[T any](all iter.Seq2[T, error]) (int, error) {
	n := 0
	for _, err := range all {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func TestStep(t *testing.T) {
	t.Parallel()
	c := storetest.Step(engine.Head{}, storetest.Put("a", `1`), storetest.Del("b"),
		storetest.Group("g", "u", "s"), storetest.Client("c", "g", 3))
	head, err := memory.New().Commit(t.Context(), "s", c)
	if err != nil {
		t.Fatal(err)
	}
	next := storetest.Step(head, storetest.Reset(), storetest.Client("c", "g", 4))
	if next.Prev != head || next.Next.Version != 2 || next.Clients[0].Version != 2 {
		t.Errorf("second step %+v, want version 2 after %+v", next, head)
	}
	if n := next.Next; n.Base != 2 || n.Floor != 2 || n.Epoch == head.Epoch || n.Nonce == head.Nonce {
		t.Errorf("head %+v after a reset of %+v", n, head)
	}
	if !next.Next.CreatedAt.Equal(head.CreatedAt) || next.Next.UpdatedAt.Equal(head.UpdatedAt) {
		t.Errorf("times %+v after %+v", next.Next, head)
	}
}

// recorder is a testing.TB that takes note of failures.
type recorder struct {
	testing.TB
	failures int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failures++ }

func TestMustFsck(t *testing.T) {
	t.Parallel()
	store := storetest.NewFaulty(memory.New())
	// A client whose group nobody created: no store can see it in one commit.
	c := storetest.Step(engine.Head{}, storetest.Client("c", "nowhere", 1))
	if _, err := store.Commit(t.Context(), "broken", c); err != nil {
		t.Fatal(err)
	}
	got := map[protocol.SpaceID]int{}
	for _, space := range []protocol.SpaceID{"broken", "absent", "unread"} {
		if space == "unread" {
			store.Next(storetest.MethodSnapshot, storetest.NotApplied)
		}
		r := &recorder{TB: t}
		storetest.MustFsck(r, store, space)
		got[space] = r.failures
	}
	want := map[protocol.SpaceID]int{"broken": 1, "absent": 0, "unread": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}
