package storetest

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/replifire/replifire/engine"
)

var rangeCases = []testCase{
	{name: "EntriesByVersion", run: testEntries},
	{name: "EntriesStopEarly", run: testStopEarly},
	{name: "RangeBounds", run: testRange},
	{name: "RangeByBytes", run: testByteOrder},
}

func testEntries(k *kit) {
	var head engine.Head
	for n := range 6 {
		head = k.commit("s", head, Put(itoa(9-n), `1`), Put("all", `1`),
			Put(fmt.Sprint("half", n/2), `1`), Del(fmt.Sprint("gone", n)))
	}
	snap := k.snapshot("s", engine.Documents{})
	everything := k.viewOf(snap).Entries
	for _, after := range []int64{math.MinInt64, -1, 0, 1, 2, 3, 4, 5, 6, 7, math.MaxInt64} {
		got := collect(k, snap.Entries(k.ctx, after))
		if !slices.IsSortedFunc(got, func(a, b engine.Entry) int { return int(a.Version - b.Version) }) {
			k.Errorf("after %d: not in the order of versions: %v", after, keys(got))
		}
		var want []string
		for _, e := range everything {
			if e.Version > after {
				want = append(want, e.Key)
			}
		}
		found := keys(got)
		slices.Sort(found)
		k.same(fmt.Sprintf("keys above version %d", after), found, want)
	}
}

func testStopEarly(k *kit) {
	k.commit("s", engine.Head{}, Put("a", `1`), Put("b", `1`), Put("c", `1`),
		Group("g", "u", "s"), Client("x", "g", 1), Client("y", "g", 1))
	snap := k.snapshot("s", engine.Documents{})
	first(k, snap.Entries(k.ctx, 0))
	first(k, snap.Clients(k.ctx, "g", 0))
	first(k, snap.Clients(k.ctx, "", 0))
	k.same("entries afterwards", len(collect(k, snap.Entries(k.ctx, 0))), 3)
}

// first reads one item and no more.
func first[T any](k *kit, all iter.Seq2[T, error]) {
	k.Helper()
	for _, err := range all {
		if err != nil {
			k.Errorf("first item: %v", err)
		}
		return
	}
	k.Errorf("no first item")
}

func testRange(k *kit) {
	head := k.commit("s", engine.Head{}, Put("", `1`), Put("a", `1`), Put("a/", `1`),
		Put("a/1", `1`), Put("a/2", `1`), Put("a0", `1`), Put("b", `1`), Put("b\x00", `1`))
	k.commit("s", head, Del("a/2"), Put("a/1", `2`))
	snap := k.snapshot("s", engine.Documents{})
	for name, c := range map[string]struct {
		r    engine.Range
		want []string
	}{
		"all":                {engine.Range{}, []string{"", "a", "a/", "a/1", "a/2", "a0", "b", "b\x00"}},
		"from a key":         {engine.Range{From: "a/2"}, []string{"a/2", "a0", "b", "b\x00"}},
		"from between":       {engine.Range{From: "a/15"}, []string{"a/2", "a0", "b", "b\x00"}},
		"just after a key":   {engine.Range{From: "b\x00"}, []string{"b\x00"}},
		"after all":          {engine.Range{From: "c"}, nil},
		"to a key":           {engine.Range{To: "a/1"}, []string{"", "a", "a/"}},
		"to just above":      {engine.Range{To: "a/1\x00"}, []string{"", "a", "a/", "a/1"}},
		"prefix":             {engine.Range{From: "a/", To: "a0"}, []string{"a/", "a/1", "a/2"}},
		"one key":            {engine.Range{From: "a", To: "a\x00"}, []string{"a"}},
		"nothing between":    {engine.Range{From: "a1", To: "a2"}, nil},
		"empty":              {engine.Range{From: "a", To: "a"}, nil},
		"backwards":          {engine.Range{From: "b", To: "a"}, nil},
		"limit":              {engine.Range{Limit: 3}, []string{"", "a", "a/"}},
		"limit in a prefix":  {engine.Range{From: "a/", To: "a0", Limit: 2}, []string{"a/", "a/1"}},
		"limit above":        {engine.Range{From: "a0", Limit: 99}, []string{"a0", "b", "b\x00"}},
		"limit and an end":   {engine.Range{To: "a/", Limit: 2}, []string{"", "a"}},
		"limit just reached": {engine.Range{From: "b", Limit: 2}, []string{"b", "b\x00"}},
		"bytes":              {engine.Range{MaxBytes: 3}, []string{"", "a"}}, // 1 and 2 of them
		"bytes and one more": {engine.Range{MaxBytes: 4}, []string{"", "a", "a/"}},
		"bytes of the first": {engine.Range{From: "a", MaxBytes: 1}, []string{"a", "a/"}},
		"bytes, then limit":  {engine.Range{Limit: 3, MaxBytes: 1}, []string{"", "a"}},
		"limit, then bytes":  {engine.Range{Limit: 1, MaxBytes: 1}, []string{""}},
	} {
		k.same(name, keys(k.scan(snap, c.r)), c.want)
	}
	deleted := k.scan(snap, engine.Range{From: "a/2", Limit: 1})
	k.same("tombstone", deleted, []engine.Entry{{Key: "a/2", Version: 2, Deleted: true, DeletedAt: at(2)}})
}

// testByteOrder has the keys on which UTF-8 and UTF-16, and case, disagree.
func testByteOrder(k *kit) {
	want := []string{
		"", "\x00", "\x01", " ", "/", "0", "10", "9", "A", "Z", "_", "a", "a\x00", "a\x01",
		"aa", "z", "~", "\x7f", "\u0080", "é", "e\u0301", "\u07ff", "\u0800", "\ud7ff",
		"\ue000", "\uffee", "\uffff", "\U00010000", "😀", "\U0010ffff",
	}
	slices.Sort(want) // Go compares bytes
	if slices.Index(want, "\uffff") > slices.Index(want, "\U00010000") {
		k.Fatal("the test's own order is wrong")
	}
	var changes []Change
	for _, key := range slices.Backward(want) {
		changes = append(changes, Put(key, `1`))
	}
	k.commit("s", engine.Head{}, changes...)
	snap := k.snapshot("s", engine.Documents{})
	k.same("keys", keys(k.scan(snap, engine.Range{})), want)
	for i, from := range want {
		k.same(fmt.Sprintf("from %q", from), keys(k.scan(snap, engine.Range{From: from})), want[i:])
	}
	up := engine.Range{From: "\uffff", To: "\U00010000"}
	k.same("below the first surrogate pair", keys(k.scan(snap, up)), []string{"\uffff"})
}
