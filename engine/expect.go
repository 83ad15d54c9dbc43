package engine

import "sync"

// expectations say of which mutators the keys they ask for have no value, because they
// create things, by what they have read so far. Such a key is not read: the mutator
// runs as if it had no value, and the commit holds on the condition that it is not
// stored (Commit.Absent). That saves a round trip, and a read that Firestore bills. Who
// was wrong has one commit refused, reads, and is not trusted again for a while. Safe
// for concurrent use; bounded by the mutators that are registered.
type expectations struct {
	mu     sync.Mutex
	after  int
	absent map[string]int // keys without a value in a row, by mutator
}

// absence reports whether the mutator is expected to find no value.
func (e *expectations) absence(mutator string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.absent[mutator] >= e.after
}

// learn notes what a run of a mutator found where the store was read for it.
func (e *expectations) learn(mutator string, tx *transaction) {
	if tx.present+tx.absent == 0 || e.after < 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if tx.present > 0 {
		e.absent[mutator] = 0
		return
	}
	e.absent[mutator] = min(e.absent[mutator]+tx.absent, e.after)
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
