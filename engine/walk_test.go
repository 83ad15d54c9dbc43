package engine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/storetest"
)

// TestPages shows each entry once, in order, whatever bounds the pages.
func TestPages(t *testing.T) {
	t.Parallel()
	store := storetest.NewFaulty(fresh(t))
	var want []string
	var changes []storetest.Change
	for i := range 20 {
		key := strings.Repeat("k", i) // "" too
		want = append(want, key)
		changes = append(changes, storetest.Put(key, `1`))
	}
	if _, err := store.Commit(t.Context(), space, storetest.Step(engine.Head{}, changes...)); err != nil {
		t.Fatal(err)
	}
	snap, err := store.Snapshot(t.Context(), space, engine.Documents{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []engine.Range{{}, {Limit: 2}, {Limit: 7}, {Limit: 20}, {MaxBytes: 1}, {Limit: 9, MaxBytes: 30}} {
		var got []string
		for page, err := range engine.Pages(t.Context(), snap, r) {
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got = append(got, e.Key)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: got %q, want %q", r, got, want)
		}
	}
	store.Next(storetest.MethodRange, storetest.NoFault, storetest.NotApplied)
	pages := 0
	for _, err = range engine.Pages(t.Context(), snap, engine.Range{Limit: 2}) {
		pages++
	}
	if pages != 2 || !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("%d pages and %v, want one and the store's trouble", pages, err)
	}
}
