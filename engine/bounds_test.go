package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// TestSpacesAreForgotten: whatever an engine forgets of its spaces to stay within its
// limits, pushes and pulls go on as if it had not.
func TestSpacesAreForgotten(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]engine.Options{
		"few spaces":         {MaxSpaces: 2},
		"little memory":      {MaxMemoryBytes: 2000},
		"no memory":          {MaxMemoryBytes: 1},
		"nothing of a space": {MaxTailBytes: 1, MaxKnownBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := memory.New()
			e := start(t, store, o)
			views := map[protocol.SpaceID]*view{}
			for round := range int64(6) {
				for i := range 5 {
					id := protocol.SpaceID(fmt.Sprint("s", i))
					group, client := groupID(fmt.Sprint("g", i)), clientID(fmt.Sprint("c", i))
					who := engine.Caller{Space: id, UserID: "alice"}
					mustPush(t, e, who, group, mutation(client, round+1, "append", appendArgs{"l", strconv.FormatInt(round, 10)}))
					v, ok := views[id]
					if !ok {
						v = newView()
						views[id] = v
					}
					v.pull(t, e, who, group)
					if got := strings.Count(v.entries["l"], `"`) / 2; got != int(round)+1 {
						t.Fatalf("round %d of %s: got %s", round, id, v.entries["l"])
					}
				}
			}
			for id := range views {
				mustFsck(t, store, id)
			}
		})
	}
}

// TestSpaces lists more than a page, from anywhere, and stops where it is told to.
func TestSpaces(t *testing.T) {
	t.Parallel()
	store := memory.New()
	e := start(t, store, engine.Options{})
	var want []string
	for i := range 650 {
		id := fmt.Sprintf("s%04d", i)
		mustPush(t, e, engine.Caller{Space: protocol.SpaceID(id), UserID: "u"},
			groupID(id), mutation(clientID(id), 1, "put", put{"a", 1}))
		want = append(want, id)
	}
	list := func(after protocol.SpaceID, limit int) (got []string) {
		for id, err := range e.Spaces(t.Context(), after) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, string(id)); len(got) == limit {
				break
			}
		}
		return got
	}
	if diff := cmp.Diff(want, list("", -1)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[301:311], list("s0300", 10)); diff != "" {
		t.Errorf("ten behind one (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs []error
	for _, err := range e.Spaces(ctx, "") {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) {
		t.Errorf("after the end of the context: got %v, want its error once", errs)
	}
}

// TestExpired counts what Collect would give up.
func TestExpired(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "put", put{"b", 1}))
	mustPush(t, e, alice, "g1", mutation("c", 3, "del", "a"))
	for before, want := range map[time.Time]int{time.Now().Add(-time.Hour): 0, time.Now().Add(time.Hour): 1} {
		if n, err := e.Expired(t.Context(), space, before); n != want || err != nil {
			t.Errorf("Expired before %v: got %d, %v, want %d", before, n, err, want)
		}
	}
}

// TestWatchHastensPulls: what a watch has told makes the next pull look, whatever
// PullMaxAge allows.
func TestWatchHastensPulls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := fresh(t)
		here, there := start(t, store, engine.Options{PullMaxAge: time.Hour}), start(t, store, engine.Options{})
		mustPush(t, there, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
		v := newView()
		v.pull(t, here, alice, "g1")
		v.pull(t, here, alice, "g1")
		mustPush(t, there, alice, "g1", mutation("c", 2, "put", put{"a", 2}))
		if v.pull(t, here, alice, "g1"); v.entries["a"] != "1" {
			t.Errorf("within PullMaxAge: got a = %s, want what is remembered", v.entries["a"])
		}
		ctx, cancel := context.WithCancel(t.Context())
		var told []int64
		var wg sync.WaitGroup
		wg.Go(func() {
			err := here.Watch(ctx, space, func(h engine.Head) { told = append(told, h.Version) })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Watch: %v", err)
			}
		})
		synctest.Wait()
		if v.pull(t, here, alice, "g1"); v.entries["a"] != "2" {
			t.Errorf("after the watch has told: got a = %s, want 2", v.entries["a"])
		}
		cancel()
		wg.Wait()
		if diff := cmp.Diff([]int64{2}, told); diff != "" {
			t.Errorf("versions told (-want +got):\n%s", diff)
		}
	})
}

// TestHeadFails as the store does.
func TestHeadFails(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	store.onSnapshot = func(engine.Documents) error { return engine.ErrCorrupt }
	e := start(t, store, engine.Options{})
	if _, err := e.Head(t.Context(), space); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// unpurgeable cannot delete anything.
type unpurgeable struct{ engine.Store }

func (unpurgeable) Purge(context.Context, protocol.SpaceID) (int, error) {
	return 3, engine.ErrUnavailable
}

// TestPurgeIsCutShort: a reset is done, and the log says that storage is left over.
func TestPurgeIsCutShort(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	store := fresh(t)
	e := start(t, unpurgeable{store}, engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	if _, err := e.Reset(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "purge was cut short") || !strings.Contains(got, "deleted=3") {
		t.Errorf("the log says %q", got)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if len(v.entries) != 0 {
		t.Errorf("after the reset: got %v", v.entries)
	}
}

// TestWriteThatReadsForEver fails for good, and one whose time is over during a read
// may be tried again.
func TestWriteThatReadsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		e := start(t, store, engine.Options{PushTimeout: 5 * time.Second})
		endless := func(_ context.Context, tx mutate.WriteTransaction) error {
			for i := 0; ; i++ {
				if _, err := tx.Has(fmt.Sprint("k", i)); err != nil {
					return err
				}
			}
		}
		if _, err := e.Write(t.Context(), space, endless); !errors.Is(err, engine.ErrImpossible) {
			t.Errorf("a write that reads for ever: got %v, want ErrImpossible", err)
		}
		store.mu.Lock()
		store.onSnapshot = func(d engine.Documents) error {
			if len(d.Keys) > 0 {
				return engine.ErrUnavailable
			}
			return nil
		}
		store.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := e.Write(ctx, space, endless)
		if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a write that cannot read: got %v", err)
		}
	})
}

