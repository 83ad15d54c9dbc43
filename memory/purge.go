package memory

import (
	"context"
	"slices"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// purgeStep is how many entries are removed before others get the lock.
const purgeStep = 1000

// Purge removes what nobody can see any more and says how many, as engine.Store
// says. When ctx ends on the way, what was removed stays removed and
// counted.
func (s *Store) Purge(ctx context.Context, id protocol.SpaceID) (int, error) {
	purged, err := s.purgeFormer(ctx, id)
	if err != nil {
		return 0, err
	}
	for {
		if err := alive(ctx); err != nil {
			return purged, err
		}
		n := s.purge(id)
		purged += n
		if n < purgeStep {
			return purged, nil
		}
	}
}

// purgeFormer is first, as in any store: who is no member any more cannot come back.
func (s *Store) purgeFormer(ctx context.Context, id protocol.SpaceID) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.purgeMembers(id), nil
}

func (s *Store) purge(id protocol.SpaceID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.spaces[id]
	if sp == nil {
		return 0
	}
	n := sp.live.purgeEntries(purgeStep)
	n += sp.live.purgeClients(purgeStep - n)
	if n > 0 {
		sp.frozen = nil
	}
	return n
}

// purgeEntries removes entries at or below the base, and tombstones with a time at
// or below the floor, at most limit.
func (s *state) purgeEntries(limit int) int {
	var gone []*engine.Entry
	s.byVersion.Scan(func(e *engine.Entry) bool {
		if e.Version > s.head.Floor || len(gone) == limit {
			return false
		}
		if e.Version <= s.head.Base || e.Deleted && !e.DeletedAt.IsZero() {
			gone = append(gone, e)
		}
		return true
	})
	for _, e := range gone {
		s.byVersion.Delete(e)
		s.byKey.Delete(e)
	}
	return len(gone)
}

// purgeClients removes clients of before the space was deleted, at most limit.
func (s *state) purgeClients(limit int) int {
	if s.head.DeletedVersion == 0 {
		return 0
	}
	var gone []*engine.Client
	s.byID.Scan(func(c *engine.Client) bool {
		if len(gone) == limit {
			return false
		}
		if c.Version <= s.head.DeletedVersion {
			gone = append(gone, c)
		}
		return true
	})
	for _, c := range gone {
		s.byID.Delete(c)
		s.byGroup.Delete(c)
	}
	return len(gone)
}

// Expired looks for tombstones of before a time, as engine.Store says.
func (s *Store) Expired(
	ctx context.Context, id protocol.SpaceID, before time.Time, limit int,
) (engine.Expired, error) {
	if err := alive(ctx); err != nil {
		return engine.Expired{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found engine.Expired
	sp := s.spaces[id]
	if sp == nil {
		return found, nil
	}
	sp.live.byVersion.Scan(func(e *engine.Entry) bool {
		if e.Deleted && !e.DeletedAt.IsZero() && e.DeletedAt.Before(before) {
			found.Tombstones++
			found.Floor = e.Version
		}
		return found.Tombstones < limit
	})
	return found, nil
}

// Spaces lists the spaces in the order of their ids' bytes, as engine.Store says.
func (s *Store) Spaces(
	ctx context.Context, after protocol.SpaceID, limit int,
) ([]protocol.SpaceID, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []protocol.SpaceID
	for id := range s.spaces {
		if id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), limit)], nil
}
