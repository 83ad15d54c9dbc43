package poke_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

var errBroken = errors.New("broken")

// fake is the store as a hub sees it: versions, and watches that can be broken
// or made deaf.
type fake struct {
	mu       sync.Mutex
	versions map[protocol.SpaceID]int64
	watches  []*watch // all that were ever begun
	refuse   error    // what a new watch fails with at once
	deaf     bool     // watches tell nothing
	heads    int      // reads
	headErr  error
	reading  func() // called between the read of a head and its answer
}

type watch struct {
	space  protocol.SpaceID
	began  time.Time
	notify func(int64, poke.Concerns)
	broken chan error
	ended  bool
}

func (f *fake) Watch(ctx context.Context, space protocol.SpaceID, notify func(int64, poke.Concerns)) error {
	w := &watch{space: space, began: time.Now(), notify: notify, broken: make(chan error, 1)}
	f.mu.Lock()
	f.watches = append(f.watches, w)
	refuse, deaf, version := f.refuse, f.deaf, f.versions[space]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		w.ended = true
	}()
	if refuse != nil {
		return refuse
	}
	if !deaf {
		notify(version, nil)
	}
	select {
	case err := <-w.broken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fake) Head(ctx context.Context, space protocol.SpaceID) (int64, poke.Concerns, error) {
	f.mu.Lock()
	f.heads++
	version, err, reading := f.versions[space], f.headErr, f.reading
	f.mu.Unlock()
	if reading != nil {
		reading()
	}
	return version, nil, cmp.Or(err, ctx.Err())
}

// set moves a space to a version, as another process does.
func (f *fake) set(space protocol.SpaceID, version int64) {
	f.mu.Lock()
	f.versions[space] = version
	var live []*watch
	for _, w := range f.watches {
		if w.space == space && !w.ended && !f.deaf {
			live = append(live, w)
		}
	}
	f.mu.Unlock()
	for _, w := range live {
		w.notify(version, nil)
	}
}

// live lists the watches that are going on.
func (f *fake) live() []*watch {
	f.mu.Lock()
	defer f.mu.Unlock()
	var live []*watch
	for _, w := range f.watches {
		if !w.ended {
			live = append(live, w)
		}
	}
	return live
}

func (f *fake) begun() []*watch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*watch(nil), f.watches...)
}

func (f *fake) reads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heads
}

func (f *fake) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// newHub makes a hub on a fake store; the test's end closes it.
func newHub(t testing.TB, o poke.Options) (*poke.Hub, *fake) {
	t.Helper()
	f := &fake{versions: map[protocol.SpaceID]int64{}}
	o.Watch, o.Head = f.Watch, f.Head
	o.Logger = slog.New(slog.DiscardHandler)
	h := poke.NewHub(o)
	t.Cleanup(h.Close)
	return h, f
}

func subscribe(t testing.TB, h *poke.Hub, space protocol.SpaceID) *poke.Subscription {
	t.Helper()
	return subscribeAs(t, h, space, "")
}

func subscribeAs(t testing.TB, h *poke.Hub, space protocol.SpaceID, audience string) *poke.Subscription {
	t.Helper()
	sub, err := h.Subscribe(space, audience)
	if err != nil {
		t.Fatalf("Subscribe(%q): %v", space, err)
	}
	return sub
}

// want waits for the next version.
func want(t testing.TB, sub *poke.Subscription, version int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := sub.Next(ctx)
	if err != nil || got != version {
		t.Fatalf("Next = %d, %v; want %d", got, err, version)
	}
}
