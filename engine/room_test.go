package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// broken begins a push of so many bytes to a space of its own, and ends its request once
// it waits for the store.
func broken(t *testing.T, e *engine.Engine, all *sync.WaitGroup, i, size int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	all.Go(func() {
		if err := e.Push(ctx, inSpace(i), pushOfSize(i, size)); !errors.Is(err, context.Canceled) {
			t.Errorf("push %d: %v, want the context's error", i, err)
		}
	})
	synctest.Wait()
	cancel()
	synctest.Wait()
}

func inSpace(i int) engine.Caller {
	return engine.Caller{Space: protocol.SpaceID(fmt.Sprint("s", i)), UserID: "alice"}
}

func pushOfSize(i, size int) *protocol.PushRequest {
	m := mutation(clientID(fmt.Sprint("c", i)), 1, "put", put{"a", strings.Repeat("x", size)})
	return pushOf(groupID(fmt.Sprint("g", i)), m)
}

// TestBrokenOffPushesAreBounded: what requests that have ended leave waiting, while the
// store is slow, has a bound however many spaces it is for, and is free afterwards.
func TestBrokenOffPushesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		e := start(t, store, engine.Options{MaxWaitingBytes: 4000})
		for range 3 { // what it takes comes back, whatever becomes of it
			release := store.hold()
			var all sync.WaitGroup
			for i := range 3 {
				broken(t, e, &all, i, 1000)
			}
			err := e.Push(t.Context(), inSpace(3), pushOfSize(3, 1000))
			if want := "At most 4000 bytes of pushes wait for all spaces together."; !errors.Is(err, engine.ErrOverloaded) ||
				limitOf(err) != want {
				t.Errorf("beyond the bound: %v, %q, want %v, %q", err, limitOf(err), engine.ErrOverloaded, want)
			}
			release()
			all.Wait()
			synctest.Wait()
		}
		if err := e.Push(t.Context(), inSpace(4), pushOfSize(4, 10_000)); err != nil {
			t.Errorf("one that is larger than the bound, and alone: %v", err)
		}
	})
}

// TestLargePushesLeaveRoom: who types is not kept out by backlogs that wait.
func TestLargePushesLeaveRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		e := start(t, store, engine.Options{MaxWaitingBytes: 1 << 20})
		release := store.hold()
		var all sync.WaitGroup
		for i := range 2 {
			broken(t, e, &all, i, 300<<10)
		}
		if err := e.Push(t.Context(), inSpace(2), pushOfSize(2, 300<<10)); !errors.Is(err, engine.ErrOverloaded) {
			t.Errorf("a third large one: %v, want %v", err, engine.ErrOverloaded)
		}
		all.Go(func() {
			if err := e.Push(t.Context(), inSpace(3), pushOfSize(3, 100<<10)); err != nil {
				t.Errorf("a small one: %v", err)
			}
		})
		synctest.Wait()
		release()
		all.Wait()
	})
}
