package sim

import (
	"context"
	"time"

	"github.com/replifire/replifire/protocol"
)

// runKey is the context key of what tells calls of the store from those of others that
// are the same: a collection's number, or that the hub has made them.
type runKey struct{}

// collect forgets deletions, all or those of some milliseconds ago, and now and then
// deletes a space, beside everything else.
func (w *world) collect() {
	i, space := pick(w.chance, w.instances), pick(w.chance, w.spaces)
	if w.one(8) {
		w.deleteSpace(i, space)
		return
	}
	before := time.Now().Add(time.Second)
	if w.one(3) {
		before = before.Add(-time.Second - time.Duration(w.chance.IntN(50))*time.Millisecond)
	}
	w.note("instance %d collects in %s", i.number, space)
	w.collections++
	ctx := context.WithValue(w.ctx, runKey{}, w.collections)
	go func() {
		_, _ = i.engine.Collect(ctx, space, before) // it may be cut short anywhere
	}()
}

// deleteSpace deletes a space. What is acknowledged must be done.
func (w *world) deleteSpace(i *instance, space protocol.SpaceID) {
	w.note("instance %d deletes %s", i.number, space)
	resets, exists := w.oracle.space(space).resets, w.oracle.space(space).head.number > 0
	go func() {
		head, err := i.engine.Delete(w.ctx, space)
		w.mu.Lock()
		defer w.mu.Unlock()
		again := head.Deleted() && w.oracle.space(space).head.number == head.Version
		if err == nil && exists && !i.store.dead && !again && w.oracle.space(space).resets == resets {
			w.report(violated(Durable, "deletion of %s is acknowledged, but not done", space))
		}
	}()
}
