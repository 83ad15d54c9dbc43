package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var commitCases = []testCase{
	{name: "SpaceNobodyWroteTo", run: testAbsentSpace},
	{name: "FirstCommitCreates", run: testCreate},
	{name: "TimesRoundTrip", run: testTimes},
	{name: "ImportRoundTrips", run: testImporting},
	{name: "PrivateRoundTrips", run: testPrivate},
	{name: "NamesRoundTrip", run: testNames},
	{name: "VersionsCountUp", run: testVersions},
	{name: "CommitOfNothing", run: testEmptyCommit},
	{name: "StaleCommitConflicts", run: testStale},
	{name: "ExistingGroupConflicts", run: testGroupExists},
	{name: "StoredEntryConflicts", run: testAbsent},
	{name: "ImpossibleCommits", run: testImpossible},
	{name: "CommitCopies", run: testOwnership},
	{name: "SpacesAreApart", run: testSpacesApart},
}

func testAbsentSpace(k *kit) {
	docs := engine.Documents{
		Groups:  []protocol.ClientGroupID{"g"},
		Clients: []protocol.ClientID{"c"},
		Keys:    []string{"k", ""},
	}
	snap := k.snapshot("absent", docs)
	if snap.Head() != (engine.Head{}) {
		k.Errorf("head %+v, want the zero Head", snap.Head())
	}
	if g, ok := snap.Group("g"); ok {
		k.Errorf("group %+v of an empty store", g)
	}
	if c, ok := snap.Client("c"); ok {
		k.Errorf("client %+v of an empty store", c)
	}
	for _, key := range docs.Keys {
		if e, ok := snap.Entry(key); ok {
			k.Errorf("entry %+v of an empty store", e)
		}
	}
	k.same("an absent space", k.viewOf(snap), view{})
	k.touch("absent")
}

func testCreate(k *kit) {
	c := Step(engine.Head{},
		Put("b", `{"n":1}`), Put("a", `"text"`), Del("never"),
		Group("g", "user", "s"), Client("c", "g", 3))
	head := k.apply("s", c)
	if head.Version != 1 {
		k.Errorf("version %d of a new space, want 1", head.Version)
	}
	snap := k.snapshot("s", engine.Documents{
		Groups:  []protocol.ClientGroupID{"g"},
		Clients: []protocol.ClientID{"c"},
		Keys:    []string{"a", "b", "never"},
	})
	if got := snap.Head().Revision; got != head.Revision {
		k.Errorf("revision %q read, %q returned by Commit", got, head.Revision)
	}
	group, _ := snap.Group("g")
	k.same("group", group, c.Groups[0])
	client, _ := snap.Client("c")
	k.same("client", client, c.Clients[0])
	for _, want := range c.Entries {
		got, ok := snap.Entry(want.Key)
		if !ok {
			k.Errorf("entry %q not found", want.Key)
		}
		k.same("entry", got, want)
	}
	k.same("space", k.viewOf(snap), view{
		Head:    c.Next,
		Entries: []engine.Entry{c.Entries[1], c.Entries[0], c.Entries[2]},
		Clients: c.Clients,
	})
}

func testTimes(k *kit) {
	zone := time.FixedZone("far", 11*3600)
	c := Step(engine.Head{}, Group("g", "", "s"), Client("c", "g", 1))
	c.Next.CreatedAt = time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	c.Next.UpdatedAt = time.Date(2026, 6, 1, 0, 0, 0, 1_000, zone)
	c.Groups[0].CreatedAt = time.Date(2026, 6, 1, 12, 0, 0, 0, zone)
	c.Clients[0].LastSeen = time.Date(2100, 1, 2, 3, 4, 5, 6_000, time.Local)
	head := k.apply("s", c)
	if !k.head("s").RestoredAt.IsZero() {
		k.Errorf("RestoredAt %v, want zero as written", k.head("s").RestoredAt)
	}
	snap := k.snapshot("s", engine.Documents{
		Groups: []protocol.ClientGroupID{"g"}, Clients: []protocol.ClientID{"c"},
	})
	group, _ := snap.Group("g")
	client, _ := snap.Client("c")
	k.same("head", snap.Head(), c.Next)
	k.same("group", group, c.Groups[0])
	k.same("client", client, c.Clients[0])

	c = Step(head)
	c.Next.RestoredAt = at(77)
	k.apply("s", c)
	k.same("restored head", k.head("s"), c.Next)
}

