package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// belated applies its first commit only when the second one comes, and cannot be read
// after that.
type belated struct {
	*memory.Store
	first   engine.Commit
	commits atomic.Int32
}

func (b *belated) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	if b.commits.Load() > 1 {
		return nil, engine.ErrUnavailable
	}
	return b.Store.Snapshot(ctx, id, d)
}

func (b *belated) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	if b.commits.Add(1) == 1 {
		b.first = c
		return engine.Head{}, engine.ErrUnknownOutcome
	}
	if _, err := b.Store.Commit(ctx, id, b.first); err != nil {
		return engine.Head{}, err
	}
	return b.Store.Commit(ctx, id, c)
}

// TestWriteIsUnclearAfterALateCommit: the first try's commit makes the second try lose
// the race, and then the time is over. Nobody may be told that nothing was applied.
func TestWriteIsUnclearAfterALateCommit(t *testing.T) {
	t.Parallel()
	store := &belated{Store: memory.New()}
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(store, testMutators(nil), engine.Options{Logger: quiet()})
		_, err := e.Write(t.Context(), space, func(_ context.Context, tx mutate.WriteTransaction) error {
			return tx.Set("k", 1)
		})
		if !errors.Is(err, engine.ErrUnknownOutcome) {
			t.Errorf("Write = %v, want an unknown outcome", err)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	snap, err := store.Store.Snapshot(t.Context(), space, engine.Documents{Keys: []string{"k"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := snap.Entry("k"); !ok {
		t.Error("the first commit was not applied: the test tests nothing")
	}
}

// selfish applies each commit, says that it has lost a race, and cannot be read after that.
type selfish struct {
	*memory.Store
	applied atomic.Bool
}

func (s *selfish) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	if s.applied.Load() {
		return nil, engine.ErrUnavailable
	}
	return s.Store.Snapshot(ctx, id, d)
}

func (s *selfish) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	if _, err := s.Store.Commit(ctx, id, c); err != nil {
		return engine.Head{}, err
	}
	s.applied.Store(true)
	return engine.Head{}, engine.ErrConflict
}

// TestWriteIsUnclearAfterARaceWithItself: a commit that was sent twice and lost the race to
// itself is applied. Whoever waits must not be told otherwise, neither when the time is over
// nor when the engine closes.
func TestWriteIsUnclearAfterARaceWithItself(t *testing.T) {
	t.Parallel()
	for name, closes := range map[string]bool{"out of time": false, "closed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &selfish{Store: memory.New()}
				e := engine.New(store, testMutators(nil), engine.Options{Logger: quiet()})
				over := make(chan error, 1)
				go func() {
					_, err := e.Write(t.Context(), space, func(_ context.Context, tx mutate.WriteTransaction) error {
						return tx.Set("k", 1)
					})
					over <- err
				}()
				if closes {
					synctest.Wait()
					gone, cancel := context.WithCancel(t.Context())
					cancel()
					_ = e.Close(gone) // says that it was in a hurry
				}
				if err := <-over; !errors.Is(err, engine.ErrUnknownOutcome) || errors.Is(err, engine.ErrClosed) != closes {
					t.Errorf("Write = %v, want an unknown outcome", err)
				}
				_ = e.Close(t.Context())
			})
		})
	}
}

// TestWriteDoesNotDecideOnHalves: what an operator's function makes of two reads with
// another instance's commit between them does not count.
func TestWriteDoesNotDecideOnHalves(t *testing.T) {
	t.Parallel()
	errUnequal := errors.New("a and b differ, which they never do")
	for name, decision := range map[string]error{"refuses": errUnequal, "writes nothing": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fresh(t)
			here, there := start(t, store, engine.Options{}), start(t, store, engine.Options{})
			both := func(n int) func(context.Context, mutate.WriteTransaction) error {
				return func(_ context.Context, tx mutate.WriteTransaction) error {
					return errors.Join(tx.Set("a", n), tx.Set("b", n))
				}
			}
			mustWrite(t, there, both(1))
			raced := false
			mustWrite(t, here, func(_ context.Context, tx mutate.WriteTransaction) error {
				a, _, err := mutate.Get[int](tx, "a")
				if err != nil {
					return err
				}
				if !raced {
					raced = true
					mustWrite(t, there, both(2))
				}
				b, _, err := mutate.Get[int](tx, "b")
				if err != nil {
					return err
				}
				if a != b {
					return decision
				}
				return tx.Set("sum", a+b)
			})
			v := newView()
			if v.pull(t, here, alice, "g1"); v.entries["sum"] != "4" {
				t.Errorf("got sum = %s, want 4", v.entries["sum"])
			}
		})
	}
}

func mustWrite(t *testing.T, e *engine.Engine, fn func(context.Context, mutate.WriteTransaction) error) {
	t.Helper()
	if _, err := e.Write(t.Context(), space, fn); err != nil {
		t.Errorf("Write: %v", err)
	}
}
