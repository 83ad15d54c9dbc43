package engine_test

import (
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/storetest"
)

// TestHistory: a head names its last commits, each as their own heads did.
func TestHistory(t *testing.T) {
	t.Parallel()
	var head engine.Head
	names := []string{""}
	for range engine.HistoryLength + 50 {
		head = storetest.Step(head).Next
		names = append(names, head.Name())
		for version := range int64(len(names)) + 1 {
			want := ""
			if version > head.Version-engine.HistoryLength && version <= head.Version {
				want = names[version]
			}
			if got := head.NameOf(version); got != want {
				t.Fatalf("version %d: %d is named %q, want %q", head.Version, version, got, want)
			}
		}
		if want := min(int(head.Version), engine.HistoryLength); head.Names() != want || head.History.Check() != nil {
			t.Fatalf("version %d: %d names, want %d; %v", head.Version, head.Names(), want, head.History.Check())
		}
	}
	if n, most := len(head.History), 9*engine.HistoryLength; n >= most {
		t.Errorf("%d bytes, want less than %d", n, most)
	}
	reset := storetest.Step(head, storetest.Reset()).Next
	if reset.Names() != engine.HistoryLength || reset.NameOf(head.Version) != head.Name() {
		t.Errorf("after a reset: %q", reset.History)
	}
	deleted := storetest.Step(head, storetest.Delete()).Next
	if deleted.Names() != 1 || deleted.NameOf(deleted.Version) != deleted.Name() || deleted.NameOf(head.Version) != "" {
		t.Errorf("after it was deleted: %q", deleted.History)
	}
}

// TestHistoryBesideOlderPrograms: a program that knows no history leaves the field as it was,
// or out. What it says then is not believed, and the next commit names what it can.
func TestHistoryBesideOlderPrograms(t *testing.T) {
	t.Parallel()
	var heads []engine.Head
	var head engine.Head
	for range 5 {
		head = storetest.Step(head).Next
		heads = append(heads, head)
	}
	for _, left := range []engine.History{head.History, "", "no  words", " "} {
		older := storetest.Step(head).Next
		older.History = left
		if older.NameOf(older.Version) != older.Name() || older.NameOf(head.Version) != "" || older.Names() != 1 {
			t.Errorf("%q: names version %d %q and %d %q", left,
				older.Version, older.NameOf(older.Version), head.Version, older.NameOf(head.Version))
		}
		next := storetest.Step(older).Next
		if next.NameOf(older.Version) != older.Name() || next.Names() != 2 || next.NameOf(heads[1].Version) != "" {
			t.Errorf("%q: the next names %q", left, next.History)
		}
	}
	// A word may go on behind its name one day.
	longer := head
	longer.History = engine.History(strings.ReplaceAll(string(head.History), " ", "@somebody "))
	next := storetest.Step(longer).Next
	if next.NameOf(2) != heads[1].Name() || !strings.Contains(string(next.History), "@somebody ") {
		t.Errorf("longer words: %q after %q", next.History, longer.History)
	}
	odd := head
	odd.Nonce = "é and more"
	if next := storetest.Step(odd).Next; odd.Name() != "" || next.Names() != 1 {
		t.Errorf("a nonce of another form: %q, then %q", odd.Name(), next.History)
	}
}
