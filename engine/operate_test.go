package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// TestReset: the space is empty for everybody, clients go on, mutations do not
// run twice, and what was stored is deleted.
func TestReset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := fresh(t)
		e := start(t, store, engine.Options{})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "put", put{"b", 2}))
		v, late := newView(), newView()
		v.pull(t, e, alice, "g1")
		late.pull(t, e, alice, "g1")

		head, err := e.Reset(t.Context(), space)
		if err != nil {
			t.Fatal(err)
		}
		if head.Base != head.Version || head.Floor != head.Version {
			t.Errorf("head after the reset: got %+v", head)
		}
		v.pull(t, e, alice, "g1")
		if len(v.entries) != 0 || v.last["c"] != 2 {
			t.Errorf("got entries %v, last %v", v.entries, v.last)
		}
		mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"b", 2}), mutation("c", 3, "append", appendArgs{"a", "x"}))
		v.pull(t, e, alice, "g1")
		late.pull(t, e, alice, "g1")
		want := map[string]string{"a": `["x"]`}
		if diff := cmp.Diff(want, v.entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, late.entries); diff != "" {
			t.Errorf("entries of one who missed the reset (-want +got):\n%s", diff)
		}
		synctest.Wait() // what lies below the base is deleted in the background
		snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true})
		if err != nil {
			t.Fatal(err)
		}
		stored := 0
		for _, err := range snap.Entries(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			stored++
		}
		if stored != 1 {
			t.Errorf("%d entries are still stored", stored)
		}
	})
}

func TestResetOfNothing(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	head, err := e.Reset(t.Context(), space)
	if err != nil || head.Exists() {
		t.Errorf("got %+v, %v", head, err)
	}
}

// TestRestored: after a backup was put back, those who have seen more come back
// as new clients, and the others go on.
func TestRestored(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	csnf := protocol.ClientStateNotFound()
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	gap := pushOf("g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 9, "put", put{"z", 1}))
	if err := e.Push(t.Context(), alice, gap); !errors.Is(err, engine.ErrMutationGap) {
		t.Errorf("gap before: got %v", err)
	}
	time.Sleep(time.Millisecond) // groups of before are older than the restore
	if _, err := e.Restored(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	if err := e.Push(t.Context(), alice, gap); !sameError(err, csnf) {
		t.Errorf("gap after: got %v", err)
	}
	if err := v.tryPull(t, e, alice, "g1"); !sameError(err, csnf) {
		t.Errorf("old group, old cookie: got %v", err)
	}
	// The reload: a new group with the old cookie, then all is well.
	reborn := &view{cookie: v.cookie, entries: v.entries, last: map[protocol.ClientID]int64{}}
	reborn.refused = map[protocol.ClientID][]protocol.Rejection{}
	reborn.pull(t, e, alice, "gNew")
	if !reborn.cleared || reborn.entries["a"] != "1" {
		t.Errorf("reborn: got %+v", reborn)
	}
	mustPush(t, e, alice, "gNew", mutation("new", 1, "put", put{"b", 1}))
	reborn.pull(t, e, alice, "gNew")
	if reborn.entries["b"] != "1" {
		t.Errorf("reborn goes on: got %v", reborn.entries)
	}
	err := e.Push(t.Context(), alice,
		pushOf("gNew", mutation("new", 1, "put", put{"b", 1}), mutation("new", 9, "put", put{"z", 1})))
	if !errors.Is(err, engine.ErrMutationGap) {
		t.Errorf("gap of a new group: got %v", err)
	}
}

// TestWrite: what is not a client writes through the same commit.
func TestWrite(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	var told []int64
	e := start(t, store, engine.Options{
		OnCommit: func(_ protocol.SpaceID, h engine.Head) { told = append(told, h.Version) },
	})
	add := func(_ context.Context, tx mutate.WriteTransaction) error {
		n, _, err := mutate.Get[int](tx, "n")
		if err != nil {
			return err
		}
		return tx.Set("n", n+1)
	}
	for want := int64(1); want <= 3; want++ {
		head, err := e.Write(t.Context(), space, add)
		if err != nil || head.Version != want {
			t.Fatalf("Write: got version %d, %v, want %d", head.Version, err, want)
		}
	}
	// The commit is applied and its reply is lost: it counts once.
	lost := false
	store.onCommit = func(c engine.Commit) error {
		if lost {
			return nil
		}
		lost = true
		if _, err := store.Store.Commit(context.Background(), space, c); err != nil {
			t.Errorf("commit: %v", err)
		}
		return engine.ErrUnknownOutcome
	}
	if head, err := e.Write(t.Context(), space, add); err != nil || head.Version != 4 {
		t.Errorf("Write with a lost reply: got %d, %v", head.Version, err)
	}
	boom := errors.New("boom")
	failing := func(context.Context, mutate.WriteTransaction) error { return boom }
	if _, err := e.Write(t.Context(), space, failing); !errors.Is(err, boom) {
		t.Errorf("Write that fails: got %v", err)
	}
	panicking := func(context.Context, mutate.WriteTransaction) error { panic("x") }
	if _, err := e.Write(t.Context(), space, panicking); err == nil {
		t.Errorf("Write that panics: got no error")
	}
	head, err := e.Write(t.Context(), space, func(context.Context, mutate.WriteTransaction) error { return nil })
	if err != nil || head.Version != 4 {
		t.Errorf("Write of nothing: got %d, %v", head.Version, err)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if v.entries["n"] != "4" {
		t.Errorf("n: got %s, want 4", v.entries["n"])
	}
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, told); diff != "" {
		t.Errorf("versions told (-want +got):\n%s", diff)
	}
}

// TestWriteThatIsAppliedLate: a try whose outcome is unknown makes the outcome of the
// whole call unknown, whatever the tries after it fail with.
func TestWriteThatIsAppliedLate(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, second := range map[string]error{
		"others commit in between": engine.ErrConflict,
		"then it is impossible":    engine.ErrImpossible,
		"then the function fails":  boom,
	} {
		inBubble(t, name, func(t *testing.T) {
			store := &spy{Store: fresh(t)}
			e := start(t, store, engine.Options{PushTimeout: 50 * time.Millisecond})
			tries := 0
			store.onCommit = func(engine.Commit) error {
				if tries++; tries == 1 {
					return engine.ErrUnknownOutcome
				}
				return second
			}
			_, err := e.Write(t.Context(), space, func(_ context.Context, tx mutate.WriteTransaction) error {
				if tries > 0 && errors.Is(second, boom) {
					return boom
				}
				return tx.Set("n", 1)
			})
			if !errors.Is(err, engine.ErrUnknownOutcome) {
				t.Errorf("got %v, want ErrUnknownOutcome", err)
			}
		})
	}
}
