package engine_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// hearing is an instance that answers pulls from memory for an hour, what its own poke
// streams were told, and a client that has pulled from it.
type hearing struct {
	*engine.Engine
	store *spy
	told  atomic.Int64
	view  *view
}

func newHearing(t *testing.T) *hearing {
	t.Helper()
	h := &hearing{store: &spy{Store: fresh(t)}, view: newView()}
	h.Engine = start(t, h.store, engine.Options{
		PullMaxAge: time.Hour,
		OnCommit:   func(_ protocol.SpaceID, head engine.Head) { h.told.Store(head.Version) },
	})
	mustPush(t, h.Engine, alice, "g1", mutation("c", 1, "put", put{"k", 1}))
	for range 2 { // the second one finds the group remembered
		h.view.pull(t, h.Engine, alice, "g1")
	}
	return h
}

// unknown has the next commit be applied and its outcome be unknown.
func (h *hearing) unknown(ctx context.Context, t *testing.T, meanwhile func()) {
	t.Helper()
	var once sync.Once
	h.store.onCommit = func(c engine.Commit) (err error) {
		once.Do(func() {
			if _, err = h.store.Store.Commit(context.WithoutCancel(ctx), space, c); err == nil {
				meanwhile()
				err = engine.ErrUnknownOutcome
			}
		})
		return err
	}
}

// shows wants a pull and the poke streams to know of mutation 2, and of a version.
func (h *hearing) shows(t *testing.T, version int64) {
	t.Helper()
	h.view.pull(t, h.Engine, alice, "g1")
	if h.view.last["c"] != 2 || h.view.entries["k"] != "2" {
		t.Errorf("acknowledged is 2, a pull shows %d, k = %s", h.view.last["c"], h.view.entries["k"])
	}
	if told := h.told.Load(); told != version {
		t.Errorf("poke streams were told of version %d, want %d", told, version)
	}
}

// TestAcknowledgedIsShown: what an instance has acknowledged its pulls show, and its poke
// streams know, also where another commit than its own has applied it.
func TestAcknowledgedIsShown(t *testing.T) {
	t.Parallel()
	second := mutation("c", 2, "put", put{"k", 2})
	t.Run("by another instance", func(t *testing.T) {
		t.Parallel()
		h := newHearing(t)
		other := start(t, h.store.Store, engine.Options{})
		mustPush(t, other, alice, "g1", second) // its answer is lost
		mustPush(t, h.Engine, alice, "g1", second)
		h.shows(t, 2)
	})
	t.Run("before another's commit", func(t *testing.T) {
		t.Parallel()
		h := newHearing(t)
		other := start(t, h.store.Store, engine.Options{})
		h.unknown(t.Context(), t, func() {
			mustPush(t, other, bob, "g2", mutation("d", 1, "put", put{"other", 1}))
		})
		mustPush(t, h.Engine, alice, "g1", second)
		h.shows(t, 3)
	})
	t.Run("when nobody waited", func(t *testing.T) {
		t.Parallel()
		h := newHearing(t)
		ctx, cancel := context.WithCancel(t.Context())
		h.unknown(ctx, t, cancel)
		if err := h.Push(ctx, alice, pushOf("g1", second)); err == nil {
			t.Error("acknowledged though nobody waited")
		}
		mustPush(t, h.Engine, alice, "g1", second)
		h.shows(t, 2)
	})
}

// TestRecallBesideACollection: a pull that is answered from memory is so too when the floor is
// raised above its cookie meanwhile. Its snapshot was never read.
func TestRecallBesideACollection(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{PullMaxAge: time.Hour})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	for id := int64(2); id < 1000; id += 2 {
		v.pull(t, e, alice, "g1")
		mustPush(t, e, alice, "g1", mutation("c", id, "put", put{"b", id}))
		mustPush(t, e, alice, "g1", mutation("c", id+1, "del", "b"))
		pullBeside(t, e, v.cookie, func() {
			if _, err := e.Collect(t.Context(), space, time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
}

// pullBeside pulls with a cookie again and again, while something is done.
func pullBeside(t *testing.T, e *engine.Engine, cookie protocol.Cookie, do func()) {
	t.Helper()
	over := make(chan struct{})
	var pulls sync.WaitGroup
	for range 3 {
		pulls.Go(func() {
			for {
				_, err := e.Pull(t.Context(), alice, &protocol.PullRequest{
					Version: 1, ClientGroupID: "g1", Cookie: cookie,
				})
				if err != nil {
					t.Error(err)
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	do()
	close(over)
	pulls.Wait()
}

// TestCloseBesidePulls: Close ends though pulls go on coming.
func TestCloseBesidePulls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &spy{Store: fresh(t)}
		s.onSnapshot = func(engine.Documents) error { time.Sleep(time.Millisecond); return nil }
		e := engine.New(s, testMutators(&flaky{}), engine.Options{Logger: quiet()})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
		ctx, cancel := context.WithCancel(t.Context())
		var pulls sync.WaitGroup
		for n := range 20 {
			pulls.Go(func() {
				time.Sleep(time.Duration(n) * 100 * time.Microsecond)
				for ctx.Err() == nil {
					_, _ = e.Pull(ctx, alice, &protocol.PullRequest{Version: 1, ClientGroupID: "g1", Cookie: cookieOf("null")})
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		time.AfterFunc(time.Minute, cancel) // so that it ends, also without what is tested
		began := time.Now()
		if err := e.Close(context.Background()); err != nil || time.Since(began) > time.Second {
			t.Errorf("closed after %v: %v", time.Since(began), err)
		}
		cancel()
		pulls.Wait()
	})
}
