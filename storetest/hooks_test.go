package storetest_test

import (
	"context"
	"iter"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// mutant is a way to break a store, and the case that must catch it.
type mutant struct {
	caught string
	breaks func(engine.Store) engine.Store
}

// hooked is a store of which some methods are replaced.
type hooked struct {
	engine.Store
	commit   func(context.Context, engine.Store, protocol.SpaceID, engine.Commit) (engine.Head, error)
	snapshot func(engine.Snapshot) engine.Snapshot
	watch    func(context.Context, engine.Store, protocol.SpaceID, func(engine.Head)) error
	purge    func(context.Context, engine.Store, protocol.SpaceID) (int, error)
	expired  func(engine.Expired, int) engine.Expired
	spaces   func([]protocol.SpaceID) []protocol.SpaceID
	context  func(context.Context) context.Context
	docs     func(engine.Documents) engine.Documents
	space    func(protocol.SpaceID) protocol.SpaceID
}

// hooks makes mutants of hooked, a new copy for each store.
func hooks(h hooked) func(engine.Store) engine.Store {
	return func(store engine.Store) engine.Store {
		copied := h
		copied.Store = store
		return &copied
	}
}

func (h *hooked) Commit(
	ctx context.Context, space protocol.SpaceID, c engine.Commit,
) (engine.Head, error) {
	if h.space != nil {
		space = h.space(space)
	}
	if h.context != nil {
		ctx = h.context(ctx)
	}
	if h.commit != nil {
		return h.commit(ctx, h.Store, space, c)
	}
	return h.Store.Commit(ctx, space, c)
}

func (h *hooked) Snapshot(
	ctx context.Context, space protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	if h.space != nil {
		space = h.space(space)
	}
	if h.context != nil {
		ctx = h.context(ctx)
	}
	if h.docs != nil {
		docs = h.docs(docs)
	}
	snap, err := h.Store.Snapshot(ctx, space, docs)
	if err == nil && h.snapshot != nil {
		snap = h.snapshot(snap)
	}
	return snap, err
}

func (h *hooked) Watch(
	ctx context.Context, space protocol.SpaceID, notify func(engine.Head),
) error {
	if h.watch != nil {
		return h.watch(ctx, h.Store, space, notify)
	}
	return h.Store.Watch(ctx, space, notify)
}

func (h *hooked) Purge(ctx context.Context, space protocol.SpaceID) (int, error) {
	if h.purge != nil {
		return h.purge(ctx, h.Store, space)
	}
	return h.Store.Purge(ctx, space)
}

func (h *hooked) Expired(
	ctx context.Context, space protocol.SpaceID, before time.Time, limit int,
) (engine.Expired, error) {
	found, err := h.Store.Expired(ctx, space, before, limit)
	if h.expired != nil {
		found = h.expired(found, limit)
	}
	return found, err
}

func (h *hooked) Spaces(
	ctx context.Context, after protocol.SpaceID, limit int,
) ([]protocol.SpaceID, error) {
	ids, err := h.Store.Spaces(ctx, after, limit)
	if h.spaces != nil {
		ids = h.spaces(ids)
	}
	return ids, err
}

// lens is a snapshot some of whose reads are changed.
type lens struct {
	engine.Snapshot
	entries func(all iter.Seq2[engine.Entry, error]) iter.Seq2[engine.Entry, error]
	after   func(int64) int64
	ranges  func(context.Context, engine.Snapshot, engine.Range) ([]engine.Entry, error)
	client  func(engine.Client) engine.Client
	group   func(protocol.ClientGroupID) protocol.ClientGroupID
	head    func(engine.Head) engine.Head
}

func lenses(l lens) func(engine.Store) engine.Store {
	return hooks(hooked{snapshot: func(snap engine.Snapshot) engine.Snapshot {
		copied := l
		copied.Snapshot = snap
		return &copied
	}})
}

func (l *lens) Head() engine.Head {
	if l.head != nil {
		return l.head(l.Snapshot.Head())
	}
	return l.Snapshot.Head()
}

func (l *lens) Entries(ctx context.Context, after int64) iter.Seq2[engine.Entry, error] {
	if l.after != nil {
		after = l.after(after)
	}
	all := l.Snapshot.Entries(ctx, after)
	if l.entries != nil {
		return l.entries(all)
	}
	return all
}

func (l *lens) Range(ctx context.Context, r engine.Range) ([]engine.Entry, error) {
	if l.ranges != nil {
		return l.ranges(ctx, l.Snapshot, r)
	}
	return l.Snapshot.Range(ctx, r)
}

func (l *lens) Clients(
	ctx context.Context, group protocol.ClientGroupID, after int64,
) iter.Seq2[engine.Client, error] {
	if l.group != nil {
		group = l.group(group)
	}
	return func(yield func(engine.Client, error) bool) {
		for c, err := range l.Snapshot.Clients(ctx, group, after) {
			if l.client != nil {
				c = l.client(c)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}
