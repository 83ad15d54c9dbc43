package storetest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var snapshotCases = []testCase{
	{name: "SnapshotShowsWhatWasNamed", run: testNamed},
	{name: "SnapshotStandsStill", run: testIsolation},
	{name: "SnapshotStandsStillWhileRead", run: testIsolationMidway},
	{name: "SlowReadersMissNothing", run: testSlowReaders},
	{name: "CommitIsSeenAtOnce", run: testReadYourWrites},
	{name: "CommitIsSeenByOthersAtOnce", run: testOthersRead, needs: []capability{second}},
	{name: "EndedContexts", run: testContexts},
	{name: "Ping", run: testPing},
}

func testNamed(k *kit) {
	head := k.commit("s", engine.Head{}, Put("a", `1`), Put("b", `2`), Del("c"),
		Group("g", "u", "s"), Group("h", "v", "s"), Client("x", "g", 1), Client("y", "h", 2))
	snap, err := k.Store.Snapshot(k.ctx, "s", engine.Documents{
		Groups:  []protocol.ClientGroupID{"h", "none", "h"},
		Clients: []protocol.ClientID{"y", "none", "y"},
		Keys:    []string{"b", "none", "c", "b"},
	})
	if err != nil {
		k.Fatal(err)
	}
	if got := snap.Head(); got != (engine.Head{}) {
		k.Errorf("head %+v though not asked for", got)
	}
	for id, want := range map[string]bool{"g": false, "h": true, "none": false} {
		if g, ok := snap.Group(protocol.ClientGroupID(id)); ok != want || ok && string(g.ID) != id {
			k.Errorf("group %s: %+v, %t, want %t", id, g, ok, want)
		}
	}
	for id, want := range map[string]bool{"x": false, "y": true, "none": false} {
		if c, ok := snap.Client(protocol.ClientID(id)); ok != want || ok && string(c.ID) != id {
			k.Errorf("client %s: %+v, %t, want %t", id, c, ok, want)
		}
	}
	for key, want := range map[string]bool{"a": false, "b": true, "c": true, "none": false} {
		if e, ok := snap.Entry(key); ok != want || ok && e.Key != key {
			k.Errorf("entry %s: %+v, %t, want %t", key, e, ok, want)
		}
	}
	if e, _ := snap.Entry("c"); !e.Deleted || e.Value != nil {
		k.Errorf("entry c: %+v, want a tombstone", e)
	}
	// What was not named can still be read: it is of the same moment.
	k.commit("s", head, Del("a"), Client("x", "g", 9))
	k.same("keys", keys(k.scan(snap, engine.Range{})), []string{"a", "b", "c"})
}

func testIsolation(k *kit) {
	head := k.commit("s", engine.Head{}, Put("a", `1`), Put("b", `1`), Put("c", `1`),
		Group("g", "u", "s"), Client("x", "g", 1))
	snap := k.snapshot("s", engine.Documents{})
	absent := k.snapshot("new", engine.Documents{})
	want := k.viewOf(snap)

	head = k.commit("s", head, Put("a", `2`), Del("b"), Put("d", `2`), Client("y", "g", 1))
	second := k.snapshot("s", engine.Documents{})
	wantSecond := k.viewOf(second)
	k.commit("new", engine.Head{}, Put("a", `1`))
	head = k.commit("s", head, Reset(), Client("x", "g", 2))
	if _, err := k.Store.Purge(k.ctx, "s"); err != nil {
		k.Errorf("purge: %v", err)
	}
	k.commit("s", head, Put("a", `3`))

	k.same("first moment", k.viewOf(snap), want)
	k.same("second moment", k.viewOf(second), wantSecond)
	k.same("moment before the space", k.viewOf(absent), view{})
}

// testIsolationMidway commits while iterators are halfway.
func testIsolationMidway(k *kit) {
	const n = 50
	var changes []Change
	for i := range n {
		changes = append(changes, Put(fmt.Sprintf("%02d", i), `1`))
	}
	head := k.commit("s", engine.Head{}, changes...)
	snap := k.snapshot("s", engine.Documents{})

	seen := 0
	for e, err := range snap.Entries(k.ctx, 0) {
		if err != nil {
			k.Fatal(err)
		}
		if e.Version != 1 || string(e.Value) != `1` {
			k.Errorf("entry %+v of a later moment", e)
		}
		if seen++; seen <= 3 {
			head = k.commit("s", head, Put("49", `2`), Del("48"), Put("new", `2`))
		}
	}
	if seen != n {
		k.Errorf("%d entries, want %d", seen, n)
	}
}

