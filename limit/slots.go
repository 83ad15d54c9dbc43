package limit

import "sync"

// Slots count what each key holds at once. Make them with NewSlots. They remember
// no more keys than hold something. Safe for concurrent use.
type Slots struct {
	most int

	mu   sync.Mutex
	held map[string]int // guarded by mu; none is 0
}

// NewSlots makes slots, so many for each key; nil if that is 0.
func NewSlots(most int) *Slots {
	if most == 0 {
		return nil
	}
	return &Slots{most: most, held: map[string]int{}}
}

// Take takes a slot of the key, if one is free. Whoever has taken one gives it back
// with release, once.
func (s *Slots) Take(key string) (release func(), ok bool) {
	if s == nil {
		return func() {}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[key] >= s.most {
		return nil, false
	}
	s.held[key]++
	return func() { s.release(key) }, true
}

func (s *Slots) release(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[key]--
	if s.held[key] == 0 {
		delete(s.held, key)
	}
}
