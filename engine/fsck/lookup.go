package fsck

import (
	"context"
	"maps"
	"slices"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// byID reads every document by its id, as pushes do: an entry that is stored
// under another document id than its key's is seen by pulls and not by mutators.
// What a reset has hidden is left out: a purge may have deleted it by now.
func (c *checker) byID(ctx context.Context) error {
	visible := slices.DeleteFunc(slices.Sorted(maps.Keys(c.entries)), func(key string) bool {
		return c.entries[key].version <= c.report.Head.Base
	})
	for keys := range slices.Chunk(visible, lookupIDs) {
		if err := c.lookup(ctx, engine.Documents{Keys: keys}); err != nil {
			return err
		}
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(c.clients)), lookupIDs) {
		if err := c.lookup(ctx, engine.Documents{Clients: ids}); err != nil {
			return err
		}
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(c.groups)), lookupIDs) {
		ids = slices.DeleteFunc(ids, func(id protocol.ClientGroupID) bool { return id == "" })
		if err := c.lookup(ctx, engine.Documents{Groups: ids}); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) lookup(ctx context.Context, docs engine.Documents) error {
	docs.Head = true
	snap, err := c.store.Snapshot(ctx, c.report.Space, docs)
	if err != nil {
		return c.trouble("documents by id", err)
	}
	for _, id := range docs.Groups {
		c.group(snap, id)
	}
	if snap.Head().Revision != c.report.Head.Revision {
		c.report.Moved = true
		return nil
	}
	for _, key := range docs.Keys {
		c.lookupEntry(snap, key)
	}
	for _, id := range docs.Clients {
		if cl, ok := snap.Client(id); !ok {
			c.report.add(ClientAgreement, "client "+quote(string(id)), "not found by id")
		} else {
			c.agreeClient("by id", cl)
		}
	}
	return nil
}

func (c *checker) lookupEntry(snap engine.Snapshot, key string) {
	where := "entry " + quote(key)
	e, ok := snap.Entry(key)
	switch {
	case !ok:
		c.report.add(EntryAgreement, where, "not found by id")
	case e.Key != key:
		c.report.add(EntryAgreement, where, "key %s under its id", quote(e.Key))
	default:
		c.agree(where, "id", e)
	}
}

func (c *checker) group(snap engine.Snapshot, id protocol.ClientGroupID) {
	where := "group " + quote(string(id))
	g, ok := snap.Group(id)
	switch {
	case !ok:
		c.report.add(ClientGroup, where, "has clients and does not exist")
		return
	case g.ID != id:
		c.report.add(ClientGroup, where, "group %s under its id", quote(string(g.ID)))
	case g.Space != c.report.Space:
		c.report.add(ClientGroup, where, "belongs to space %s", quote(string(g.Space)))
	}
	c.report.Groups++
}
