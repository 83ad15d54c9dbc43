package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// creating are mutators that ask whether a key has a value, before they do anything
// else.
func creating() *mutate.Registry {
	r := mutate.NewRegistry()
	mutate.Register(r, "create", func(_ context.Context, tx mutate.WriteTransaction, a put) error {
		if exists, err := tx.Has(a.Key); err != nil || exists {
			return errors.Join(err, errors.New("exists"))
		}
		return tx.Set(a.Key, a.Value)
	})
	mutate.Register(r, "del", func(_ context.Context, tx mutate.WriteTransaction, key string) error {
		_, err := tx.Del(key)
		return err
	})
	mutate.Register(r, "look", func(_ context.Context, tx mutate.WriteTransaction, key string) error {
		exists, err := tx.Has(key)
		if err != nil {
			return err
		}
		return tx.Set("seen", exists)
	})
	return r
}

// expecting is an engine that has learned that "create" finds nothing, on a store that
// counts, and the next mutation id of client c.
func expecting(t *testing.T, store *memory.Store) (e *engine.Engine, s *spy, next int64) {
	t.Helper()
	s = &spy{Store: store}
	e = startWith(t, s, creating(), engine.Options{ExpectAfter: 3})
	for next = 1; next <= 4; next++ {
		mustPush(t, e, alice, "g1", mutation("c", next, "create", put{fmt.Sprint("old", next), 0}))
	}
	s.reset()
	return e, s, next
}

// TestExpectedAbsence: what creates things is not read for, and the commit says what
// it rests on.
func TestExpectedAbsence(t *testing.T) {
	t.Parallel()
	e, s, next := expecting(t, fresh(t))
	ms := []protocol.Mutation{}
	for i := range int64(50) {
		ms = append(ms, mutation("c", next+i, "create", put{fmt.Sprint("new", i), i}))
	}
	ms = append(ms, mutation("c", next+50, "del", "new7"), mutation("c", next+51, "create", put{"new8", 9}))
	mustPush(t, e, alice, "g1", ms...)
	if got := s.snapshots.Load(); got != 0 {
		t.Errorf("got %d reads, want none", got)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if got := len(v.entries); got != 4+50-1 || len(v.refused["c"]) != 1 {
		t.Errorf("got %d entries and rejections %v, want 53, and one", got, v.refused)
	}
}

// TestWrongExpectation: a key that has a value after all is read, by whatever it was
// written, and the mutator decides on what it is.
func TestWrongExpectation(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, there *engine.Engine){
		"value": func(*testing.T, *engine.Engine) {},
		"tombstone": func(t *testing.T, there *engine.Engine) {
			t.Helper()
			mustPush(t, there, alice, "g2", mutation("d", 2, "del", "k"))
		},
		"below the base": func(t *testing.T, there *engine.Engine) {
			t.Helper()
			if _, err := there.Reset(context.Background(), space); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fresh(t)
			there := startWith(t, store, creating(), engine.Options{})
			mustPush(t, there, alice, "g2", mutation("d", 1, "create", put{"k", "theirs"}))
			change(t, there)
			e, s, next := expecting(t, store)
			mustPush(t, e, alice, "g1",
				mutation("c", next, "create", put{"other", 1}), mutation("c", next+1, "create", put{"k", "ours"}))
			// What is below the base may be purged by now.
			if got := s.snapshots.Load(); got != 1 && (got != 0 || name != "below the base") {
				t.Errorf("got %d reads, want 1 of everything", got)
			}
			v := newView()
			v.pull(t, e, alice, "g1")
			want, refused := `"ours"`, 0
			if name == "value" {
				want, refused = `"theirs"`, 1
			}
			if v.entries["k"] != want || len(v.refused["c"]) != refused || v.last["c"] != next+1 {
				t.Errorf("got k = %s, rejections %v, last %d, want %s, %d, %d",
					v.entries["k"], v.refused, v.last["c"], want, refused, next+1)
			}
			if name != "value" {
				return
			}
			if got := readsBeforeTrust(t, e, s, next+2); got != 6 {
				t.Errorf("after a wrong expectation: got %d keys read before the next, want twice 3", got)
			}
		})
	}
}

// readsBeforeTrust is how many new keys "create" has to find before one is not read.
func readsBeforeTrust(t *testing.T, e *engine.Engine, s *spy, next int64) int {
	t.Helper()
	for i := range 20 {
		s.reset()
		mustPush(t, e, alice, "g1", mutation("c", next+int64(i), "create", put{fmt.Sprint("after", i), 1}))
		if s.snapshots.Load() == 0 {
			return i
		}
	}
	t.Fatal("still reading after 20 keys")
	return 0
}

// TestExpectationIsNoAnswer: a mutator that does not write what it asked for cannot be
// held to a condition, so it is told the truth, as is one that refuses.
func TestExpectationIsNoAnswer(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	there := startWith(t, store, creating(), engine.Options{})
	mustPush(t, there, alice, "g2", mutation("d", 1, "create", put{"k", "theirs"}))
	e := startWith(t, store, creating(), engine.Options{ExpectAfter: -1})
	mustPush(t, e, alice, "g1", mutation("c", 1, "look", "k"), mutation("c", 2, "del", "k"))
	v := newView()
	v.pull(t, e, alice, "g1")
	if _, stored := v.entries["k"]; stored || v.entries["seen"] != "true" {
		t.Errorf("got %v, want k seen, and deleted", v.entries)
	}
}
