package fsck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

const (
	// pageEntries and pageSize bound what is in memory at once, values and all.
	pageEntries = 500
	pageSize    = 4 << 20
	// lookupIDs is how many documents one reading by id names; of entries, pageSize
	// bounds it too.
	lookupIDs = 300
	// maxGroupQueries is how many groups' clients are asked for group by group: a
	// query each, and a live space may have many.
	maxGroupQueries = 100
)

// Check reads a whole space and reports every invariant that does not hold. All
// of it is of one Snapshot, but for two things that have to be read afterwards:
// groups, which never change and so can only be missing if they always were, and
// documents by id, which are compared only while the head has not moved.
//
// It reads each entry about three times and keeps about 100 bytes and the key of
// each in memory, no values. An error says that the check could not be finished
// (the store was unavailable, the context ended); the report then holds what was
// found until then. What the store calls engine.ErrCorrupt is a problem and no
// error.
func Check(
	ctx context.Context, store engine.Store, space protocol.SpaceID,
) (Report, error) {
	c := checker{
		store:   store,
		report:  Report{Space: space},
		entries: map[string]entryMark{},
		clients: map[protocol.ClientID]clientMark{},
		groups:  map[protocol.ClientGroupID]int{},
	}
	err := c.run(ctx)
	return c.report, err
}

type checker struct {
	store  engine.Store
	report Report
	// What Entries and Clients showed, to compare the other ways in with.
	entries map[string]entryMark
	clients map[protocol.ClientID]clientMark
	groups  map[protocol.ClientGroupID]int // how many clients each has
}

// entryMark tells one state of an entry from another. Values are compared by
// their length: a store may write an object's names in any order.
type entryMark struct {
	version int64
	length  int
	deleted bool
}

func markEntry(e engine.Entry) entryMark {
	return entryMark{version: e.Version, length: len(e.Value), deleted: e.Deleted}
}

type clientMark struct {
	group      protocol.ClientGroupID
	version    int64
	mutation   int64
	rejections int
}

func markClient(c engine.Client) clientMark {
	return clientMark{
		group: c.GroupID, version: c.Version,
		mutation: c.LastMutationID, rejections: len(c.Rejections),
	}
}

func (c *checker) run(ctx context.Context) error {
	snap, err := c.store.Snapshot(ctx, c.report.Space, engine.Documents{Head: true})
	if err != nil {
		return c.trouble("head", err)
	}
	c.report.Head = snap.Head()
	c.report.storedHead(snap.Head())
	passes := []struct {
		where string
		run   func(context.Context, engine.Snapshot) error
	}{
		{"entries by version", c.byVersion},
		{"entries by key", c.byKey},
		{"clients", c.allClients},
		{"clients by group", c.byGroup},
	}
	for _, p := range passes {
		if err := c.trouble(p.where, p.run(ctx, snap)); err != nil {
			return err
		}
	}
	return c.byID(ctx)
}

// trouble makes a problem of what the store cannot decode.
func (c *checker) trouble(where string, err error) error {
	if errors.Is(err, engine.ErrCorrupt) {
		c.report.add(Readable, where, "%v", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("checking %s: %w", where, err)
	}
	return nil
}

func (c *checker) byVersion(ctx context.Context, snap engine.Snapshot) error {
	last := int64(math.MinInt64)
	for e, err := range snap.Entries(ctx, math.MinInt64) {
		if err != nil {
			return err
		}
		where := "entry " + quote(e.Key)
		c.count(e)
		c.report.entry(where, e)
		c.report.version(EntryVersion, where, e.Version)
		if e.Version < last {
			c.report.add(EntryOrder, where, "version %d after %d", e.Version, last)
		}
		last = e.Version
		if _, twice := c.entries[e.Key]; twice {
			c.report.add(EntryOnce, where, "shown twice by version")
		}
		c.entries[e.Key] = markEntry(e)
	}
	return nil
}

func (c *checker) count(e engine.Entry) {
	if e.Deleted {
		c.report.Tombstones++
	} else {
		c.report.Entries++
	}
}

// byKey walks the space by pages.
func (c *checker) byKey(ctx context.Context, snap engine.Snapshot) error {
	seen := make(map[string]bool, len(c.entries))
	for page, err := range engine.Pages(ctx, snap, engine.Range{Limit: pageEntries, MaxBytes: pageSize}) {
		if err != nil {
			return err
		}
		if !c.page(page, seen) {
			break
		}
	}
	for key := range c.entries {
		if !seen[key] {
			c.report.add(EntryAgreement, "entry "+quote(key), "not found by key")
		}
	}
	return nil
}

// page checks one page and reports whether it led any further.
func (c *checker) page(page []engine.Entry, seen map[string]bool) bool {
	before := len(seen)
	for i, e := range page {
		where := "entry " + quote(e.Key)
		if i > 0 && e.Key <= page[i-1].Key {
			c.report.add(EntryOrder, where, "after key %s", quote(page[i-1].Key))
		}
		seen[e.Key] = true
		c.agree(where, "key", e)
	}
	return len(seen) > before
}

func (c *checker) agree(where, way string, e engine.Entry) {
	want, ok := c.entries[e.Key]
	if !ok {
		c.report.add(EntryAgreement, where, "found by %s, not by version", way)
	} else if got := markEntry(e); got != want {
		c.report.add(EntryAgreement, where, "%+v by %s, %+v by version", got, way, want)
	}
}

func (c *checker) allClients(ctx context.Context, snap engine.Snapshot) error {
	for cl, err := range snap.Clients(ctx, "", math.MinInt64) {
		if err != nil {
			return err
		}
		where := "client " + quote(string(cl.ID))
		c.report.Clients++
		c.report.client(where, cl)
		c.report.version(ClientVersion, where, cl.Version)
		if _, twice := c.clients[cl.ID]; twice {
			c.report.add(ClientOnce, where, "shown twice")
		}
		c.clients[cl.ID] = markClient(cl)
		c.groups[cl.GroupID]++
	}
	return nil
}

// byGroup asks for the clients of each group, as pulls do: its own index in some
// stores.
func (c *checker) byGroup(ctx context.Context, snap engine.Snapshot) error {
	groups := slices.Sorted(maps.Keys(c.groups))
	for _, group := range groups[:min(len(groups), maxGroupQueries)] {
		if group == "" {
			continue // "" asks for all groups; the id itself is a problem already
		}
		where := "group " + quote(string(group))
		found := map[protocol.ClientID]bool{}
		for cl, err := range snap.Clients(ctx, group, math.MinInt64) {
			if err != nil {
				return err
			}
			if cl.GroupID != group || found[cl.ID] {
				c.report.add(ClientAgreement, where, "client %s of group %s shown, before too: %t",
					quote(string(cl.ID)), quote(string(cl.GroupID)), found[cl.ID])
			}
			found[cl.ID] = true
			c.agreeClient("by group", cl)
		}
		if want := c.groups[group]; len(found) != want {
			c.report.add(ClientAgreement, where, "%d clients by group, %d of all", len(found), want)
		}
	}
	return nil
}

func (c *checker) agreeClient(way string, cl engine.Client) {
	if got, want := markClient(cl), c.clients[cl.ID]; got != want {
		c.report.add(ClientAgreement, "client "+quote(string(cl.ID)),
			"%+v %s, %+v of all", got, way, want)
	}
}
