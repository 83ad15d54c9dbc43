package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// mark commits, as another process would, that an import is under way, or that it is
// over.
func mark(t *testing.T, store engine.Store, name string) {
	t.Helper()
	snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Commit(t.Context(), space, storetest.Step(snap.Head(), func(c *engine.Commit) {
		c.Next.Importing = name
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// TestImporting: nobody sees or changes a space that a backup is being put into, and
// afterwards all go on.
func TestImporting(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	warm, cold := start(t, store, engine.Options{}), start(t, store, engine.Options{})
	mustPush(t, warm, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, warm, alice, "g1")
	mark(t, store, "backup")
	for name, e := range map[string]*engine.Engine{"warm": warm, "cold": cold} {
		for range 2 {
			push := pushOf("g1", mutation("c", 2, "put", put{"b", 2}))
			if err := e.Push(t.Context(), alice, push); !errors.Is(err, engine.ErrImporting) {
				t.Errorf("%s: push: %v", name, err)
			}
			again := pushOf("g1", mutation("c", 1, "put", put{"a", 1}))
			if err := e.Push(t.Context(), alice, again); !errors.Is(err, engine.ErrImporting) {
				t.Errorf("%s: push of what is done: %v", name, err)
			}
			if _, err := e.Applied(t.Context(), alice, "g1", []protocol.ClientID{"c"}); !errors.Is(err, engine.ErrImporting) {
				t.Errorf("%s: question what is applied: %v", name, err)
			}
			if err := v.tryPull(t, e, alice, "g1"); !errors.Is(err, engine.ErrImporting) {
				t.Errorf("%s: pull: %v", name, err)
			}
			if err := newView().tryPull(t, e, bob, "g9"); !errors.Is(err, engine.ErrImporting) {
				t.Errorf("%s: pull of a new client: %v", name, err)
			}
			req := &protocol.PullRequest{Version: 0, ClientID: "c", ClientGroupID: "g1", Cookie: v.cookie}
			if _, err := e.Pull(t.Context(), alice, req); !errors.Is(err, engine.ErrImporting) {
				t.Errorf("%s: pull of version 0: %v", name, err)
			}
			set := func(_ context.Context, tx mutate.WriteTransaction) error { return tx.Set("x", 1) }
			if _, err := e.Write(t.Context(), space, set); !errors.Is(err, engine.ErrImporting) {
				t.Errorf("%s: Write: %v", name, err)
			}
			if _, err := e.Restored(t.Context(), space); !errors.Is(err, engine.ErrImporting) {
				t.Errorf("%s: Restored: %v", name, err)
			}
		}
	}
	mark(t, store, "")
	mustPush(t, warm, alice, "g1", mutation("c", 2, "put", put{"b", 2}))
	v.pull(t, cold, alice, "g1")
	if len(v.entries) != 2 {
		t.Errorf("got entries %v", v.entries)
	}
}

// TestResetGivesUpAnImport and leaves an empty space.
func TestResetGivesUpAnImport(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	e := start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	mark(t, store, "backup")
	head, err := e.Reset(t.Context(), space)
	if err != nil || head.Importing != "" {
		t.Fatalf("Reset: %+v, error %v", head, err)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if len(v.entries) != 0 || v.last["c"] != 1 {
		t.Errorf("got entries %v, last %v", v.entries, v.last)
	}
}