// testSlowReaders reads more than a store keeps in memory for a reader, much of it of one
// version, and commits before each few items.
func testSlowReaders(k *kit) {
	const n, each = 120, 60
	value := `"` + strings.Repeat("v", 20_000) + `"`
	refused := rejections(engine.MaxRejections, 1)
	for i := range refused {
		refused[i].Reason = strings.Repeat("r", 600)
	}
	head := k.commit("s", engine.Head{}, Group("g", "u", "s"), Group("h", "u", "s"))
	for i := 0; i < n; i += each {
		var changes []Change
		for j := i; j < i+each; j++ {
			changes = append(changes, Put(fmt.Sprintf("%%/%03d", j*7%n), value), Client(
				protocol.ClientID(fmt.Sprintf("c/%03d", j*7%n)), "g", protocol.MaxMutationID, refused...))
		}
		head = k.commit("s", head, changes...)
	}
	k.commit("s", head, Client("h", "h", 1))
	snap := k.snapshot("s", engine.Documents{})
	want := k.viewOf(snap)

	var got view
	for e, err := range snap.Entries(k.ctx, 0) {
		k.disturb(err, len(got.Entries))
		got.Entries = append(got.Entries, e)
	}
	if !slices.IsSortedFunc(got.Entries, func(a, b engine.Entry) int { return cmp.Compare(a.Version, b.Version) }) {
		k.Error("entries of a slow reader are not in the order of versions")
	}
	slices.SortFunc(got.Entries, func(a, b engine.Entry) int { return cmp.Compare(a.Key, b.Key) })
	k.same("entries of a slow reader", got.Entries, want.Entries)
	for c, err := range snap.Clients(k.ctx, "g", 0) {
		k.disturb(err, len(got.Clients))
		got.Clients = append(got.Clients, c)
	}
	slices.SortFunc(got.Clients, func(a, b engine.Client) int { return cmp.Compare(a.ID, b.ID) })
	k.same("clients of a slow reader", got.Clients, want.Clients[:n])
}

// disturb commits before each tenth item of a reading.
func (k *kit) disturb(err error, item int) {
	k.Helper()
	if err != nil {
		k.Fatalf("after %d items: %v", item, err)
	}
	if item%10 == 5 {
		key := fmt.Sprintf("%03d", item)
		client := Client(protocol.ClientID("c/"+key), "g", protocol.MaxMutationID)
		k.commit("s", k.head("s"), Put("%/"+key, `2`), Put(key, `2`), client)
	}
}

func testReadYourWrites(k *kit) { readAfterCommit(k, k.Store) }

func testOthersRead(k *kit) { readAfterCommit(k, k.Second()) }

func readAfterCommit(k *kit, reader engine.Store) {
	var head engine.Head
	for n := range 20 {
		head = k.commit("s", head, Put("k", itoa(n)))
		docs := engine.Documents{Head: true, Keys: []string{"k"}}
		snap, err := reader.Snapshot(k.ctx, "s", docs)
		if err != nil {
			k.Fatal(err)
		}
		e, _ := snap.Entry("k")
		if snap.Head().Version != head.Version || string(e.Value) != itoa(n) {
			k.Fatalf("read version %d, entry %+v right after commit %d",
				snap.Head().Version, e, head.Version)
		}
	}
}

// testContexts calls everything with a context that has ended.
func testContexts(k *kit) {
	head := k.commit("s", engine.Head{}, Put("a", `1`), Group("g", "u", "s"), Client("c", "g", 1))
	ended, cancel := context.WithCancel(k.ctx)
	snap := k.snapshot("s", engine.Documents{})
	cancel()

	_, errSnapshot := k.Store.Snapshot(ended, "s", engine.Documents{Head: true})
	_, errRange := snap.Range(ended, engine.Range{})
	_, errPurge := k.Store.Purge(ended, "s")
	_, errCommit := k.Store.Commit(ended, "s", Step(head, Put("a", `2`)))
	for name, err := range map[string]error{
		"Snapshot": errSnapshot,
		"Range":    errRange,
		"Purge":    errPurge,
		"Commit":   errCommit,
		"Ping":     k.Store.Ping(ended),
		"Entries":  lastError(k, snap.Entries(ended, 0)),
		"Clients":  lastError(k, snap.Clients(ended, "g", math.MinInt64)),
	} {
		if err == nil {
			k.Errorf("%s succeeded with a context that has ended", name)
		}
	}
	k.told("s", head, errCommit)
	if err := k.Store.Watch(ended, "s", func(engine.Head) {}); !ends(err) {
		k.Errorf("Watch with an ended context: %v", err)
	}
}

// lastError is the error an iterator ends with; it may come only once and last.
func lastError[T any](k *kit, all iter.Seq2[T, error]) error {
	var last error
	for item, err := range all {
		if last != nil {
			k.Errorf("item %+v, error %v after the error %v", item, err, last)
		}
		last = err
	}
	return last
}

func testPing(k *kit) {
	if err := k.Store.Ping(k.ctx); err != nil {
		k.Errorf("ping: %v", err)
	}
}
