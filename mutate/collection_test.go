package mutate_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/mutate/mutatetest"
)

var points = mutate.Collection[point]{Prefix: "p/"}

// in runs fn as a mutation of a space with this state.
func in(
	t *testing.T, state map[string]any, fn func(tx mutate.WriteTransaction) error,
) (*mutatetest.Space, error) {
	t.Helper()
	r := mutate.NewRegistry()
	mutate.Register(r, "m", func(_ context.Context, tx mutate.WriteTransaction, _ any) error {
		return fn(tx)
	})
	space := mutatetest.New(t, r, mutatetest.Options{State: state})
	err := space.Run("m", nil)
	return space, err
}

func TestCollection(t *testing.T) {
	t.Parallel()
	var got string
	space, err := in(t, map[string]any{"p/1": point{1, 1}, "q/1": "else"}, func(tx mutate.WriteTransaction) error {
		p, there, err := points.Get(tx, "1")
		if err != nil {
			return err
		}
		_, absent, err := points.Get(tx, "2")
		if err != nil {
			return err
		}
		p.Y = 5
		if err := points.Set(tx, "2", p); err != nil {
			return err
		}
		has, err := points.Has(tx, "2")
		if err != nil {
			return err
		}
		gone, err := points.Del(tx, "1")
		if err != nil {
			return err
		}
		again, err := points.Del(tx, "1")
		got = fmt.Sprint(there, absent, has, gone, again)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "true false true true false"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if diff := space.Diff(map[string]any{"p/2": point{1, 5}, "q/1": "else"}); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestCollectionScan(t *testing.T) {
	t.Parallel()
	state := map[string]any{
		"p": 1, "p/": point{0, 0}, "p/1": point{1, 0}, "p/10": point{10, 0}, "p/2": point{2, 0},
		"p/é": point{3, 0}, "p/🦄": point{4, 0}, "p0": "no point", "a": "no point",
	}
	for _, c := range []struct {
		name    string
		options mutate.ScanOptions
		want    []string
	}{
		{"all", mutate.ScanOptions{}, []string{"", "1", "10", "2", "é", "🦄"}},
		{"limit", mutate.ScanOptions{Limit: 2}, []string{"", "1"}},
		{"prefix", mutate.ScanOptions{Prefix: "1"}, []string{"1", "10"}},
		{"start", mutate.ScanOptions{Start: "10"}, []string{"10", "2", "é", "🦄"}},
		{"start between", mutate.ScanOptions{Start: "3"}, []string{"é", "🦄"}},
		{"after", mutate.ScanOptions{Start: "10", StartExclusive: true}, []string{"2", "é", "🦄"}},
		{"after the empty id", mutate.ScanOptions{StartExclusive: true, Limit: 1}, []string{"1"}},
		{"prefix after start", mutate.ScanOptions{Prefix: "2", Start: "1"}, []string{"2"}},
		{"start after prefix", mutate.ScanOptions{Prefix: "1", Start: "2"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			_, err := in(t, state, func(tx mutate.WriteTransaction) error {
				got = nil
				for item, err := range points.Scan(tx, c.options) {
					if err != nil {
						return err
					}
					want, _, err := points.Get(tx, item.ID)
					if err != nil {
						return err
					}
					if item.Value != want {
						t.Errorf("got item %v, want %v", item, want)
					}
					got = append(got, item.ID)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCollectionScanStops(t *testing.T) {
	t.Parallel()
	state := map[string]any{"p/1": point{1, 0}, "p/2": "no point", "p/3": point{3, 0}}
	var seen []string
	_, err := in(t, state, func(tx mutate.WriteTransaction) error {
		seen = nil
		for item, err := range points.Scan(tx, mutate.ScanOptions{}) {
			if err != nil {
				if item != (mutate.Item[point]{}) {
					t.Errorf("got item %v with an error, want none", item)
				}
				return err
			}
			seen = append(seen, item.ID)
		}
		return nil
	})
	checkError(t, err, `scan "p/": JSON string does not fit`)
	if diff := cmp.Diff([]string{"1"}, seen); diff != "" {
		t.Errorf("ids before the error (-want +got):\n%s", diff)
	}
	_, err = in(t, state, func(tx mutate.WriteTransaction) error {
		for _, err := range points.Scan(tx, mutate.ScanOptions{}) {
			return err // the second one, which does not decode, is not asked for
		}
		return nil
	})
	checkError(t, err, "")
}

func TestZeroCollection(t *testing.T) {
	t.Parallel()
	all := mutate.Collection[point]{}
	if got := all.Key("a"); got != "a" {
		t.Errorf("got key %q, want a", got)
	}
	_, err := in(t, map[string]any{"a": point{}}, func(tx mutate.WriteTransaction) error {
		for item, err := range all.Scan(tx, mutate.ScanOptions{}) {
			if err == nil && item.ID != "a" {
				t.Errorf("got id %q, want a", item.ID)
			}
			return err
		}
		t.Error("the scan found nothing")
		return nil
	})
	checkError(t, err, "")
}
