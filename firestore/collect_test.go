package firestore_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// TestListsResume breaks off the queries of a collection: they go on where they were, and
// find no more than they are asked for.
func TestListsResume(t *testing.T) {
	t.Parallel()
	f := open(t)
	head := f.fill(t, 6)
	for i, key := range []string{"k000", "k001", "k002", "k003", "k004", "k005"} {
		c := after(head)
		del(&c, key)
		c.Entries[0].DeletedAt = now().Add(time.Duration(i) * time.Millisecond)
		head = f.mustCommit(t, c)
	}
	for _, id := range []protocol.SpaceID{"t", "u", "v"} {
		if _, err := f.Commit(t.Context(), id, after(engine.Head{})); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{100, 4} {
		f.faults.add(fault{method: "RunQuery", after: 3, code: codes.Unavailable, text: "broke off"})
		got, err := f.Expired(t.Context(), space, now().Add(time.Hour), limit)
		if want := min(6, limit); err != nil || got.Tombstones != want {
			t.Errorf("Expired of %d: got %+v, %v, want %d", limit, got, err, want)
		}
	}
	for _, limit := range []int{100, 3} {
		f.faults.add(fault{method: "RunQuery", after: 2, code: codes.Unavailable, text: "broke off"})
		got, err := f.Spaces(t.Context(), "", limit)
		all := []protocol.SpaceID{space, "t", "u", "v"}
		if want := all[:min(4, limit)]; err != nil || !slices.Equal(got, want) {
			t.Errorf("Spaces of %d: got %v, %v, want %v", limit, got, err, want)
		}
	}
	if f.faults.left() > 0 {
		t.Error("a fault was not used")
	}
}
