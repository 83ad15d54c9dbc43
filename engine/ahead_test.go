package engine_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
)

// preparing is a store that counts how often it is told that a commit will follow.
type preparing struct {
	*spy
	prepared atomic.Int64
}

func (p *preparing) Prepare() { p.prepared.Add(1) }

// TestReadsAhead: what a push asks for that arrives while a commit is under way is read
// beside that commit, and its own commit follows without a read. Where reading ahead
// fails, or the commit does, the push reads for itself.
func TestReadsAhead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		readAhead, commit error
		reads             bool // for itself, once the first commit is over
	}{
		"all is well":            {},
		"nothing could be read":  {readAhead: engine.ErrUnavailable, reads: true},
		"another commit came in": {commit: engine.ErrConflict, reads: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { readAhead(t, tt.readAhead, tt.commit, tt.reads) })
		})
	}
}

func readAhead(t *testing.T, snapshotFails, commitFails error, want bool) {
	t.Helper()
	store := &preparing{spy: &spy{Store: fresh(t)}}
	other := start(t, store.Store, engine.Options{})
	e := start(t, store, engine.Options{})
	mustPush(t, other, alice, "g1", mutation("c", 1, "append", appendArgs{"l", "1"}), mutation("d", 1, "put", put{"b", 1}))
	mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"a", 1}), mutation("d", 2, "put", put{"b", 1}))

	var after int64
	first := true
	store.mu.Lock()
	store.onCommit = func(engine.Commit) error {
		if !first {
			return nil
		}
		first = false
		store.mu.Lock()
		store.onSnapshot = func(engine.Documents) error { return snapshotFails }
		store.mu.Unlock()
		time.Sleep(time.Second) // virtual: the commit is under way
		store.mu.Lock()
		store.onSnapshot = nil
		store.mu.Unlock()
		after = store.snapshots.Load()
		return commitFails
	}
	store.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { mustPush(t, e, alice, "g1", mutation("c", 3, "put", put{"a", 2})) })
	synctest.Wait()
	wg.Go(func() {
		mustPush(t, e, alice, "g1", mutation("d", 3, "append", appendArgs{"l", "2"}),
			mutation("d", 4, "append", appendArgs{"l", "3"}), mutation("d", 4, "append", appendArgs{"l", "again"}))
	})
	wg.Wait()
	if got := store.snapshots.Load() - after; (got > 0) != want {
		t.Errorf("got %d reads after the first commit, want any: %t", got, want)
	}
	if store.prepared.Load() == 0 {
		t.Error("the store was not told that a commit would follow")
	}
	v := newView()
	v.pull(t, other, alice, "g1")
	if got := v.entries["l"]; got != `["1","2","3"]` {
		t.Errorf("got %s", got)
	}
}

// TestPushWaitsBesideOthers: a push that a mutator asked another try for waits for its
// time in the queue, and operations and pushes pass it.
func TestPushWaitsBesideOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{}
		f.left.Store(1 << 40)
		e := startWith(t, fresh(t), testMutators(f), engine.Options{PushTimeout: time.Minute})
		var stuck [2]error
		var wg sync.WaitGroup
		for i, g := range []string{"g1", "g3"} {
			wg.Go(func() {
				stuck[i] = e.Push(t.Context(), alice, pushOf(groupID(g), mutation(clientID(g), 1, "flaky", put{"b", 2})))
			})
		}
		synctest.Wait()
		mustPush(t, e, bob, "g2", mutation("b", 1, "put", put{"a", 1}))
		if _, err := e.Reset(t.Context(), space); err != nil {
			t.Errorf("Reset beside a push that waits: %v", err)
		}
		wg.Wait()
		for _, err := range stuck {
			if !errors.Is(err, engine.ErrTemporary) && !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("got %v, want an error after which the client tries again", err)
			}
		}
		v := newView()
		v.pull(t, e, bob, "g2")
		if len(v.entries) != 0 {
			t.Errorf("after the reset: got %v", v.entries)
		}
	})
}
