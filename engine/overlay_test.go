package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/replifire/replifire/mutate"
)

// readAll answers what a transaction asked for in vain, from the stored entries.
func readAll(b *base, stored map[string]string) {
	keys, ranges := b.missing()
	for _, key := range keys {
		raw, ok := stored[key]
		b.addEntry(key, value{json: json.RawMessage(raw), live: ok})
	}
	for _, r := range ranges {
		var entries []Entry
		for _, key := range slices.Sorted(maps.Keys(stored)) {
			if key >= r.From && (r.To == "" || key < r.To) && (r.Limit == 0 || len(entries) < r.Limit) {
				entries = append(entries, Entry{Key: key, Value: json.RawMessage(stored[key]), Version: 1})
			}
		}
		b.addRange(r, entries)
	}
}

// TestOverlayAgainstModel: whatever was stored, written and deleted, and however
// little of it was read before, a transaction sees what a sorted map would.
func TestOverlayAgainstModel(t *testing.T) {
	t.Parallel()
	key := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', '/', 'é', '\U0001F600', '\uFFFF'}), 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		stored := rapid.MapOf(key, rapid.SampledFrom([]string{`1`, `2`})).Draw(t, "stored")
		model := maps.Clone(stored)
		b := newBase(Head{Version: 1}, &memo{})
		layers := &layer{}
		for range rapid.IntRange(0, 20).Draw(t, "operations") {
			op := rapid.IntRange(0, 3).Draw(t, "op")
			k := key.Draw(t, "key")
			options := mutate.ScanOptions{
				Prefix:         rapid.OneOf(rapid.Just(""), key).Draw(t, "prefix"),
				Start:          rapid.OneOf(rapid.Just(""), key).Draw(t, "start"),
				StartExclusive: rapid.Bool().Draw(t, "exclusive"),
				Limit:          rapid.IntRange(0, 3).Draw(t, "limit"),
			}
			var got, want string
			for {
				tx := &transaction{base: b, top: &layer{below: layers}}
				got = apply(tx, op, k, options)
				if !tx.interrupted {
					layers = tx.top
					break
				}
				readAll(b, stored)
			}
			want = applyToModel(model, op, k, options)
			if got != want {
				t.Fatalf("op %d of %q, %+v: got %s, want %s", op, k, options, got, want)
			}
		}
	})
}

func apply(tx *transaction, op int, key string, o mutate.ScanOptions) string {
	switch op {
	case 0:
		return fmt.Sprint(tx.Set(key, 9))
	case 1:
		had, err := tx.Del(key)
		return fmt.Sprint(had, err)
	case 2:
		raw, ok, err := tx.Get(key)
		return fmt.Sprint(string(raw), ok, err)
	default:
		var all []string
		for e, err := range tx.Scan(o) {
			all = append(all, fmt.Sprint(e.Key, "=", string(e.Value), err))
		}
		return strings.Join(all, ",")
	}
}

func applyToModel(m map[string]string, op int, key string, o mutate.ScanOptions) string {
	raw, ok := m[key]
	switch op {
	case 0:
		m[key] = "9"
		return fmt.Sprint(nil)
	case 1:
		delete(m, key)
		return fmt.Sprint(ok, nil)
	case 2:
		return fmt.Sprint(raw, ok, nil)
	default:
		var all []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if strings.HasPrefix(k, o.Prefix) && (k > o.Start || (k == o.Start && !o.StartExclusive)) &&
				(o.Limit == 0 || len(all) < o.Limit) {
				all = append(all, fmt.Sprint(k, "=", m[k], nil))
			}
		}
		return strings.Join(all, ",")
	}
}

func TestPrefixEnd(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"": "", "a": "b", "a/": "a0", "é": "ê", "\uD7FF": "\uE000", "a\U0010FFFF": "b", "\U0010FFFF": "",
		"\uFFFF": "\U00010000",
	} {
		got := prefixEnd(prefix)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("prefixEnd(%q): got %q, want %q", prefix, got, want)
		}
	}
}

func TestSpansJoin(t *testing.T) {
	t.Parallel()
	b := newBase(Head{}, &memo{})
	for _, s := range []span{{"m", "p"}, {"a", "c"}, {"x", ""}, {"c", "d"}, {"o", "q"}, {"y", "z"}} {
		b.addSpan(s)
	}
	want := []span{{"a", "d"}, {"m", "q"}, {"x", ""}}
	if diff := cmp.Diff(want, b.whole, cmp.AllowUnexported(span{})); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	b.addSpan(span{"b", ""})
	if diff := cmp.Diff([]span{{"a", ""}}, b.whole, cmp.AllowUnexported(span{})); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}
