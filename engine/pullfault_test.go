package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

func groupID(s string) protocol.ClientGroupID { return protocol.ClientGroupID(s) }
func clientID(s string) protocol.ClientID     { return protocol.ClientID(s) }

// breaking is a store whose snapshots fail in the middle of a reading.
type breaking struct {
	engine.Store
	entries int   // that are read before the failure
	clients error // nil: no failure there
	failure error // of entries
}

func (b *breaking) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	snap, err := b.Store.Snapshot(ctx, id, d)
	return &brokenSnapshot{snap, b}, err
}

type brokenSnapshot struct {
	engine.Snapshot
	how *breaking
}

func (s *brokenSnapshot) Entries(ctx context.Context, after int64) iter.Seq2[engine.Entry, error] {
	return func(yield func(engine.Entry, error) bool) {
		n := 0
		for e, err := range s.Snapshot.Entries(ctx, after) {
			if s.how.failure != nil && n == s.how.entries {
				yield(engine.Entry{}, s.how.failure)
				return
			}
			if n++; !yield(e, err) {
				return
			}
		}
	}
}

func (s *brokenSnapshot) Clients(
	ctx context.Context, g protocol.ClientGroupID, after int64,
) iter.Seq2[engine.Client, error] {
	if s.how.clients == nil {
		return s.Snapshot.Clients(ctx, g, after)
	}
	return func(yield func(engine.Client, error) bool) { yield(engine.Client{}, s.how.clients) }
}

// TestPullFailsInTheMiddle: no answer is made of half a reading. What fails once the
// answer has begun ends its patch with the error.
func TestPullFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		store    breaking
		streamed bool // the answer has begun when it fails
	}{
		"clients":                  {store: breaking{clients: boom}},
		"the first entry":          {store: breaking{failure: boom}},
		"entries and clients":      {store: breaking{failure: boom, entries: 10, clients: boom}},
		"an entry of a later page": {store: breaking{failure: boom, entries: 300}, streamed: true},
	} {
		for _, cookie := range []string{`null`, "one version ago"} {
			t.Run(name+" from "+cookie, func(t *testing.T) {
				t.Parallel()
				base := fresh(t)
				writer := start(t, base, engine.Options{})
				mustPush(t, writer, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
				v := newView()
				if cookie != `null` {
					v.pull(t, writer, alice, "g1")
				}
				var ms []protocol.Mutation
				for i := range int64(400) {
					ms = append(ms, mutation("c", i+2, "put", put{fmt.Sprint("k", i), i}))
				}
				mustPush(t, writer, alice, "g1", ms...)
				store := tt.store
				store.Store = base
				e := start(t, &store, engine.Options{MaxTailBytes: 1})
				checkBroken(t, e, v.cookie, boom, tt.streamed)
			})
		}
	}
}

func checkBroken(t *testing.T, e *engine.Engine, cookie protocol.Cookie, want error, streamed bool) {
	t.Helper()
	resp, err := e.Pull(t.Context(), alice, &protocol.PullRequest{Version: 1, ClientGroupID: "g1", Cookie: cookie})
	if !streamed {
		if !errors.Is(err, want) {
			t.Errorf("Pull: got %v, want %v", err, want)
		}
		return
	}
	if err != nil {
		t.Fatalf("Pull: %v", err)
	}
	var last error
	for _, err := range resp.Patch {
		if last != nil {
			t.Errorf("the patch goes on after %v", last)
		}
		last = err
	}
	if !errors.Is(last, want) {
		t.Errorf("the patch ends with %v, want %v", last, want)
	}
}