// testNames: a head keeps the names that it was given, and no others.
func testNames(k *kit) {
	head := k.commit("s", engine.Head{})
	for range 3 {
		head = k.commit("s", head)
	}
	k.same("names", k.head("s"), head)
	if n := head.Names(); n != 4 {
		k.Errorf("%d names of 4 commits: %q", n, head.History)
	}
	k.watch(k.Store, "s").reaches(head)
	bare := Step(head)
	bare.Next.History = "" // as a program that knows no names has it
	k.apply("s", bare)
	if got := k.head("s").History; got != "" {
		k.Errorf("names %q, want none as written", got)
	}
	head = k.commit("s", k.head("s"))
	k.same("names from here on", k.head("s"), head)
	k.refused("s", edited(head, func(c *engine.Commit) { c.Next.History = head.History }), engine.ErrImpossible)
}

// edited is a commit that was fine, spoiled.
func edited(head engine.Head, spoil func(*engine.Commit)) engine.Commit {
	c := Step(head)
	spoil(&c)
	return c
}

// testImporting: the mark of an import is kept, and goes again.
func testImporting(k *kit) {
	head := k.commit("s", engine.Head{}, importing("backup", 0))
	k.same("marked at once", k.head("s"), head)
	head = k.commit("s", head, importing("backup", 7), Put("k", `1`))
	k.same("going on", k.head("s"), head)
	head = k.commit("s", head, importing("", 0))
	k.same("over", k.head("s"), head)
	k.refused("s", Step(head, importing("", 1)), engine.ErrImpossible)
}

// testPrivate: whom the last commits concern is kept until a commit says otherwise.
func testPrivate(k *kit) {
	const ann, bob = "AAAAAAAA", "BBBBBBBB"
	head := k.commit("s", engine.Head{}, Put("k", `1`))
	head = k.commit("s", head, private(ann))
	k.same("one", k.head("s"), head)
	head = k.commit("s", head, private(ann+","+ann+bob))
	k.same("two", k.head("s"), head)
	k.refused("s", Step(head, private(ann), Put("k", `2`)), engine.ErrImpossible)
	k.refused("s", Step(head, private("ann")), engine.ErrImpossible)
	head = k.commit("s", head, private(""), Put("k", `2`))
	k.same("everybody", k.head("s"), head)
}

func private(names string) Change {
	return func(c *engine.Commit) { c.Next.Private = names }
}

func importing(name string, n int64) Change {
	return func(c *engine.Commit) { c.Next.Importing, c.Next.Imported = name, n }
}

func testVersions(k *kit) {
	first := k.commit("s", engine.Head{}, Put("a", `1`), Put("b", `1`), Put("c", `1`))
	second := k.commit("s", first, Put("b", `2`), Del("c"))
	third := k.commit("s", second, Put("c", `3`), Del("a"))
	want := view{Head: third, Entries: []engine.Entry{
		{Key: "a", Version: 3, Deleted: true, DeletedAt: at(3)},
		{Key: "b", Version: 2, Value: []byte(`2`)},
		{Key: "c", Version: 3, Value: []byte(`3`)},
	}}
	k.same("space", k.view("s"), want)
	if third.Version != 3 || third.Epoch != first.Epoch {
		k.Errorf("third head %+v, want version 3 of epoch %q", third, first.Epoch)
	}
}

func testEmptyCommit(k *kit) {
	head := k.commit("s", engine.Head{})
	head = k.commit("s", head)
	k.same("space", k.view("s"), view{Head: head})
}

