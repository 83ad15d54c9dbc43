package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"pgregory.net/rapid"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var valueCases = []testCase{
	{name: "EveryShapeOfValue", run: func(k *kit) { roundTrip(k, shapes()) }},
	{name: "LargeValues", run: func(k *kit) { roundTrip(k, largeShapes()) }},
	{name: "AnyValue", run: testAnyValue},
}

// roundTrip writes each value with a commit of its own and reads it in each way.
func roundTrip(k *kit, values map[string]string) {
	var head engine.Head
	for _, name := range slices.Sorted(maps.Keys(values)) {
		k.sub(name, func(k *kit) {
			head = k.commit("s", head, Put(name, values[name]))
			docs := engine.Documents{Keys: []string{name}}
			snap := k.snapshot("s", docs)
			e, _ := snap.Entry(name)
			k.sameValue("by id", e, name, values[name])
			found := k.scan(snap, engine.Range{From: name, Limit: 1})
			if len(found) != 1 {
				k.Fatalf("Range found %d entries, want 1", len(found))
			}
			k.sameValue("by key", found[0], name, values[name])
			last := collect(k, snap.Entries(k.ctx, head.Version-1))
			if len(last) != 1 {
				k.Fatalf("Entries found %d entries of the last commit, want 1", len(last))
			}
			k.sameValue("by version", last[0], name, values[name])
		})
	}
}

func (k *kit) sameValue(way string, got engine.Entry, key, value string) {
	k.Helper()
	want := canonical(value)
	if got.Key != key || got.Deleted || !bytes.Equal(got.Value, want) {
		k.Errorf("%s: %.80q, deleted %t, value %.200s, want %.80q, value %.200s",
			way, got.Key, got.Deleted, got.Value, key, want)
	}
}

// testAnyValue is the property: whatever JSON a client can send comes back, in the text
// that was committed.
func testAnyValue(k *kit) {
	value := anyValue(4)
	space := 0
	rapid.Check(k.T, func(t *rapid.T) {
		space++
		id := protocol.SpaceID(fmt.Sprintf("s%d", space))
		values := rapid.SliceOfN(value, 1, 10).Draw(t, "values")
		var changes []Change
		texts := make([]string, len(values))
		for i, v := range values {
			raw, err := json.Marshal(v)
			if err != nil {
				t.Fatalf("%#v is no JSON: %v", v, err)
			}
			texts[i] = string(raw)
			changes = append(changes, Put(itoa(i), texts[i]))
		}
		if _, err := k.Store.Commit(k.ctx, id, Step(engine.Head{}, changes...)); err != nil {
			t.Fatalf("commit of %q: %v", texts, err)
		}
		for _, e := range k.view(id).Entries {
			var i int
			if _, err := fmt.Sscan(e.Key, &i); err != nil {
				t.Fatalf("key %q", e.Key)
			}
			if want := canonical(texts[i]); !bytes.Equal(e.Value, want) {
				t.Errorf("got  %s\nwant %s", e.Value, want)
			}
		}
	})
}

// anyValue generates what encoding/json makes of any: nested up to depth.
func anyValue(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		anyString().AsAny(),
		rapid.Float64().AsAny(),
		rapid.Int64Range(-1<<53, 1<<53).AsAny(),
		rapid.SampledFrom([]any{0.1, 5e-324, math.MaxFloat64, 1e21, 1e-7, 1 << 53}).AsAny(),
	}
	if depth > 0 {
		inner := rapid.Deferred(func() *rapid.Generator[any] { return anyValue(depth - 1) })
		kinds = append(kinds,
			rapid.SliceOfN(inner, 0, 4).AsAny(),
			rapid.MapOfN(anyString(), inner, 0, 4).AsAny())
	}
	return rapid.OneOf(kinds...)
}

// anyString has names that mean something to some store among them.
func anyString() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom(hurtful()[:60]), rapid.Just(""))
}
