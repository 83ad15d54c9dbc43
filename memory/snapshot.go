package memory

import (
	"context"
	"iter"
	"math"
	"slices"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// Snapshot fixes a moment of the space, as engine.Store says, at a cost that
// depends only on how many documents docs names. It fails only when ctx has ended.
func (s *Store) Snapshot(
	ctx context.Context, id protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	snap := &snapshot{
		asked:  docs.Head,
		groups: map[protocol.ClientGroupID]engine.ClientGroup{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sp := s.spaces[id]; sp != nil {
		snap.state = sp.freeze()
	} else {
		empty := emptyState()
		snap.state = &empty
	}
	for _, g := range docs.Groups {
		if group, ok := s.groups[g]; ok {
			snap.groups[g] = group
		}
	}
	snap.clients, snap.keys = set(docs.Clients), set(docs.Keys)
	return snap, nil
}

func set[T comparable](ids []T) map[T]bool {
	named := make(map[T]bool, len(ids))
	for _, id := range ids {
		named[id] = true
	}
	return named
}

// snapshot is a moment of a space. It would know every document; what was not
// named it hides, so that a caller that forgot to name one fails here as it would
// on a store that has to fetch them.
type snapshot struct {
	state   *state
	asked   bool // for the head
	groups  map[protocol.ClientGroupID]engine.ClientGroup
	clients map[protocol.ClientID]bool
	keys    map[string]bool
}

func (s *snapshot) Head() engine.Head {
	if !s.asked {
		return engine.Head{}
	}
	return s.state.head
}

func (s *snapshot) Group(id protocol.ClientGroupID) (engine.ClientGroup, bool) {
	g, ok := s.groups[id]
	return g, ok
}

func (s *snapshot) Client(id protocol.ClientID) (engine.Client, bool) {
	if !s.clients[id] {
		return engine.Client{}, false
	}
	c, ok := s.state.byID.Get(&engine.Client{ID: id})
	if !ok {
		return engine.Client{}, false
	}
	return lend(c), true
}

func (s *snapshot) Entry(key string) (engine.Entry, bool) {
	if !s.keys[key] {
		return engine.Entry{}, false
	}
	e, ok := s.state.byKey.Get(&engine.Entry{Key: key})
	if !ok {
		return engine.Entry{}, false
	}
	return *e, true
}

// Entries yields in the order of versions, those of one version in the order of
// their keys.
func (s *snapshot) Entries(
	ctx context.Context, after int64,
) iter.Seq2[engine.Entry, error] {
	return func(yield func(engine.Entry, error) bool) {
		if after == math.MaxInt64 {
			return // nothing is above it, and after+1 would wrap round
		}
		from := &engine.Entry{Version: after + 1}
		s.state.byVersion.Ascend(from, func(e *engine.Entry) bool {
			if err := alive(ctx); err != nil {
				yield(engine.Entry{}, err)
				return false
			}
			return yield(*e, nil)
		})
	}
}

func (s *snapshot) Range(ctx context.Context, r engine.Range) ([]engine.Entry, error) {
	var found []engine.Entry
	bytes, err := 0, alive(ctx)
	s.state.byKey.Ascend(&engine.Entry{Key: r.From}, func(e *engine.Entry) bool {
		if err != nil || r.To != "" && e.Key >= r.To {
			return false
		}
		found = append(found, *e)
		bytes += e.Bytes()
		err = alive(ctx)
		return !r.Full(len(found), bytes)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Clients yields those of a group in the order of versions, and all in the order
// of ids.
func (s *snapshot) Clients(
	ctx context.Context, group protocol.ClientGroupID, after int64,
) iter.Seq2[engine.Client, error] {
	return func(yield func(engine.Client, error) bool) {
		if after == math.MaxInt64 {
			return
		}
		each := func(c *engine.Client) bool {
			if err := alive(ctx); err != nil {
				yield(engine.Client{}, err)
				return false
			}
			switch {
			case group != "" && c.GroupID != group:
				return false
			case c.Version <= after:
				return true
			}
			return yield(lend(c), nil)
		}
		if group == "" {
			s.state.byID.Scan(each)
			return
		}
		from := &engine.Client{GroupID: group, Version: after + 1}
		s.state.byGroup.Ascend(from, each)
	}
}

// lend gives a reader rejections of its own.
func lend(c *engine.Client) engine.Client {
	lent := *c
	lent.Rejections = slices.Clone(c.Rejections)
	return lent
}
