package engine_test

import (
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// TestGroupOfAnotherHistory: whoever was given a cookie as one of a group that the store
// has lost starts afresh, whether or not the group was made again; and nobody else does.
func TestGroupOfAnotherHistory(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		store := memory.New()
		warm := start(t, store, engine.Options{})
		reader, writer := newView(), newView()
		mustPush(t, warm, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "put", put{"b", 2}))
		writer.pull(t, warm, alice, "g1")
		reader.pull(t, warm, alice, "g2")
		store.Wipe()
		if again {
			mustPush(t, warm, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
		}
		for range 2 { // what was found out is not forgotten, nor taken for granted
			for _, e := range []*engine.Engine{warm, start(t, store, engine.Options{})} {
				if err := writer.clone().tryPull(t, e, alice, "g1"); !sameError(err, protocol.ClientStateNotFound()) {
					t.Errorf("made again %t: the writer is told %v, want ClientStateNotFound", again, err)
				}
				fresh := writer.clone()
				fresh.last = map[protocol.ClientID]int64{}
				fresh.pull(t, e, alice, "g3") // the same client, with a new group
				fresh.pull(t, e, alice, "g3")
				reader.clone().pull(t, e, alice, "g2")
				newView().pull(t, e, alice, "g1")
			}
		}
		mustFsck(t, store, space)
	}
}