// TestRequestIsOver: a push whose client has gone before its turn is not applied.
func TestRequestIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		e := start(t, store, engine.Options{})
		release := store.hold()
		var wg sync.WaitGroup
		wg.Go(func() { mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1})) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			err := e.Push(ctx, alice, pushOf("g1", mutation("c", 2, "put", put{"a", 2})))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the context's error", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		release()
		wg.Wait()
		if got := lastOf(t, e, "c"); got != 1 {
			t.Errorf("got lastMutationID %d, want 1", got)
		}
	})
}

// TestPushOfNothing: a push of which all is left out, since it is applied, is judged as one
// that has something left, and commits nothing.
func TestPushOfNothing(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	if err := e.Push(t.Context(), alice, pushOf("g1")); err != nil {
		t.Errorf("to a space that does not exist: %v", err)
	}
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	for _, tc := range []struct {
		who  engine.Caller
		want error
	}{
		{alice, nil},
		{engine.Caller{Space: alice.Space, UserID: "bob"}, engine.ErrForbidden},
		{engine.Caller{Space: "other", UserID: "alice"}, engine.ErrForbidden},
	} {
		if err := e.Push(t.Context(), tc.who, pushOf("g1")); !errors.Is(err, tc.want) {
			t.Errorf("by %s to %s: %v, want %v", tc.who.UserID, tc.who.Space, err, tc.want)
		}
	}
	if head, err := e.Head(t.Context(), alice.Space); err != nil || head.Version != 1 {
		t.Errorf("version %d, %v", head.Version, err)
	}
}

// TestApplied: what is applied is read, for the clients of the group only, and whoever may not
// push is not told.
func TestApplied(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	e, another := start(t, store, engine.Options{}), start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c1", 1, "put", put{"a", 1}), mutation("c2", 1, "put", put{"a", 2}))
	mustPush(t, e, alice, "g2", mutation("c3", 1, "put", put{"a", 3}))
	mustPush(t, another, alice, "g1", mutation("c1", 2, "put", put{"a", 4})) // which e has not heard of
	ids := []protocol.ClientID{"c1", "c2", "c3", "c4"}
	got, err := e.Applied(t.Context(), alice, "g1", ids)
	want := map[protocol.ClientID]int64{"c1": 2, "c2": 1}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got\n%s", err, diff)
	}
	for name, tc := range map[string]struct {
		who   engine.Caller
		group protocol.ClientGroupID
		want  error
	}{
		"a group of nobody yet": {alice, "g3", nil},
		"another's group":       {engine.Caller{Space: alice.Space, UserID: "bob"}, "g1", engine.ErrForbidden},
		"a group elsewhere":     {engine.Caller{Space: "other", UserID: "alice"}, "g1", engine.ErrForbidden},
	} {
		if got, err := e.Applied(t.Context(), tc.who, tc.group, ids); !errors.Is(err, tc.want) || len(got) > 0 {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, tc.want)
		}
	}
	if _, err := e.Delete(t.Context(), alice.Space); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Applied(t.Context(), alice, "g1", ids); !sameError(err, protocol.ClientStateNotFound()) {
		t.Errorf("of before the space was deleted: %v", err)
	}
}

// TestNewsHastensPulls: where this engine has acknowledged a push of its own or told a
// version, the next pull shows it, whatever PullMaxAge allows: also with another
// instance's commit in between, which its memory of changes does not have.
func TestNewsHastensPulls(t *testing.T) {
	t.Parallel()
	news := map[string]func(t *testing.T, here *engine.Engine){
		"own commit": func(t *testing.T, here *engine.Engine) {
			t.Helper()
			mustPush(t, here, alice, "g1", mutation("c2", 1, "put", put{"b", 1}))
		},
		"head": func(t *testing.T, here *engine.Engine) {
			t.Helper()
			if h, err := here.Head(t.Context(), space); h.Version != 2 || err != nil {
				t.Errorf("Head = %d, %v, want 2", h.Version, err)
			}
		},
	}
	for name, learn := range news {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fresh(t)
			here, there := start(t, store, engine.Options{PullMaxAge: time.Hour}), start(t, store, engine.Options{})
			mustPush(t, here, alice, "g1", mutation("c1", 1, "put", put{"a", 1}))
			v := newView()
			v.pull(t, here, alice, "g1")
			mustPush(t, there, alice, "g1", mutation("c1", 2, "put", put{"a", 2}))
			learn(t, here)
			if v.pull(t, here, alice, "g1"); v.entries["a"] != "2" {
				t.Errorf("got a = %s, want 2", v.entries["a"])
			}
		})
	}
}
