package memory

import (
	"context"
	"fmt"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// bell tells the watchers of a space that it has changed. It exists while there
// are any, whether or not the space does.
type bell struct {
	rung     chan struct{} // closed at the next change, then replaced
	watchers int
}

// ring wakes all who watch the space. It is called with the lock held.
func (s *Store) ring(id protocol.SpaceID) {
	if b := s.bells[id]; b != nil {
		close(b.rung)
		b.rung = make(chan struct{})
	}
}

// Watch calls notify, on the caller's goroutine, with the head at once and after
// each change, as engine.Store says; changes during a call are told as one. It
// returns only when ctx ends, with its error.
func (s *Store) Watch(
	ctx context.Context, id protocol.SpaceID, notify func(engine.Head),
) error {
	s.enter(id)
	defer s.leave(id)
	for told, first := "", true; ; first = false {
		head, rung := s.listen(id)
		if ctx.Err() != nil {
			break
		}
		if first || head.Revision != told {
			notify(head)
			told = head.Revision
		}
		select {
		case <-ctx.Done():
		case <-rung:
		}
	}
	return fmt.Errorf("watching: %w", ctx.Err())
}

func (s *Store) enter(id protocol.SpaceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bells[id] == nil {
		s.bells[id] = &bell{rung: make(chan struct{})}
	}
	s.bells[id].watchers++
}

func (s *Store) leave(id protocol.SpaceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bells[id].watchers--
	if s.bells[id].watchers == 0 {
		delete(s.bells, id)
	}
}

// listen reads the head and what will ring after it, as one.
func (s *Store) listen(id protocol.SpaceID) (engine.Head, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head(id), s.bells[id].rung
}
