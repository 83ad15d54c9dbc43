package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }

// stores make an empty store of each kind.
var stores = map[string]func(testing.TB) engine.Store{
	"memory":    func(testing.TB) engine.Store { return memory.New() },
	"firestore": openFirestore,
}

func openFirestore(t testing.TB) engine.Store {
	t.Helper()
	store, err := firestore.Open(t.Context(), firestore.Config{
		ProjectID: emulatortest.Project(t), EmulatorHost: emulatortest.Host(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// commit applies changes on top of what the space holds.
func commit(t testing.TB, store engine.Store, space protocol.SpaceID, changes ...storetest.Change) engine.Head {
	t.Helper()
	head, err := store.Commit(t.Context(), space, storetest.Step(headOf(t, store, space), changes...))
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func headOf(t testing.TB, store engine.Store, space protocol.SpaceID) engine.Head {
	t.Helper()
	snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	return snap.Head()
}

// odd are keys and values that are easily spoiled on the way.
func odd() map[string]string {
	return map[string]string{
		"":                              `null`,
		" ":                             `"<b>&amp;</b>"`,
		"a/b/../c":                      `[[1,[2]],{"":{"a.b":0}}]`,
		"__name__":                      `{"__proto__":null,"__x__":1}`,
		"\x00\n\r\t\"\\":                `"\u0000\n\r\t\"\\\u2028"`,
		"\u2028\ufeffé日本\U0001F600":     `"é日本\ud83d\ude00"`,
		"\U0010ffff":                    `[-0,0.1,9007199254740993,1.0,1E5]`,
		strings.Repeat("k", 1000):       `{"b":1,"a":2,"c":[]}`,
		strings.Repeat("\U0001F600", 9): `"` + strings.Repeat("\U0001F600", 240_000) + `"`,
		"deep":                          strings.Repeat("[", 90) + strings.Repeat("]", 90),
	}
}

// odds commits what is odd, one by one: some of it is large.
func odds(t testing.TB, store engine.Store, space protocol.SpaceID) {
	t.Helper()
	for key, value := range odd() {
		commit(t, store, space, storetest.Put(key, value))
	}
}

// export is a backup of the space as it is.
func export(ctx context.Context, t testing.TB, store engine.Store, space protocol.SpaceID) []byte {
	t.Helper()
	var file bytes.Buffer
	written, err := backup.Write(ctx, store, space, &file, nil)
	if err != nil {
		t.Fatal(err)
	}
	read, err := backup.Verify(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if read != written || read.SHA256 == "" {
		t.Errorf("what was written is %+v, what is read is %+v", written, read)
	}
	return file.Bytes()
}

// values are the entries of a backup.
func values(t testing.TB, file []byte) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range bytes.Lines(file) {
		var l struct {
			Type, Key string
			Value     json.RawMessage
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Type == "entry" {
			found[l.Key] = string(l.Value)
		}
	}
	return found
}

// sameValues compares texts with the canonical ones of want.
func sameValues(t testing.TB, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	for key, value := range want {
		text, err := protocol.Canonical(json.RawMessage(value))
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := got[key]; !ok || v != string(text) {
			t.Errorf("entry %.60q is %.100s, want %.100s", key, v, text)
		}
	}
}

func puts(from, n int) storetest.Change {
	return func(c *engine.Commit) {
		for i := range n {
			storetest.Put(fmt.Sprintf("k/%05d", from+i), fmt.Sprintf(`{"n":%d}`, i))(c)
		}
	}
}

// contents are the entries that can be seen, and the clients.
func contents(
	t testing.TB, store engine.Store, space protocol.SpaceID,
) (map[string]string, map[protocol.ClientID]engine.Client) {
	t.Helper()
	snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	entries, clients := map[string]string{}, map[protocol.ClientID]engine.Client{}
	for e, err := range snap.Entries(t.Context(), snap.Head().Base) {
		if err != nil {
			t.Fatal(err)
		}
		if !e.Deleted {
			entries[e.Key] = string(e.Value)
		}
	}
	for c, err := range snap.Clients(t.Context(), "", snap.Head().DeletedVersion) {
		if err != nil {
			t.Fatal(err)
		}
		clients[c.ID] = c
	}
	return entries, clients
}
