package fsck

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// byID reads every document by its id, as pushes do: an entry that is stored
// under another document id than its key's is seen by pulls and not by mutators.
// What nobody needs any more is left out: a purge may have deleted it by now.
func (c *checker) byID(ctx context.Context) error {
	for keys := range c.pages(c.keptKeys()) {
		if err := c.lookup(ctx, engine.Documents{Keys: keys}); err != nil {
			return err
		}
	}
	for ids := range slices.Chunk(c.keptClients(), lookupIDs) {
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

// pages are keys that are read at once, by the lengths that their values had.
func (c *checker) pages(keys []string) iter.Seq[[]string] {
	r := engine.Range{Limit: lookupIDs, MaxBytes: pageSize}
	return func(yield func([]string) bool) {
		begin, size := 0, 0
		for i, key := range keys {
			size += len(key) + c.entries[key].length
			if r.Full(i+1-begin, size) {
				if !yield(keys[begin : i+1]) {
					return
				}
				begin, size = i+1, 0
			}
		}
		if begin < len(keys) {
			yield(keys[begin:])
		}
	}
}

// keptKeys are those of entries that no purge deletes.
func (c *checker) keptKeys() []string {
	head := c.report.Head
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.entries)), func(key string) bool {
		e := c.entries[key]
		return e.version <= head.Base || e.deleted && e.version <= head.Floor
	})
}

// keptClients are those that no purge deletes.
func (c *checker) keptClients() []protocol.ClientID {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.clients)), func(id protocol.ClientID) bool {
		return c.clients[id].version <= c.report.Head.DeletedVersion
	})
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