func testStale(k *kit) {
	other := k.commit("other", engine.Head{}, Put("k", `0`))
	first := k.commit("s", engine.Head{}, Put("k", `1`))
	head := k.commit("s", first, Put("k", `2`))
	for name, prev := range map[string]engine.Head{
		"an old head":             first,
		"no head":                 {},
		"the head of another one": other,
	} {
		k.sub(name, func(k *kit) {
			c := Step(prev, Put("k", `"stale"`), Put("more", `"stale"`), Del("less"),
				Group("g", "u", "s"), Client("c", "g", 1))
			k.refused("s", c, engine.ErrConflict)
		})
	}
	k.refused("never", Step(head, Put("k", `1`)), engine.ErrConflict)
	if g, ok := k.group("s", "g"); ok {
		k.Errorf("group %+v of refused commits", g)
	}
	k.commit("s", head, Put("k", `3`))
}

func (k *kit) group(
	space protocol.SpaceID, id protocol.ClientGroupID,
) (engine.ClientGroup, bool) {
	k.Helper()
	docs := engine.Documents{Groups: []protocol.ClientGroupID{id}}
	return k.snapshot(space, docs).Group(id)
}

func testGroupExists(k *kit) {
	head := k.commit("s", engine.Head{}, Group("g", "owner", "s"), Client("c", "g", 1))
	want, _ := k.group("s", "g")

	again := Step(head, Put("k", `1`), Group("new", "u", "s"), Group("g", "u", "s"))
	k.refused("s", again, engine.ErrConflict)
	elsewhere := Step(engine.Head{}, Put("k", `1`),
		Group("new", "u", "t"), Group("g", "u", "t"))
	k.refused("t", elsewhere, engine.ErrConflict)

	got, _ := k.group("t", "g")
	k.same("group seen from another space", got, want)
	if g, ok := k.group("s", "new"); ok {
		k.Errorf("group %+v of a refused commit", g)
	}
	k.commit("s", head, Group("new", "u", "s"), Client("c", "g", 2))
}

// testAbsent: what is said to be absent must not be stored, in whatever state.
func testAbsent(k *kit) {
	head := k.commit("s", engine.Head{}, Put("below base", `1`))
	head = k.commit("s", head, Reset())
	head = k.commit("s", head, Put("value", `1`), Put("deleted", `1`))
	head = k.commit("s", head, Del("deleted"))
	for _, key := range []string{"value", "deleted", "below base"} {
		c := Step(head, Put("other", `2`), Put("new", `2`), Absent("new"), Put(key, `2`), Absent(key))
		k.refused("s", c, engine.ErrConflict)
	}
	head = k.commit("s", head,
		Put("value", `2`), Put("z new", `2`), Absent("z new"), Put("a/new", `2`), Absent("a/new"),
		Del("new, deleted"), Absent("new, deleted"))
	k.refused("s", Step(head, Put("a/new", `3`), Absent("a/new")), engine.ErrConflict)
	k.refused("s", Step(head, Del("new, deleted"), Absent("new, deleted")), engine.ErrConflict)
	k.commit("t", engine.Head{}, Put("value", `1`), Absent("value")) // of another space
}

