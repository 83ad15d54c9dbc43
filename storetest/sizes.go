package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var sizeCases = []testCase{
	{name: "LargeCommit", run: testLargeCommit},
	{name: "LargeSpace", run: testLargeSpace},
}

// testLargeCommit is about what the engine puts into one: 3 MiB.
func testLargeCommit(k *kit) {
	const n = 500
	c := Step(engine.Head{}, Group("g", "u", "s"))
	value := `"` + strings.Repeat("v", 5_500) + `"`
	for i := range n {
		Put(fmt.Sprintf("key/%03d", i), value)(&c)
		Client(protocol.ClientID(fmt.Sprintf("client %03d", i)), "g", 1)(&c)
	}
	k.apply("s", c)
	k.same("space", k.view("s"), view{Head: c.Next, Entries: c.Entries, Clients: c.Clients})
}

func testLargeSpace(k *kit) {
	commits, each := 10, 500
	if testing.Short() {
		each = 50
	}
	var head engine.Head
	for n := range commits {
		head = k.commit("s", head, func(c *engine.Commit) {
			for i := range each {
				Put(fmt.Sprintf("%04d/%d", i, n), `{"text":"some text","n":1}`)(c)
			}
		})
	}
	snap := k.snapshot("s", engine.Documents{})
	all := collect(k, snap.Entries(k.ctx, 0))
	k.same("number of entries", len(all), commits*each)
	for i, e := range all {
		if want := int64(i/each + 1); e.Version != want {
			k.Fatalf("entry %d is of version %d, want %d", i, e.Version, want)
		}
	}
	k.same("last commit", len(collect(k, snap.Entries(k.ctx, head.Version-1))), each)

	var paged []engine.Entry
	for from := ""; ; from = paged[len(paged)-1].Key + "\x00" {
		page := k.scan(snap, engine.Range{From: from, Limit: 999})
		paged = append(paged, page...)
		if len(page) < 999 {
			break
		}
	}
	k.same("pages", keys(paged), keys(k.scan(snap, engine.Range{})))
	k.same("number in pages", len(paged), commits*each)
}
