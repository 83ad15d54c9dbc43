package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// TestBacklogInCompany: where others push too, a backlog goes in small commits, so that
// nobody waits for a large one; where nobody does, in as few as can be.
func TestBacklogInCompany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		var sizes []int
		store.onCommit = func(c engine.Commit) error {
			sizes = append(sizes, len(c.Entries))
			return nil
		}
		e := start(t, store, engine.Options{})
		next := int64(1)
		backlog := func(want ...int) {
			t.Helper()
			sizes = nil
			var ms []protocol.Mutation
			for range 600 {
				ms = append(ms, mutation("c", next, "put", put{fmt.Sprint("k", next), 1}))
				next++
			}
			mustPush(t, e, alice, "g1", ms...)
			if diff := cmp.Diff(want, sizes); diff != "" {
				t.Errorf("sizes of the commits (-want +got):\n%s", diff)
			}
		}
		backlog(500, 100) // of the only one
		mustPush(t, e, bob, "g2", mutation("b", 1, "put", put{"other", 1}))
		backlog(64, 64, 64, 64, 64, 64, 64, 64, 64, 24)
		time.Sleep(2 * time.Second)
		backlog(500, 100)
	})
}
