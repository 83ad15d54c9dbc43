package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var collectCases = []testCase{
	{name: "ExpiredTombstones", run: testExpired},
	{name: "PurgeBelowFloor", run: testPurgeFloor},
	{name: "PurgeTombstonesBesideCommits", run: testPurgeFloorRace},
	{name: "PurgeDeleted", run: testPurgeDeleted},
	{name: "PurgeManyClients", run: testPurgeManyClients},
	{name: "Spaces", run: testSpaces},
}

// delAged writes a tombstone of unknown age, as was done once.
func delAged(key string) Change {
	return func(c *engine.Commit) {
		Del(key)(c)
		c.Entries[len(c.Entries)-1].DeletedAt = engine.Entry{}.DeletedAt
	}
}

func (k *kit) expired(version int64, limit int, want engine.Expired) {
	k.Helper()
	got, err := k.Store.Expired(k.ctx, "s", at(version), limit)
	if err != nil || got != want {
		k.Errorf("expired before version %d: %+v, error %v, want %+v", version, got, err, want)
	}
}

func testExpired(k *kit) {
	k.expired(9, 10, engine.Expired{})
	head := k.commit("s", engine.Head{}, Put("a", `1`), Del("b"), Del("c"))
	head = k.commit("s", head, Del("d"), delAged("e"))
	head = k.commit("s", head, Put("b", `3`), Del("f"))
	k.commit("t", engine.Head{}, Del("elsewhere"))
	k.expired(1, 10, engine.Expired{})
	k.expired(2, 10, engine.Expired{Tombstones: 1, Floor: 1})
	k.expired(3, 10, engine.Expired{Tombstones: 2, Floor: 2})
	k.expired(4, 10, engine.Expired{Tombstones: 3, Floor: 3})
	k.expired(4, 2, engine.Expired{Tombstones: 2, Floor: 2})
	k.same("head", k.head("s"), head)
}

func testPurgeFloor(k *kit) {
	head := k.commit("s", engine.Head{}, Put("a", `1`), Del("b"), Del("c"), Del("d"))
	head = k.commit("s", head, Del("e"), delAged("f"), Put("c", `2`))
	head = k.commit("s", head, Del("g"))
	k.purged(0) // all of them are above the floor
	head = k.commit("s", head, Floor(2))
	k.purged(3) // b, d and e; the age of f is unknown
	k.purged(0)
	got := k.view("s")
	k.same("keys", keys(got.Entries), []string{"a", "c", "f", "g"})
	k.same("head", got.Head, head)
	head = k.commit("s", head, Floor(4), Put("b", `5`))
	k.purged(1)
	k.commit("s", head, Reset())
	k.purged(4)
}

// testPurgeFloorRace writes keys again while their tombstones are purged: what is new
// must stay.
func testPurgeFloorRace(k *kit) {
	const n = 20
	all := func(change func(key string) Change) Change {
		return func(c *engine.Commit) {
			for i := range n {
				change(fmt.Sprintf("%02d", i))(c)
			}
		}
	}
	var head engine.Head
	for range rounds {
		head = k.commit("s", head, all(Del))
		head = k.commit("s", head, Floor(head.Version))
		var purges sync.WaitGroup
		for range 2 {
			purges.Go(func() {
				if _, err := k.Store.Purge(k.ctx, "s"); err != nil {
					k.Errorf("purge: %v", err)
				}
			})
		}
		head = k.commit("s", head, all(func(key string) Change { return Put(key, `"new"`) }))
		purges.Wait()
		if got := k.view("s").Entries; len(got) != n || slices.ContainsFunc(got, tombstone) {
			k.Errorf("entries %+v, want %d new ones", got, n)
		}
	}
}

func tombstone(e engine.Entry) bool { return e.Deleted }

func testPurgeDeleted(k *kit) {
	head := k.commit("s", engine.Head{}, Put("a", `1`), Del("b"),
		Group("g", "u", "s"), Client("x", "g", 1), Client("y", "g", 1))
	head = k.commit("s", head, Delete())
	head = k.commit("s", head, Put("a", `3`), Group("h", "u", "s"), Client("z", "h", 1))
	k.same("head", k.head("s"), head)
	k.purged(3) // b, x and y
	k.purged(0)
	got := k.view("s")
	k.same("keys", keys(got.Entries), []string{"a"})
	k.same("number of clients", len(got.Clients), 1)
	k.same("head", got.Head, head)
	for _, id := range []protocol.ClientGroupID{"g", "h"} {
		if _, ok := k.group("s", id); !ok {
			k.Errorf("group %s is gone", id)
		}
	}
	k.commit("s", head, Delete())
	k.purged(2)
}

// testPurgeManyClients needs more than one step of any purge.
func testPurgeManyClients(k *kit) {
	const n = 400
	head := k.commit("s", engine.Head{}, Group("g", "u", "s"), func(c *engine.Commit) {
		for i := range n {
			Client(protocol.ClientID(fmt.Sprint("c", i)), "g", 1)(c)
		}
	})
	k.commit("s", head, Delete())
	k.purged(n)
	k.same("number of clients", len(k.view("s").Clients), 0)
}

func testSpaces(k *kit) {
	want := []protocol.SpaceID{"a", "a/b", "ä", "%", "..", "__x__", "Z", "deleted"}
	for _, id := range want {
		head := k.commit(id, engine.Head{}, Put("k", `1`))
		if id == "deleted" {
			k.commit(id, head, Delete())
		}
	}
	for _, limit := range []int{1, 3, len(want), 100} {
		got := k.spaces(limit)
		again := k.spaces(limit)
		k.same("the same order again", again, got)
		slices.Sort(got)
		k.same("spaces", got, slices.Sorted(slices.Values(want)))
	}
	ended, end := context.WithCancel(k.ctx)
	end()
	if _, err := k.Store.Spaces(ended, "", 1); err == nil {
		k.Error("spaces were listed after the context had ended")
	}
}

// spaces lists all by pages.
func (k *kit) spaces(limit int) []protocol.SpaceID {
	k.Helper()
	var all []protocol.SpaceID
	for after := protocol.SpaceID(""); ; {
		page, err := k.Store.Spaces(k.ctx, after, limit)
		if err != nil || len(page) > limit {
			k.Fatalf("spaces after %q: %d, error %v, limit %d", after, len(page), err, limit)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		after = page[len(page)-1]
	}
}
