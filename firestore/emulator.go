package firestore

import (
	"sync"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/protocol"
)

// The emulator is not quite a database. Measured with version 1.19.9, a writer
// and three readers of one space:
//   - It shows the documents of a commit one after the other, in the order of
//     the writes: one BatchGet in forty saw half a commit. So a commit writes the
//     head last: who sees the head sees all. What is newer than its head is
//     noticed, and read again (Store.Snapshot).
//   - A commit becomes visible at a time that has been read before: one query in
//     a hundred, at the read time of the BatchGet before it, saw a commit more
//     or less. So on the emulator the moment of a snapshot is not its read time
//     but the time of the head that was read; this file is about that.
//   - A listener that begins beside a commit misses it now and then (Watch).
//
// Production has none of this: "reads at a given read_time are consistent with
// each other" (firestore.md §3.4).

// settled is how long ago something has to be for the emulator to show it at
// all times after it.
const settled = 10 * time.Second

// purges remembers when entries were purged, which the head does not tell. It is
// safe for concurrent use, and small: it forgets what has settled.
type purges struct {
	mu   sync.Mutex
	last map[protocol.SpaceID]time.Time // guarded by mu
}

func (p *purges) note(space protocol.SpaceID, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, t := range p.last {
		if at.Sub(t) > settled {
			delete(p.last, id)
		}
	}
	if p.last == nil {
		p.last = map[protocol.SpaceID]time.Time{}
	}
	if at.After(p.last[space]) {
		p.last[space] = at
	}
}

func (p *purges) of(space protocol.SpaceID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[space]
}

// moment is when the state of a space was, on the emulator, that its head was
// found in: when the head was written or, after that, entries were purged. A
// purge by another process shows when it has settled.
func (p *purges) moment(head *firestore.DocumentSnapshot, space protocol.SpaceID) time.Time {
	moment := head.ReadTime.Add(-settled)
	for _, t := range []time.Time{head.UpdateTime, p.of(space)} {
		if t.After(moment) {
			moment = t
		}
	}
	return moment
}