// TestPatchIsLeftEarly: whoever stops reading an answer, in memory or from the store,
// at its first operation, stops it.
func TestPatchIsLeftEarly(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "put", put{"b", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	mustPush(t, e, alice, "g1", mutation("c", 3, "put", put{"a", 2}), mutation("c", 4, "put", put{"b", 2}))
	for name, cookie := range map[string]protocol.Cookie{"in memory": v.cookie, "from the store": cookieOf(`null`)} {
		resp, err := e.Pull(t.Context(), alice, &protocol.PullRequest{Version: 1, ClientGroupID: "g1", Cookie: cookie})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range resp.Patch {
			if n++; err != nil {
				t.Error(err)
			}
			break
		}
		if resp.Encoded != nil {
			for range resp.Encoded {
				n++
				break
			}
		}
		if want := map[bool]int{true: 2, false: 1}[resp.Encoded != nil]; n != want {
			t.Errorf("%s: got %d operations, want %d", name, n, want)
		}
	}
}

// TestCookieWithoutRoom: the client is told which field is wrong.
func TestCookieWithoutRoom(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	for id := range int64(3) {
		mustPush(t, e, alice, "g1", mutation("c", id+2, "put", put{"a", id}))
	}
	head, err := e.Head(t.Context(), space)
	if err != nil {
		t.Fatal(err)
	}
	last := `{"order":9007199254740990,"version":1,"epoch":"` + head.Epoch + `"}`
	_, err = e.Pull(t.Context(), alice, &protocol.PullRequest{
		Version: 1, ClientGroupID: "g1", Cookie: cookieOf(last),
	})
	if wrong, ok := errors.AsType[*protocol.DecodeError](err); !ok || !strings.HasPrefix(wrong.Field, "cookie") {
		t.Errorf("got %v, want a DecodeError for the cookie", err)
	}
}

// TestPullOfVersion0ReadsChanges: it never answers from memory, and gets the
// changes alone.
func TestPullOfVersion0ReadsChanges(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	one := &protocol.PushRequest{Version: 0, ClientGroupID: "old", Mutations: []protocol.Mutation{
		mutation("old", 1, "put", put{"a", 1}),
	}}
	if err := e.Push(t.Context(), alice, one); err != nil {
		t.Fatal(err)
	}
	req := &protocol.PullRequest{ClientGroupID: "old", ClientID: "old", Cookie: cookieOf(`null`)}
	resp, err := e.Pull(t.Context(), alice, req)
	if err != nil {
		t.Fatal(err)
	}
	one.Mutations[0] = mutation("old", 2, "put", put{"b", 2})
	if err := e.Push(t.Context(), alice, one); err != nil {
		t.Fatal(err)
	}
	req.Cookie = cookieOf(string(resp.Cookie))
	if resp, err = e.Pull(t.Context(), alice, req); err != nil || resp.LastMutationID != 2 {
		t.Fatalf("got %+v, %v", resp, err)
	}
	var keys []string
	for op, err := range resp.Patch {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(op.Op)+" "+op.Key)
	}
	if len(keys) != 1 || keys[0] != string(protocol.OpPut)+" b" {
		t.Errorf("got %v, want b alone", keys)
	}
}

// TestPullWaitsNoLonger: who has gone does not wait for the read he shares with
// others, and after Close everybody reads for himself.
func TestPullWaitsNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		e := start(t, store, engine.Options{})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
		release := store.hold()
		ctx, cancel := context.WithCancel(t.Context())
		var gone error
		var wg sync.WaitGroup
		wg.Go(func() {
			req := &protocol.PullRequest{Version: 1, ClientGroupID: "g1", Cookie: cookieOf(`null`)}
			_, gone = e.Pull(ctx, alice, req)
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		if !errors.Is(gone, context.Canceled) {
			t.Errorf("got %v, want the context's error", gone)
		}
		release()
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := newView()
		v.pull(t, e, alice, "g1")
		if v.entries["a"] != "1" {
			t.Errorf("after Close: got %v", v.entries)
		}
	})
}

// TestPullBesideACorruptDocument: pulls share a read, and only those whose own document
// is corrupt fail.
func TestPullBesideACorruptDocument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		e := start(t, store, engine.Options{})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
		gate := make(chan struct{})
		store.mu.Lock()
		store.onSnapshot = func(d engine.Documents) error {
			<-gate
			if slices.Contains(d.Groups, "broken") {
				return engine.ErrCorrupt
			}
			return nil
		}
		store.mu.Unlock()
		var wg sync.WaitGroup
		for _, g := range []protocol.ClientGroupID{"first", "g1", "broken", "g2"} {
			wg.Go(func() {
				err := newView().tryPull(t, e, alice, g)
				if corrupt := errors.Is(err, engine.ErrCorrupt); corrupt != (g == "broken") || err != nil && !corrupt {
					t.Errorf("pull of %s: %v", g, err)
				}
			})
			synctest.Wait()
		}
		close(gate)
		wg.Wait()
	})
}
