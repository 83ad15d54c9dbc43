package memory

import (
	"context"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// purgeStep is how many entries are removed before others get the lock.
const purgeStep = 1000

// Purge removes the entries at or below the space's base and says how many, as
// engine.Store says. When ctx ends on the way, what was removed stays removed and
// counted.
func (s *Store) Purge(ctx context.Context, id protocol.SpaceID) (int, error) {
	purged := 0
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

func (s *Store) purge(id protocol.SpaceID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.spaces[id]
	if sp == nil {
		return 0
	}
	var gone []*engine.Entry
	sp.live.byVersion.Scan(func(e *engine.Entry) bool {
		if e.Version > sp.live.head.Base || len(gone) == purgeStep {
			return false
		}
		gone = append(gone, e)
		return true
	})
	if len(gone) > 0 {
		sp.frozen = nil
	}
	for _, e := range gone {
		sp.live.byVersion.Delete(e)
		sp.live.byKey.Delete(e)
	}
	return len(gone)
}
