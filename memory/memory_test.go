package memory_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// filled is a store whose space s has n entries, and its head.
func filled(t testing.TB, n int) (*memory.Store, engine.Head) {
	t.Helper()
	store := memory.New()
	head, err := store.Commit(t.Context(), "s", storetest.Step(engine.Head{}, puts(n)))
	if err != nil {
		t.Fatal(err)
	}
	return store, head
}

func puts(n int) storetest.Change {
	return func(c *engine.Commit) {
		for i := range n {
			storetest.Put(fmt.Sprintf("%06d", i), `"value"`)(c)
		}
	}
}

// TestSnapshotCost: a snapshot costs the same for any size of space, whether or
// not another one was taken since the last commit.
func TestSnapshotCost(t *testing.T) { //nolint:paralleltest // others would be counted
	const most = 30
	for _, n := range []int{1, 1_000, 50_000} {
		store, head := filled(t, n)
		docs := engine.Documents{Head: true, Keys: []string{"000000"}}
		got := testing.AllocsPerRun(50, func() {
			next, err := store.Commit(t.Context(), "s", storetest.Step(head))
			if err != nil {
				t.Fatal(err)
			}
			head = next
			for range 2 {
				if _, err := store.Snapshot(t.Context(), "s", docs); err != nil {
					t.Fatal(err)
				}
			}
		})
		if got > most {
			t.Errorf("%d entries: %.0f allocations for a commit and two snapshots, want at most %d",
				n, got, most)
		}
	}
}

// TestPurgeInterrupted ends the context in the middle: what was removed is
// counted, and the rest goes with the next call.
func TestPurgeInterrupted(t *testing.T) {
	t.Parallel()
	const n = 2_500 // two steps and a half
	store, head := filled(t, n)
	if _, err := store.Commit(t.Context(), "s", storetest.Step(head, storetest.Reset())); err != nil {
		t.Fatal(err)
	}
	ctx := &countdown{Context: t.Context(), left: 2}
	first, err := store.Purge(ctx, "s")
	if !errors.Is(err, context.Canceled) || first == 0 || first == n {
		t.Errorf("purged %d, error %v, want some of %d and %v", first, err, n, context.Canceled)
	}
	storetest.MustFsck(t, store, "s")
	rest, err := store.Purge(t.Context(), "s")
	if err != nil || first+rest != n {
		t.Errorf("purged %d and then %d, error %v, want %d in all", first, rest, err, n)
	}
	storetest.MustFsck(t, store, "s")
}

// countdown is a context that ends when it has been asked often enough.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestReadsEndMidway: a context that ends during a read ends the read.
func TestReadsEndMidway(t *testing.T) {
	t.Parallel()
	store, head := filled(t, 10)
	c := storetest.Step(head, storetest.Group("g", "u", "s"))
	for i := range 10 {
		storetest.Client(protocol.ClientID(strconv.Itoa(i)), "g", 1)(&c)
	}
	if _, err := store.Commit(t.Context(), "s", c); err != nil {
		t.Fatal(err)
	}
	snap, err := store.Snapshot(t.Context(), "s", engine.Documents{})
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(context.Context) (int, error){
		"Entries": func(ctx context.Context) (n int, err error) {
			for _, err = range snap.Entries(ctx, 0) {
				n++
			}
			return n, err
		},
		"Clients": func(ctx context.Context) (n int, err error) {
			for _, err = range snap.Clients(ctx, "g", 0) {
				n++
			}
			return n, err
		},
		"Range": func(ctx context.Context) (int, error) {
			found, err := snap.Range(ctx, engine.Range{})
			return 4 + len(found), err
		},
	} {
		n, err := read(&countdown{Context: t.Context(), left: 3})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, engine.ErrUnavailable) || n != 4 {
			t.Errorf("%s: %d items, error %v, want 3 and then %v", name, n, err, context.Canceled)
		}
	}
}

// TestValuesAreClipped: an append to a value that was read stays with the reader.
func TestValuesAreClipped(t *testing.T) {
	t.Parallel()
	store, _ := filled(t, 1)
	snap, err := store.Snapshot(t.Context(), "s", engine.Documents{Keys: []string{"000000"}})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := snap.Entry("000000")
	if cap(e.Value) != len(e.Value) {
		t.Errorf("value of %d bytes with room for %d", len(e.Value), cap(e.Value))
	}
}

// TestWipeBesideSnapshots: an old snapshot still shows what it showed, a new one
// shows nothing, and the group is free again.
func TestWipeBesideSnapshots(t *testing.T) {
	t.Parallel()
	store, head := filled(t, 3)
	c := storetest.Step(head, storetest.Group("g", "u", "s"))
	if _, err := store.Commit(t.Context(), "s", c); err != nil {
		t.Fatal(err)
	}
	snap, err := store.Snapshot(t.Context(), "s", engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	store.Wipe()
	entries, err := snap.Range(t.Context(), engine.Range{})
	if err != nil || len(entries) != 3 || snap.Head().Version != 2 {
		t.Errorf("%d entries at version %d, error %v, want 3 at 2",
			len(entries), snap.Head().Version, err)
	}
	again := storetest.Step(engine.Head{}, storetest.Group("g", "v", "t"))
	if _, err := store.Commit(t.Context(), "t", again); err != nil {
		t.Errorf("group of a wiped store: %v", err)
	}
	storetest.MustFsck(t, store, "s", "t")
}

// TestConflictSaysWhere: the error is for logs, and names both versions.
func TestConflictSaysWhere(t *testing.T) {
	t.Parallel()
	store, head := filled(t, 1)
	if _, err := store.Commit(t.Context(), "s", storetest.Step(head)); err != nil {
		t.Fatal(err)
	}
	_, err := store.Commit(t.Context(), "s", storetest.Step(head))
	want := engine.ErrConflict.Error() + ": at version 2, commit follows 1"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func Example() {
	ctx := context.Background()
	store := memory.New()
	created, _ := store.Commit(ctx, "space", storetest.Step(engine.Head{},
		storetest.Put("b", `2`), storetest.Put("a", `1`)))
	snap, _ := store.Snapshot(ctx, "space", engine.Documents{Head: true})
	_, _ = store.Commit(ctx, "space", storetest.Step(created, storetest.Del("a")))

	entries, _ := snap.Range(ctx, engine.Range{})
	fmt.Println("version", snap.Head().Version)
	for _, e := range entries {
		fmt.Println(e.Key, string(e.Value))
	}
	// Output:
	// version 1
	// a 1
	// b 2
}

func BenchmarkCommit(b *testing.B) {
	store, head := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		next, err := store.Commit(b.Context(), "s", storetest.Step(head, puts(100)))
		if err != nil {
			b.Fatal(err)
		}
		head = next
	}
}

func BenchmarkSnapshot(b *testing.B) {
	store, _ := filled(b, 10_000)
	docs := engine.Documents{Head: true, Keys: []string{"000001"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Snapshot(b.Context(), "s", docs); err != nil {
			b.Fatal(err)
		}
	}
}
