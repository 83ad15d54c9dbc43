package storetest

import (
	"slices"
	"strings"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var idCases = []testCase{
	{name: "IDsMadeToHurt", run: testIDs},
	{name: "GroupIDsMadeToHurt", run: testGroupIDs},
	{name: "KeysMadeToHurt", run: testKeys},
}

// hurtful are ids that break paths, escapes, reserved names and comparisons. All
// are different, and only "" (a key, never an id) is left out.
func hurtful() []string {
	const longest = min(protocol.MaxIDBytes, engine.MaxKeyBytes)
	repeat := func(s string) string { return strings.Repeat(s, longest/len(s)) }
	return []string{
		"plain", "a/b", "a/b/c", "a//b", "/", "//", "/a", "a/", ".", "..", "...", ".a", "./a", "../a",
		"__", "____", "__x__", "__x", "x__", "__id7__", "__name__", "_", "_x_",
		"%", "%2F", "%2f", "a%2Fb", "a%2fb", "a%252Fb", "%%", "%00", "%2", "%ZZ", "%2E", "%5F%5Fx__",
		"\x00", "a\x00", "a\x00b", "\x7f", "\n", "a\nb", "\r\n", "\t", " ", " a", "a ", "\u00a0", "\u200b",
		"~", "~a", "!", "a~2Fb", "=2F", "a=b", "a+b", "a&b", "a?b", "a#b", "a\\b", "`", "a`b", "'", "\"", "*", "a*",
		"é", "e\u0301", "Å", "\u212b", "ﬁ", "fi", "A", "a", "ß", "SS", "İ",
		"😀", "👩\u200d👩\u200d👧", "\ufeff", "\ufffd", "\uffff", "\U00010000", "日本語", "\u202eabc",
		"default", "spaces", "entries", "clients", "null", "true", "0", "-1", "constructor", "__proto__",
		repeat("a"), repeat("%"), repeat("/"), repeat("."), repeat("_"), repeat("\x00"), repeat("😀"),
		repeat("a")[1:], repeat("a")[1:] + "b", "b" + repeat("a")[1:],
		repeat("%")[:500], repeat("%")[:499] + "/", repeat("é"), repeat("\u0301"),
	}
}

// neighbours is how many ids meet in one space of testIDs: all with all would be
// 12,000 entries, and one space with all of them is tested anyway.
const neighbours = 12

// testIDs uses every id as a space, in which it is the one group and some others
// are clients and keys. What any two share by mistake shows twice, or is missing.
func testIDs(k *kit) {
	ids := hurtful()
	commits := make([]engine.Commit, len(ids))
	for i, id := range ids {
		near := slices.Concat(ids, ids)[i : i+neighbours]
		commits[i] = Step(engine.Head{}, crowd(id, near, int64(i*neighbours)))
		k.apply(protocol.SpaceID(id), commits[i])
	}
	for i, id := range ids {
		k.crowded(protocol.SpaceID(id), commits[i])
	}
}

// crowd makes ids the clients and the keys of a space, each with a number above
// first for what it holds.
func crowd(space string, ids []string, first int64) Change {
	return func(c *engine.Commit) {
		group := protocol.ClientGroupID(space)
		Group(group, "user of "+space, protocol.SpaceID(space))(c)
		for i, id := range ids {
			number := first + int64(i) + 1
			Put(id, itoa(number))(c)
			Client(protocol.ClientID(id), group, number)(c)
		}
	}
}

// crowded reads what c wrote by id, by version, by key and by group.
func (k *kit) crowded(space protocol.SpaceID, c engine.Commit) {
	k.Helper()
	group := c.Groups[0].ID
	docs := engine.Documents{Groups: []protocol.ClientGroupID{group}}
	for i, e := range c.Entries {
		docs.Keys = append(docs.Keys, e.Key)
		docs.Clients = append(docs.Clients, c.Clients[i].ID)
	}
	snap := k.snapshot(space, docs)
	found, _ := snap.Group(group)
	k.same("group", found, c.Groups[0])
	for i, want := range c.Entries {
		e, _ := snap.Entry(want.Key)
		k.same("entry by id", e, want)
		client, _ := snap.Client(c.Clients[i].ID)
		k.same("client by id", client, c.Clients[i])
	}
	got := k.viewOf(snap)
	slices.Sort(docs.Keys)
	k.same("keys", keys(got.Entries), docs.Keys)
	k.same("number of clients", len(got.Clients), neighbours)
	own := collect(k, snap.Clients(k.ctx, group, 0))
	k.same("number of clients by group", len(own), neighbours)
}

// testGroupIDs has all groups in one space, each with one client.
func testGroupIDs(k *kit) {
	ids := hurtful()
	var changes []Change
	docs := engine.Documents{}
	for i, id := range ids {
		group := protocol.ClientGroupID(id)
		docs.Groups = append(docs.Groups, group)
		changes = append(changes, Group(group, id, "s"),
			Client(protocol.ClientID(ids[len(ids)-1-i]), group, int64(i+1)))
	}
	c := Step(engine.Head{}, changes...)
	k.apply("s", c)
	snap := k.snapshot("s", docs)
	for i, id := range docs.Groups {
		got, ok := snap.Group(id)
		if !ok {
			k.Errorf("group %.40q not found", id)
		}
		k.same("group", got, c.Groups[i])
		k.same("clients by group", collect(k, snap.Clients(k.ctx, id, 0)), c.Clients[i:i+1])
	}
}

// testKeys writes keys over and over: the one document of a key must be found
// again, and no other.
func testKeys(k *kit) {
	all := append(hurtful(), "")
	put := func(value string) Change {
		return func(c *engine.Commit) {
			for _, key := range all {
				Put(key, value)(c)
			}
		}
	}
	head := k.commit("s", engine.Head{}, put(`1`))
	head = k.commit("s", head, put(`2`))
	got := k.view("s")
	slices.Sort(all)
	k.same("keys", keys(got.Entries), all)
	for i, key := range all {
		if i%2 == 0 {
			head = k.commit("s", head, Del(key))
		}
		r := engine.Range{From: key, Limit: 1}
		found := k.scan(k.snapshot("s", engine.Documents{}), r)
		if len(found) != 1 || found[0].Key != key || found[0].Deleted != (i%2 == 0) {
			k.Errorf("Range from %.80q: %+v", key, found)
		}
	}
	for i, e := range k.view("s").Entries {
		if e.Deleted != (i%2 == 0) {
			k.Errorf("key %.80q: deleted %t, want %t", e.Key, e.Deleted, i%2 == 0)
		}
	}
}
