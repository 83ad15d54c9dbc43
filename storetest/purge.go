package storetest

import (
	"fmt"
	"sync"

	"github.com/replifire/replifire/engine"
)

var purgeCases = []testCase{
	{name: "PurgeBelowBase", run: testPurge},
	{name: "PurgeMany", run: testPurgeMany},
	{name: "PurgeBesideCommits", run: testPurgeRace},
}

func testPurge(k *kit) {
	head := k.commit("s", engine.Head{}, Put("a", `1`), Put("b", `1`), Del("c"),
		Group("g", "u", "s"), Client("x", "g", 1))
	k.purged(0)
	head = k.commit("s", head, Reset(), Client("y", "g", 1))
	head = k.commit("s", head, Put("b", `3`), Put("d", `3`))
	k.purged(2) // a and c; b was rewritten
	k.purged(0)
	got := k.view("s")
	k.same("keys", keys(got.Entries), []string{"b", "d"})
	k.same("number of clients", len(got.Clients), 2)
	k.same("head", got.Head, head)
	if g, ok := k.group("s", "g"); !ok {
		k.Errorf("group %+v is gone", g)
	}
	// A purge is no change: the head read before it still is the head.
	head = k.commit("s", head, Put("a", `4`))
	k.commit("s", head, Reset())
	k.purged(3)
	k.same("keys", keys(k.view("s").Entries), []string{})
}

// purged purges space s and expects to remove so many entries.
func (k *kit) purged(want int) {
	k.Helper()
	got, err := k.Store.Purge(k.ctx, "s")
	if err != nil || got != want {
		k.Errorf("purged %d, error %v, want %d", got, err, want)
	}
}

// testPurgeMany needs more than one step of any purge.
func testPurgeMany(k *kit) {
	const n = 1_100
	var head engine.Head
	for half := range 2 {
		head = k.commit("s", head, func(c *engine.Commit) {
			for i := range n / 2 {
				Put(fmt.Sprint(half, i), `1`)(c)
			}
		})
	}
	head = k.commit("s", head, Reset())
	k.commit("s", head, Put("new", `1`))
	k.purged(n)
	k.same("keys", keys(k.view("s").Entries), []string{"new"})
}

// testPurgeRace rewrites keys while they are purged: what is new must stay.
func testPurgeRace(k *kit) {
	const n = 20
	all := func(value string) Change {
		return func(c *engine.Commit) {
			for i := range n {
				Put(fmt.Sprintf("%02d", i), value)(c)
			}
		}
	}
	var head engine.Head
	for range rounds {
		head = k.commit("s", head, all(`"old"`))
		head = k.commit("s", head, Reset())
		var purges sync.WaitGroup
		for range 2 {
			purges.Go(func() {
				if _, err := k.Store.Purge(k.ctx, "s"); err != nil {
					k.Errorf("purge: %v", err)
				}
			})
		}
		head = k.commit("s", head, all(`"new"`))
		purges.Wait()
		got := k.view("s").Entries
		k.same("number of entries", len(got), n)
		for _, e := range got {
			if string(e.Value) != `"new"` {
				k.Errorf("entry %+v, want the new one", e)
			}
		}
	}
}