// testImpossible holds a store to refuse at once, for good and whole, what would
// break the invariants of package fsck or could never be read back.
func testImpossible(k *kit) {
	head := k.commit("s", engine.Head{}, Put("k", `1`))
	long := strings.Repeat("k", engine.MaxKeyBytes+1)
	large := `"` + strings.Repeat("v", engine.MaxValueBytes-1) + `"`
	for name, change := range map[string]Change{
		"key too long":           Put(long, `1`),
		"key is not UTF-8":       Put("\xff", `1`),
		"value too large":        Put("x", large),
		"value is not JSON":      Put("x", `{"a":}`),
		"value is empty":         Put("x", ``),
		"half a surrogate pair":  Put("x", `"\ud800"`),
		"two values":             Put("x", `1 2`),
		"value is not canonical": edit(func(c *engine.Commit) { c.Entries[0].Value = []byte(`{"b":1,"a":2}`) }),
		"value without text":     edit(func(c *engine.Commit) { c.Entries[0].Value = nil }),
		"tombstone with a value": edit(func(c *engine.Commit) { c.Entries[0].Deleted = true }),
		"entry of another time":  edit(func(c *engine.Commit) { c.Entries[0].Version-- }),
		"client of another time": edit(func(c *engine.Commit) { c.Clients[0].Version++ }),
		"client without a count": Client("d", "g", 0),
		"client without an id":   Client("", "g", 1),
		"client without a group": Client("d", "", 1),
		"a key twice":            Del("ok"),
		"a client twice":         Client("c", "g", 2),
		"a group twice":          Group("g", "v", "s"),
		"a group of another":     Group("h", "v", "t"),
		"a version left out":     edit(func(c *engine.Commit) { c.Next.Version++ }),
		"no epoch":               edit(func(c *engine.Commit) { c.Next.Epoch = "" }),
		"no nonce":               edit(func(c *engine.Commit) { c.Next.Nonce = "" }),
		"base above floor":       edit(func(c *engine.Commit) { c.Next.Base = 1 }),
		"too many rejections":    Client("d", "g", 99, rejections(engine.MaxRejections+1, 2)...),
	} {
		k.sub(name, func(k *kit) {
			c := Step(head, Put("ok", `1`), Group("g", "u", "s"), Client("c", "g", 1), change)
			k.refused("s", c, engine.ErrImpossible)
		})
	}
	k.commit("s", head, Put("ok", `1`), Group("g", "u", "s"), Client("c", "g", 1))
}

// edit spoils a commit that was fine.
func edit(spoil func(*engine.Commit)) Change { return spoil }

func rejections(n int, version int64) []engine.Rejection {
	all := make([]engine.Rejection, n)
	for i := range all {
		all[i] = engine.Rejection{
			MutationID: int64(i + 1), Name: fmt.Sprintf("name %d", i),
			Reason: "reason \x00 \u2028 " + strings.Repeat("…", i), Version: version,
		}
	}
	return all
}

// testOwnership changes what it gave and what it was given.
func testOwnership(k *kit) {
	value := []byte(`"before"`)
	refused := rejections(2, 1)
	c := Step(engine.Head{}, Put("k", ""), Group("g", "u", "s"), Client("c", "g", 9, refused...))
	c.Entries[0].Value = value
	k.apply("s", c)
	want := k.view("s")

	copy(value, `"after!"`)
	refused[0].Reason = "changed"
	c.Entries[0].Key = "changed"
	c.Clients[0].ID = "changed"
	for _, client := range k.view("s").Clients {
		client.Rejections[1].Reason = "changed"
	}
	docs := engine.Documents{Clients: []protocol.ClientID{"c"}}
	client, _ := k.snapshot("s", docs).Client("c")
	client.Rejections[1].Reason = "changed"

	k.same("space", k.view("s"), want)
	k.same("value", string(want.Entries[0].Value), `"before"`)
}

func testSpacesApart(k *kit) {
	a := k.commit("a", engine.Head{}, Put("k", `"a"`), Group("ga", "u", "a"), Client("c", "ga", 1))
	b := k.commit("b", engine.Head{}, Put("k", `"b"`), Group("gb", "u", "b"), Client("c", "gb", 5))
	k.commit("a", a, Del("k"))
	got := k.view("b")
	if len(got.Entries) != 1 || string(got.Entries[0].Value) != `"b"` {
		k.Errorf("entries %+v, want b's own", got.Entries)
	}
	if len(got.Clients) != 1 || got.Clients[0].LastMutationID != 5 {
		k.Errorf("clients %+v, want b's own", got.Clients)
	}
	k.same("head", got.Head, b)
}
