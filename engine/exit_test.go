package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// exiting adds mutators that end their goroutine: always, or on a guess only.
func exiting(r *mutate.Registry) *mutate.Registry {
	mutate.Register(r, "exit", func(_ context.Context, tx mutate.WriteTransaction, a put) error {
		if err := tx.Set(a.Key, a.Value); err != nil {
			return err
		}
		runtime.Goexit()
		return nil
	})
	mutate.Register(r, "readThenPut", func(_ context.Context, tx mutate.WriteTransaction, a put) error {
		if _, _, err := mutate.Get[int](tx, "of/"+a.Key); err != nil {
			return err
		}
		return tx.Set(a.Key, a.Value)
	})
	// exitOnGuess ends where the key it needs has not been written yet, which is so on a guess.
	mutate.Register(r, "exitOnGuess", func(_ context.Context, tx mutate.WriteTransaction, key string) error {
		_, ok, err := mutate.Get[int](tx, key)
		if err == nil && !ok {
			runtime.Goexit()
		}
		return tx.Set("seen/"+key, ok)
	})
	return r
}

// TestMutatorEndsItsGoroutine: that is a rejection, and the space, the pushes beside it and
// those that follow live on.
func TestMutatorEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	e := startWith(t, fresh(t), exiting(testMutators(&flaky{})), engine.Options{})
	begun(t, e)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			user := fmt.Sprint("u", i)
			c, client := engine.Caller{Space: space, UserID: user}, clientID(user)
			err := e.Push(t.Context(), c, pushOf(groupID(user),
				mutation(client, 1, "put", put{user + "/a", 1}),
				mutation(client, 2, "exit", put{user + "/b", 1}),
				mutation(client, 3, "put", put{user + "/c", 1})))
			if err != nil {
				t.Errorf("push of %s: %v", user, err)
			}
		})
	}
	all.Wait()
	v := newView()
	v.pull(t, e, alice, "g1")
	if len(v.entries) != 1+8*2 {
		t.Errorf("entries %v, want two of each user's three", v.entries)
	}
	mustPush(t, e, alice, "g1", mutation("c1", 2, "exit", put{"k", 2}))
	v.pull(t, e, alice, "g1")
	refused := v.refused["c1"]
	if len(refused) != 1 || refused[0].ID != 2 || refused[0].Reason != "internal error in the mutator" {
		t.Errorf("rejections of alice: %+v", refused)
	}
}

// TestMutatorEndsItsGoroutineOnAGuess: what it does there does not count.
func TestMutatorEndsItsGoroutineOnAGuess(t *testing.T) {
	t.Parallel()
	e := startWith(t, fresh(t), exiting(testMutators(&flaky{})), engine.Options{ExpectAfter: 1 << 30})
	begun(t, e)
	mustPush(t, e, alice, "g1", mutation("c1", 2, "follow", "l")) // has l known to be absent
	mustPush(t, e, alice, "g1",
		mutation("c1", 3, "readThenPut", put{"l", 1}), // is read for, and the next one runs on a guess
		mutation("c1", 4, "exitOnGuess", "l"))
	v := newView()
	v.pull(t, e, alice, "g1")
	if v.entries["seen/l"] != "true" {
		t.Errorf("entries %v, want that the mutation saw the one before it", v.entries)
	}
}

// TestCallbackEndsTheWorker: who waits for it is told to come again, and the space lives on.
func TestCallbackEndsTheWorker(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	c := engine.Caller{Space: space, UserID: "alice", NewSpace: func() error {
		runtime.Goexit()
		return nil
	}}
	push := pushOf("g1", mutation("c1", 1, "put", put{"k", 1}))
	if err := e.Push(t.Context(), c, push); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("push: %v, want ErrUnavailable", err)
	}
	mustPush(t, e, alice, "g1", push.Mutations...)
}

// TestPolicyEndsItsGoroutine: a right that was not read rejects nothing.
func TestPolicyEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	begun(t, e)
	r := newRight(10)
	r.onJudge = runtime.Goexit
	err := e.Push(t.Context(), readerOf("rita", r), pushOf("gr", mutation("cr", 1, "put", put{"k", 2})))
	if !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("push: %v, want ErrUnavailable", err)
	}
}

// TestOperatorsFunctionEndsItsGoroutine: the caller is told, and the space lives on.
func TestOperatorsFunctionEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	begun(t, e)
	_, err := e.Write(t.Context(), space, func(context.Context, mutate.WriteTransaction) error {
		runtime.Goexit()
		return nil
	})
	if !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("write: %v, want ErrUnavailable", err)
	}
	mustPush(t, e, alice, "g1", []protocol.Mutation{mutation("c1", 2, "put", put{"k", 2})}...)
}
