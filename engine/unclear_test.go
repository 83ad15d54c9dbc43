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
