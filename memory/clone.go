package memory

import (
	"maps"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// Clone returns another Store with the same spaces and client groups: a backup of
// this moment. What happens to one of the two is not seen in the other, and nobody
// watches the new one.
func (s *Store) Clone() *Store {
	clone := New()
	s.mu.Lock()
	defer s.mu.Unlock()
	clone.spaces, clone.groups = s.copies()
	clone.revisions = s.revisions
	return clone
}

// Restore makes the spaces and client groups those of from, and tells the watchers of
// each space. Revisions go on from where they are, so that none comes twice.
func (s *Store) Restore(from *Store) {
	from.mu.Lock()
	spaces, groups := from.copies()
	from.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spaces, s.groups = spaces, groups
	for id := range s.bells {
		s.ring(id)
	}
}

// copies shares all nodes of the trees with s; called with the lock held.
func (s *Store) copies() (
	map[protocol.SpaceID]*space, map[protocol.ClientGroupID]engine.ClientGroup,
) {
	spaces := make(map[protocol.SpaceID]*space, len(s.spaces))
	for id, sp := range s.spaces {
		spaces[id] = &space{live: sp.live.copy()}
	}
	return spaces, maps.Clone(s.groups)
}
