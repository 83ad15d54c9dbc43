package memory_test

import (
	"context"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
)

func TestRestoreBringsBackWhatWasCloned(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := memory.New()
	first := write(ctx, t, store, engine.Head{}, "first")
	backup := store.Clone()
	second := write(ctx, t, store, first, "second")
	if got := value(ctx, t, backup); got != `"first"` {
		t.Errorf("backup holds %s after a commit to the store, want \"first\"", got)
	}
	store.Restore(backup)
	if got := value(ctx, t, store); got != `"first"` {
		t.Errorf("store holds %s after the restore, want \"first\"", got)
	}
	third := write(ctx, t, store, first, "third")
	if third.Revision == second.Revision {
		t.Errorf("revision %s came twice", third.Revision)
	}
	if got := value(ctx, t, backup); got != `"first"` {
		t.Errorf("backup holds %s after a commit to the restored store, want \"first\"", got)
	}
}

// write commits one entry on top of prev.
func write(ctx context.Context, t *testing.T, s *memory.Store, prev engine.Head, text string) engine.Head {
	t.Helper()
	next := prev
	next.Version++
	next.Epoch, next.Nonce = "epoch", text
	next.CreatedAt = next.CreatedAt.AddDate(1, 0, 0)
	next.UpdatedAt = next.CreatedAt
	head, err := s.Commit(ctx, "s", engine.Commit{Prev: prev, Next: next, Entries: []engine.Entry{
		{Key: "k", Value: []byte(`"` + text + `"`), Version: next.Version},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// value is what the entry holds.
func value(ctx context.Context, t *testing.T, s *memory.Store) string {
	t.Helper()
	snap, err := s.Snapshot(ctx, "s", engine.Documents{Keys: []string{"k"}})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := snap.Entry("k")
	return string(e.Value)
}
