package engine

import "sync"

// largePush is the size from which a push has to leave room to smaller ones.
const largePush = 256 << 10

// room is the memory for the pushes that wait, of all spaces. A quarter of it is for small
// ones, so that backlogs do not keep those out who type. Its methods are safe for
// concurrent use.
type room struct {
	bytes int64 // for all

	mu    sync.Mutex
	taken int64 // guarded by mu
}

// take takes room for a push, and refuses one that does not fit, unless nothing else is
// there. release gives it back; only its first call counts.
func (r *room) take(bytes int) (release func(), ok bool) {
	size, most := int64(bytes), r.bytes
	if size > largePush {
		most = most / 4 * 3
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if size > 0 && r.taken > 0 && r.taken+size > most {
		return nil, false
	}
	r.taken += size
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.taken -= size
	}), true
}
