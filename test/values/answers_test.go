package values_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// stores make what two processes have of a store of each kind.
var stores = map[string]func(testing.TB) [2]engine.Store{
	"memory": func(testing.TB) [2]engine.Store {
		store := memory.New()
		return [2]engine.Store{store, store}
	},
	"firestore": func(t testing.TB) [2]engine.Store {
		t.Helper()
		project := emulatortest.Project(t)
		return [2]engine.Store{openFirestore(t, project), openFirestore(t, project)}
	},
}

func openFirestore(t testing.TB, project string) engine.Store {
	t.Helper()
	store, err := firestore.Open(t.Context(), firestore.Config{
		ProjectID: project, EmulatorHost: emulatortest.Host(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// valuePrefix begins the keys of the values that are held to their texts.
const valuePrefix = "value/"

type set struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// mutators are "set", and "copy" of all values to keys with something before them.
func mutators() *mutate.Registry {
	r := mutate.NewRegistry()
	mutate.Register(r, "set", func(_ context.Context, tx mutate.WriteTransaction, s set) error {
		return tx.Set(s.Key, s.Value)
	})
	mutate.Register(r, "copy", func(_ context.Context, tx mutate.WriteTransaction, prefix string) error {
		for e, err := range tx.Scan(mutate.ScanOptions{Prefix: valuePrefix}) {
			if err := errors.Join(err, tx.Set(prefix+e.Key, e.Value)); err != nil {
				return err
			}
		}
		return nil
	})
	return r
}

// world is a space, with what every answer must say of its values.
type world struct {
	rapid.TB

	ctx    context.Context //nolint:containedctx // of this one test
	caller engine.Caller
	last   int64             // mutation id
	want   map[string]string // canonical texts, by key
}

// instance is a process of the service.
type instance struct {
	*world

	engine *engine.Engine
}

func (w *world) start(store engine.Store) *instance {
	o := engine.Options{Logger: slog.New(slog.DiscardHandler)}
	return &instance{w, engine.New(store, mutators(), o)}
}

func (i *instance) stop() {
	if err := i.engine.Close(i.ctx); err != nil {
		i.Errorf("close: %v", err)
	}
}

// push pushes mutations of one name, with the texts of their arguments.
func (i *instance) push(name string, args ...string) {
	r := &protocol.PushRequest{Version: 1, ClientGroupID: i.group()}
	for _, text := range args {
		i.last++
		r.Mutations = append(r.Mutations, protocol.Mutation{
			ClientID: i.client(), ID: i.last, Name: name, Args: json.RawMessage(text),
		})
	}
	if err := i.engine.Push(i.ctx, i.caller, r); err != nil {
		i.Fatalf("push: %v", err)
	}
}

func (w *world) group() protocol.ClientGroupID { return protocol.ClientGroupID("g-" + w.caller.Space) }
func (w *world) client() protocol.ClientID     { return protocol.ClientID("c-" + w.caller.Space) }

// pull returns the values of an answer in the text that is sent, and its cookie.
func (i *instance) pull(version int, cookie string) (values map[string]string, next string) {
	parsed, err := protocol.ParseCookie(json.RawMessage(cookie))
	if err != nil {
		i.Fatal(err)
	}
	resp, err := i.engine.Pull(i.ctx, i.caller, &protocol.PullRequest{
		Version: version, ClientGroupID: i.group(), ClientID: i.client(), Cookie: parsed,
	})
	if err != nil {
		i.Fatalf("pull: %v", err)
	}
	var body bytes.Buffer
	if err := resp.Encode(&body); err != nil {
		i.Fatalf("pull: %v", err)
	}
	var answer struct {
		Cookie json.RawMessage
		Patch  []struct {
			Key   string
			Value json.RawMessage
		}
	}
	if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
		i.Fatal(err)
	}
	values = map[string]string{}
	for _, op := range answer.Patch {
		values[op.Key] = string(op.Value)
	}
	return values, string(answer.Cookie)
}

// answers holds what the instance answers to old and new cookies to the texts.
func (i *instance) answers(who, cookie string) {
	for _, a := range []struct {
		name    string
		version int
		cookie  string
	}{
		{"from memory", 1, cookie},
		{"again", 1, cookie},
		{"from the store", 1, "null"},
		{"in version 0", 0, cookie},
		{"all in version 0", 0, "null"},
	} {
		values, _ := i.pull(a.version, a.cookie)
		i.check(who+", "+a.name, values)
	}
}

// check compares texts. There may be others of other keys.
func (w *world) check(where string, values map[string]string) {
	for key, want := range w.want {
		if got := values[key]; got != want {
			w.Errorf("%s: %q is %.200s, want %.200s", where, key, got, want)
		}
	}
}

// spaces counts the spaces of all tests.
var spaces atomic.Int64

func newWorld(ctx context.Context, t rapid.TB) *world {
	space := protocol.SpaceID(fmt.Sprint("s", spaces.Add(1)))
	return &world{
		TB: t, ctx: ctx, want: map[string]string{}, caller: engine.Caller{Space: space, UserID: "u"},
	}
}

// checkOneText writes values and holds all answers to their canonical texts.
func checkOneText(ctx context.Context, t rapid.TB, processes [2]engine.Store, texts []string) {
	w := newWorld(ctx, t)
	first, other := w.start(processes[0]), w.start(processes[1])
	defer first.stop()
	defer other.stop()
	first.push("set", `{"key":"first","value":0}`)
	_, cookie := first.pull(1, "null")
	other.pull(1, cookie) // it begins to remember

	var args []string
	for i, text := range texts {
		key := fmt.Sprint(valuePrefix, i)
		canonical, err := protocol.Canonical(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		w.want[key], w.want["copy/"+key] = string(canonical), string(canonical)
		args = append(args, fmt.Sprintf(`{"key":%q,"value":%s}`, key, text))
	}
	first.push("set", args...)
	first.push("copy", `"copy/"`)
	first.answers("the instance that wrote", cookie)
	other.answers("another instance", cookie)
	later := w.start(processes[1])
	defer later.stop()
	later.answers("an instance that was started later", cookie)
	later.push("copy", `"again/"`)
	for i := range texts {
		key := fmt.Sprint(valuePrefix, i)
		w.want["again/"+key] = w.want[key]
	}
	first.answers("what another instance has copied", cookie)

	file := w.export(processes[0])
	w.restore(file, processes[1])
	w.restore(file, memory.New())
}

// export is a backup of the space, whose lines have the texts too.
func (w *world) export(store engine.Store) []byte {
	var file bytes.Buffer
	if _, err := backup.Write(w.ctx, store, w.caller.Space, &file, nil); err != nil {
		w.Fatalf("export: %v", err)
	}
	values := map[string]string{}
	for line := range bytes.Lines(file.Bytes()) {
		var entry set
		if err := json.Unmarshal(line, &entry); err != nil {
			w.Fatal(err)
		}
		values[entry.Key] = string(entry.Value)
	}
	w.check("the backup", values)
	return file.Bytes()
}

// restore puts a backup into another space and holds that to the texts.
func (w *world) restore(file []byte, store engine.Store) {
	r := newWorld(w.ctx, w.TB)
	r.want = w.want
	if _, err := backup.Import(w.ctx, store, r.caller.Space, bytes.NewReader(file), backup.Options{}); err != nil {
		w.Fatalf("import: %v", err)
	}
	i := r.start(store)
	defer i.stop()
	values, _ := i.pull(1, "null")
	r.check("what was restored", values)
	report, err := fsck.Check(w.ctx, store, r.caller.Space)
	if err != nil || !report.OK() {
		w.Errorf("fsck: %v, %v", report, err)
	}
}
