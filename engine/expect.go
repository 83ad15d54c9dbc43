package engine

import "sync"

// expectations say of which mutators the keys they ask for are not stored, because they
// create things, by what they have read so far. Such a key is not read: the mutator
// runs as if it had no value, and the commit holds on the condition that it is not
// stored (Commit.Absent), not even as a tombstone. That saves a round trip, and a read
// that Firestore bills. Who was wrong has one commit refused, reads, and is not trusted
// again for a while. Safe for concurrent use; bounded by the mutators that are registered.
type expectations struct {
	mu     sync.Mutex
	after  int
	absent map[string]*record // by mutator
}

// record is what the reads of a mutator have found.
type record struct {
	row  int // keys in a row that are not stored, up to need
	need int // how many it takes
}

// maxNeed bounds what a mutator that is often wrong has to show: it has a commit
// refused once in as many keys.
const maxNeed = 1 << 12

// absence reports whether the mutator is expected to find no value.
func (e *expectations) absence(mutator string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.absent[mutator]
	return e.after < 0 || r != nil && r.row >= r.need
}

// learn notes what a run of a mutator found where the store was read for it. Who was
// wrong needs twice as many keys the next time.
func (e *expectations) learn(mutator string, tx *transaction) {
	if tx.stored+tx.absent == 0 || e.after < 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.absent[mutator]
	if r == nil {
		r = &record{need: e.after}
		e.absent[mutator] = r
	}
	switch {
	case tx.stored == 0:
		r.row = min(r.row+tx.absent, r.need)
	case r.row >= r.need:
		r.row, r.need = 0, min(2*r.need, maxNeed)
	default:
		r.row = 0
	}
}

// doubt ends a run. What it has expected counts only if it succeeded and has given
// each of these keys a value, since only then the commit can be held to it. Otherwise
// the keys are asked for, and the run counts as interrupted.
func (t *transaction) doubt(err error) {
	for _, key := range t.expected {
		if w, ok := t.top.writes.Get(key); err == nil && ok && w.live {
			continue
		}
		t.base.get(key)
		t.interrupted = true
	}
}
