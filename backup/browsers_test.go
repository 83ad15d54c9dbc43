package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// place is a store that can be wiped.
type place struct {
	engine.Store
	wipe func()
}

var places = map[string]func(testing.TB) place{
	"memory": func(testing.TB) place {
		store := memory.New()
		return place{store, store.Wipe}
	},
	"firestore": func(t testing.TB) place {
		t.Helper()
		project := emulatortest.Project(t)
		store, err := firestore.Open(t.Context(), firestore.Config{
			ProjectID: project, EmulatorHost: emulatortest.Host(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return place{store, func() { emulatortest.Wipe(t.Context(), t, project) }}
	},
}

// world is a space with two instances of the service, which outlive what happens to
// the store, and browsers.
type world struct {
	*testing.T
	place
	engines []*engine.Engine
	tabs    []*tab
	names   int
}

// tab is a client that does what a browser does when its state was lost: it starts
// afresh, in a new group, from the same data.
type tab struct {
	*replica.Client
	name string
	lost int // how often
}

func newWorld(t *testing.T, open func(testing.TB) place) *world {
	t.Helper()
	w := &world{T: t, place: open(t)}
	w.start()
	w.start()
	return w
}

// start makes another instance.
func (w *world) start() {
	r := mutate.NewRegistry()
	mutate.Register(r, "note", func(_ context.Context, tx mutate.WriteTransaction, text string) error {
		key := "notes of " + string(tx.ClientID())
		notes, _, err := mutate.Get[[]string](tx, key)
		if err != nil {
			return err
		}
		return tx.Set(key, append(notes, text))
	})
	e := engine.New(w.Store, r, engine.Options{Logger: slog.New(slog.DiscardHandler)})
	w.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			w.Error(err)
		}
	})
	w.engines = append(w.engines, e)
}

func (w *world) id(kind string) string {
	w.names++
	return fmt.Sprintf("%s%d", kind, w.names)
}

// browser opens a tab of a new group.
func (w *world) browser(name string) *tab {
	return w.opened(name, replica.New(protocol.ClientID(w.id("c")), protocol.ClientGroupID(w.id("g"))))
}

// sibling opens another tab on the data of t.
func (w *world) sibling(name string, t *tab) *tab {
	return w.opened(name, t.Fork(protocol.ClientID(w.id("c"))))
}

func (w *world) opened(name string, c *replica.Client) *tab {
	t := &tab{Client: c, name: name}
	w.tabs = append(w.tabs, t)
	return t
}

// write makes n mutations.
func (t *tab) write(n int) {
	for range n {
		next := int64(len(t.Pending())) + t.Confirmed() + 1
		t.Mutate("note", json.RawMessage(fmt.Sprintf(`"%s %d"`, t.ID(), next)), time.Now())
	}
}

// push sends all that is pending, pushFirst the first n of that.
func (w *world) push(t *tab) { w.pushFirst(t, len(t.Pending())) }

func (w *world) pushFirst(t *tab, n int) {
	w.Helper()
	if n == 0 {
		return
	}
	req, err := protocol.DecodePushRequest(t.PushRequestOf(t.Pending()[:n]))
	if err != nil {
		w.Fatal(err)
	}
	err = w.engine().Push(w.Context(), caller, req)
	if errors.Is(err, engine.ErrMutationGap) {
		w.Errorf("%s is told of a gap", t.name)
	} else if !w.startsAfresh(t, err) && err != nil {
		w.Errorf("push of %s: %v", t.name, err)
	}
}

var caller = engine.Caller{Space: "s", UserID: "u"}

// engine is one instance after the other.
func (w *world) engine() *engine.Engine {
	w.engines = append(w.engines[1:], w.engines[0])
	return w.engines[0]
}

// startsAfresh does so if the answer says that the client's state was lost.
func (w *world) startsAfresh(t *tab, err error) bool {
	refused, ok := errors.AsType[*protocol.ErrorResponse](err)
	if !ok || refused.Kind != protocol.ClientStateNotFound().Kind {
		return false
	}
	t.Client = t.Regroup(protocol.ClientID(w.id("c")), protocol.ClientGroupID(w.id("g")))
	t.lost++
	return true
}

func (w *world) pull(t *tab) {
	w.Helper()
	req, err := protocol.DecodePullRequest(t.PullRequest())
	if err != nil {
		w.Fatal(err)
	}
	resp, err := w.engine().Pull(w.Context(), caller, req)
	if err != nil {
		if !w.startsAfresh(t, err) {
			w.Errorf("pull of %s: %v", t.name, err)
		}
		return
	}
	var body bytes.Buffer
	if err := resp.Encode(&body); err != nil {
		w.Fatal(err)
	}
	if _, err := t.Apply(t.Cookie(), body.Bytes()); err != nil {
		w.Errorf("%s refuses the answer to its pull: %v", t.name, err)
	}
}

func (w *world) sync(t *tab) {
	w.Helper()
	w.push(t)
	w.pull(t)
}

// settle has every tab sync a few times, in an order that is another each time, and
// wants them to agree with one that has never been here, with nothing pending.
func (w *world) settle() map[string]json.RawMessage {
	w.Helper()
	order := slices.Clone(w.tabs)
	for round := range 4 {
		for i := range order {
			w.sync(order[(i+3*round)%len(order)])
		}
		slices.Reverse(order)
	}
	fresh := w.browser("fresh")
	w.pull(fresh)
	for _, t := range w.tabs {
		w.pull(t)
		if diff := cmp.Diff(fresh.View(), t.View()); diff != "" {
			w.Errorf("%s differs (-fresh +it):\n%s", t.name, diff)
		}
		if n := len(t.Pending()); n > 0 {
			w.Errorf("%s still has %d mutations pending", t.name, n)
		}
		if t.lost > 1 {
			w.Errorf("%s started afresh %d times", t.name, t.lost)
		}
	}
	w.once(fresh.View())
	storetest.MustFsck(w, w.Store, "s")
	return fresh.View()
}

// once: of no client is a note there twice, or out of order.
func (w *world) once(view map[string]json.RawMessage) {
	w.Helper()
	for key, value := range view {
		var notes []string
		if err := json.Unmarshal(value, &notes); err != nil {
			w.Fatal(err)
		}
		last := 0
		for _, note := range notes {
			var id string
			var n int
			if _, err := fmt.Sscanf(note, "%s %d", &id, &n); err != nil || n <= last {
				w.Errorf("%s are %s", key, value)
			}
			last = n
		}
	}
}

// goOn has every tab write once more, which must stay.
func (w *world) goOn() {
	w.Helper()
	for _, t := range w.tabs {
		t.write(1)
	}
	view := w.settle()
	for _, t := range w.tabs {
		if t.name != "fresh" && view["notes of "+string(t.ID())] == nil {
			w.Errorf("what %s wrote in the end is not there", t.name)
		}
	}
}

func (w *world) export() []byte { return export(w.Context(), w, w.Store, "s") }

func (w *world) restore(file []byte) {
	w.Helper()
	_, err := backup.Import(w.Context(), w.Store, "s", bytes.NewReader(file), backup.Options{Replace: true})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.Purge(w.Context(), "s"); err != nil {
		w.Fatal(err)
	}
}
