package firestore_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/protocol"
)

// TestCorruptDocuments writes documents past the store.
func TestCorruptDocuments(t *testing.T) {
	t.Parallel()
	f := open(t)
	raw := f.raw(t)
	entry := map[string]any{"key": "k", "value": int64(1), "version": int64(1), "deleted": false}
	client := map[string]any{
		"clientID": "c", "clientGroupID": "g", "lastMutationID": int64(1), "version": int64(1),
		"rejections": []any{}, "lastSeen": time.Now(),
	}
	group := map[string]any{
		"clientGroupID": "g", "userID": "u", "space": "s", "createdAt": time.Now(),
	}
	head := map[string]any{
		"space": "s", "version": int64(1), "epoch": "e", "floor": int64(0), "base": int64(0),
		"nonce": "n", "createdAt": time.Now(), "updatedAt": time.Now(),
	}
	all := engine.Documents{
		Head: true, Groups: []protocol.ClientGroupID{"g"}, Clients: []protocol.ClientID{"c"},
		Keys: []string{"k"},
	}
	write := func(path string, fields map[string]any) {
		t.Helper()
		if _, err := raw.Doc(path).Set(t.Context(), fields); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		path   string
		fields map[string]any
		// broken are single changes, each of which is corrupt.
		broken map[string]any
	}{
		{"spaces/s/entries/k", entry, map[string]any{
			"key": "other", "value": time.Now(), "version": "1", "deleted": nil, "json": "1",
		}},
		{"spaces/s/clients/c", client, map[string]any{
			"clientID": "other", "clientGroupID": 1, "lastMutationID": 1.5, "version": nil,
			"rejections": []any{map[string]any{"id": 1}}, "lastSeen": 0,
		}},
		{"clientGroups/g", group, map[string]any{
			"clientGroupID": "other", "userID": nil, "space": 1, "createdAt": "today",
		}},
		{"spaces/s", head, map[string]any{
			"space": "other", "version": 0, "epoch": 1, "floor": nil, "base": "0", "nonce": 1,
			"createdAt": 1, "updatedAt": nil, "restoredAt": "today", "history": 7,
		}},
	} {
		for name, value := range tt.broken {
			fields := maps.Clone(tt.fields)
			fields[name] = value
			write(tt.path, fields)
			_, err := f.Snapshot(t.Context(), space, all)
			if !errors.Is(err, engine.ErrCorrupt) {
				t.Errorf("%s with %s = %v: Snapshot = %v, want ErrCorrupt", tt.path, name, value, err)
			}
		}
		write(tt.path, tt.fields)
		if _, err := f.Snapshot(t.Context(), space, all); err != nil {
			t.Errorf("%s as it should be: Snapshot = %v", tt.path, err)
		}
	}
}

func TestCorruptDocumentsInQueries(t *testing.T) {
	t.Parallel()
	f := open(t)
	_, err := f.raw(t).Doc("spaces/s/entries/"+firestore.EscapeID("a/b")).Set(t.Context(),
		map[string]any{"key": "a", "version": 7, "deleted": true})
	if err != nil {
		t.Fatal(err)
	}
	f.fill(t, 1)
	var errs []error
	for _, err := range f.mustSnapshot(t, engine.Documents{}).Entries(t.Context(), 0) {
		errs = append(errs, err)
	}
	if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], engine.ErrCorrupt) {
		t.Errorf("Entries yields %v, want one entry and ErrCorrupt", errs)
	}
}

// TestEntryNewerThanItsHead looks like half a commit, so it is read again before it is
// believed.
func TestEntryNewerThanItsHead(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.fill(t, 1)
	write := func(version int) {
		t.Helper()
		_, err := f.raw(t).Doc("spaces/s/entries/k000").Set(t.Context(), map[string]any{
			"key": "k000", "version": version, "deleted": true,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	docs := engine.Documents{Head: true, Keys: []string{"k000"}}
	for version, reads := range map[int]int{1: 1, 2: 3} {
		write(version)
		f.counter.Reset()
		e, ok := f.mustSnapshot(t, docs).Entry("k000")
		if !ok || e.Version != int64(version) {
			t.Errorf("entry %+v, want version %d", e, version)
		}
		if got := f.counter.Counts().Total(); got != reads {
			t.Errorf("version %d: %d reads, want %d", version, got, reads)
		}
	}
}
