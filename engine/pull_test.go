package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// TestPullSequence follows one client from nothing through changes.
func TestPullSequence(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	v := newView()
	v.pull(t, e, alice, "g1")
	if !v.cleared || len(v.entries) != 0 {
		t.Fatalf("first pull of an empty space: got cleared %v, %v", v.cleared, v.entries)
	}
	first := string(v.cookie.Raw)
	v.pull(t, e, alice, "g1")
	if got := string(v.cookie.Raw); got != first || v.ops != 0 {
		t.Errorf("nothing new: got cookie %s after %s, %d operations", got, first, v.ops)
	}
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "put", put{"b", 2}))
	v.pull(t, e, alice, "g1")
	mustPush(t, e, alice, "g1", mutation("c", 3, "put", put{"b", 3}))
	v.pull(t, e, alice, "g1")
	if v.ops != 1 {
		t.Errorf("one change: got %d operations", v.ops)
	}
	mustPush(t, e, alice, "g1", mutation("c", 4, "del", "a"), mutation("c", 5, "del", "absent"))
	v.pull(t, e, alice, "g1")
	if v.ops != 1 {
		t.Errorf("one deletion, one of nothing: got %d operations", v.ops)
	}
	if diff := cmp.Diff(map[string]string{"b": "3"}, v.entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if v.last["c"] != 5 {
		t.Errorf("lastMutationID: got %d", v.last["c"])
	}
	mustPush(t, e, alice, "g1", mutation("c", 6, "fail", put{"x", 1}))
	v.pull(t, e, alice, "g1")
	if v.last["c"] != 6 || v.ops != 0 {
		t.Errorf("an acknowledgement alone must move the cookie: last %d, %d operations", v.last["c"], v.ops)
	}
}

// TestPullCookies: whatever cookie a client comes with, the answer is right and
// the client can take it.
func TestPullCookies(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"b", 2}))
	head, err := e.Head(t.Context(), space)
	if err != nil {
		t.Fatal(err)
	}
	ours := func(order any, version int64, epoch string) string {
		raw, err := json.Marshal(map[string]any{"order": order, "version": version, "epoch": epoch})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	tests := []struct {
		name, cookie string
		group        protocol.ClientGroupID
		full         bool
		csnf         bool
		bad          bool
	}{
		{name: "null", cookie: `null`, full: true},
		{name: "number of another server", cookie: `42`, full: true},
		{name: "large number", cookie: `9007199254740000`, full: true},
		{name: "no room above", cookie: `9007199254740991`, bad: true},
		{name: "fraction", cookie: `1.5`, full: true},
		{name: "negative", cookie: `-7`, full: true},
		{name: "string of another server", cookie: `"zz"`, full: true},
		{name: "string of digits", cookie: `"9"`, full: true},
		{name: "object of another server", cookie: `{"order":"x","cvrID":"y"}`, full: true},
		{name: "ours", cookie: ours(1, 1, head.Epoch)},
		{name: "ours, of a fork with a higher order", cookie: ours(1000, 1, head.Epoch), group: "gNew"},
		{name: "another epoch", cookie: ours(5, 1, "other"), full: true},
		{name: "another epoch, from the future", cookie: ours(500, 400, "other"), full: true},
		{name: "from the future, group known", cookie: ours(500, 400, head.Epoch), csnf: true},
		{name: "from the future, group unknown", cookie: ours(500, 400, head.Epoch), group: "gNew", full: true},
		{name: "of the empty space before it existed", cookie: ours(0, 0, ""), full: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := tt.group
			if g == "" {
				g = "g1"
			}
			var raw protocol.Cookie
			req, err := protocol.DecodePullRequest([]byte(
				`{"pullVersion":1,"profileID":"p","clientGroupID":"g","schemaVersion":"","cookie":` + tt.cookie + `}`))
			if err == nil {
				raw = req.Cookie
				v := newView()
				v.cookie = raw
				err = v.tryPull(t, e, alice, g)
				if err == nil {
					checkHealed(t, e, v, g, tt.full)
				}
			}
			if _, bad := errors.AsType[*protocol.DecodeError](err); bad != tt.bad {
				t.Errorf("got error %v, want a refusal: %v", err, tt.bad)
			}
			if sameError(err, protocol.ClientStateNotFound()) != tt.csnf {
				t.Errorf("got error %v, want ClientStateNotFound: %v", err, tt.csnf)
			}
		})
	}
}

// checkHealed looks at a view after its first answer and goes on from it.
func checkHealed(t *testing.T, e *engine.Engine, v *view, g protocol.ClientGroupID, full bool) {
	t.Helper()
	if v.cleared != full {
		t.Errorf("full resync: got %v, want %v", v.cleared, full)
	}
	want := map[string]string{"b": "2"}
	if full {
		want["a"] = "1"
	}
	if diff := cmp.Diff(want, v.entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if full && g == "g1" && v.last["c"] != 2 {
		t.Errorf("a full resync carries every lastMutationID: got %v", v.last)
	}
	before := string(v.cookie.Raw)
	v.pull(t, e, alice, g)
	if got := string(v.cookie.Raw); got != before {
		t.Errorf("nothing new: cookie %s became %s", before, got)
	}
}

// afterwards runs something once, when a snapshot has been read.
type afterwards struct {
	engine.Store

	run func()
}

func (a *afterwards) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	snap, err := a.Store.Snapshot(ctx, id, d)
	if run := a.run; run != nil {
		a.run = nil
		run()
	}
	return snap, err
}

// TestRejectionsBesideACollection: a collection that raises the floor above a pull's cookie, between
// its read and its answer from memory, has no rejection told again.
func TestRejectionsBesideACollection(t *testing.T) {
	t.Parallel()
	store := &afterwards{Store: fresh(t)}
	e := start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	mustPush(t, e, alice, "g1", mutation("c", 2, "fail", put{"a", 1}), mutation("c", 3, "put", put{"b", 1}))
	v.pull(t, e, alice, "g1")
	mustPush(t, e, alice, "g1", mutation("c", 4, "del", "b"))
	collected := false
	store.run = func() {
		if _, err := e.Collect(t.Context(), space, time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		collected = true
	}
	v.pull(t, e, alice, "g1")
	if got := v.refused["c"]; len(got) != 1 || !collected {
		t.Errorf("rejections told: got %+v, want one; the collection has run: %v", got, collected)
	}
	if _, ok := v.entries["b"]; ok || v.last["c"] != 4 {
		t.Errorf("got entries %v, lastMutationID %d", v.entries, v.last["c"])
	}
}

func TestPullForbidden(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	for range 2 { // the second time, the owner is remembered
		if err := newView().tryPull(t, e, bob, "g1"); !errors.Is(err, engine.ErrForbidden) {
			t.Errorf("another user: got %v", err)
		}
		other := engine.Caller{Space: "other", UserID: "alice"}
		if err := newView().tryPull(t, e, other, "g1"); !errors.Is(err, engine.ErrForbidden) {
			t.Errorf("another space: got %v", err)
		}
		newView().pull(t, e, alice, "g1")
	}
}

// TestPullReads: nothing new costs one document, and the group's once.
func TestPullReads(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	var groups, heads int
	store.onSnapshot = func(d engine.Documents) error {
		groups += len(d.Groups)
		if d.Head {
			heads++
		}
		return nil
	}
	first := start(t, store, engine.Options{})
	mustPush(t, first, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, first, alice, "g1")

	e := start(t, store, engine.Options{}) // an instance that has seen nothing
	groups, heads = 0, 0
	for range 5 {
		v.pull(t, e, alice, "g1")
	}
	if groups != 1 || heads != 5 {
		t.Errorf("five pulls with nothing new: got %d group and %d head reads, want 1 and 5", groups, heads)
	}
}

// TestPullStreams: an answer larger than a page is whole, and one that nobody
// reads to the end leaves nothing behind (goleak).
func TestPullStreams(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	var ms []protocol.Mutation
	for i := range int64(2000) {
		ms = append(ms, mutation("c", i+1, "put", put{fmt.Sprint("k", i), i}))
	}
	mustPush(t, e, alice, "g1", ms...)
	v := newView()
	v.pull(t, e, alice, "g1")
	if len(v.entries) != 2000 {
		t.Errorf("got %d entries", len(v.entries))
	}
	req := &protocol.PullRequest{Version: 1, ClientGroupID: "g1", Cookie: cookieOf(`null`)}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := e.Pull(ctx, alice, req); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp, err := e.Pull(t.Context(), alice, req)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range resp.Patch {
		if n++; err != nil || n == 300 {
			break
		}
	}
	var last error
	for _, err := range resp.Patch {
		last = err
	}
	if last == nil {
		t.Errorf("a patch was read twice without an error")
	}
}

// TestPullIsOneSnapshot: a counter and its lastMutationID are written together,
// and every answer shows them together, whatever is committed meanwhile.
func TestPullIsOneSnapshot(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"n", 1}))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for id := int64(2); ; id++ {
			select {
			case <-stop:
				return
			default:
				mustPush(t, e, alice, "g1", mutation("c", id, "put", put{"n", id}))
			}
		}
	})
	v := newView()
	for range 300 {
		v.pull(t, e, alice, "g1")
		if got, want := v.entries["n"], strconv.FormatInt(v.last["c"], 10); got != want {
			t.Fatalf("n is %s and lastMutationID %s", got, want)
		}
	}
	close(stop)
	wg.Wait()
}

func TestPullV0(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	push := &protocol.PushRequest{Version: 0, ClientGroupID: "old", Mutations: []protocol.Mutation{
		mutation("old", 1, "put", put{"a", 1}), mutation("old", 2, "fail", put{"b", 1}),
	}}
	if err := e.Push(t.Context(), alice, push); err != nil {
		t.Fatal(err)
	}
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"c", 1}))
	pull := func(client protocol.ClientID, last int64, cookie string) (*protocol.PullResponse, error) {
		return e.Pull(t.Context(), alice, &protocol.PullRequest{
			Version: 0, ClientGroupID: protocol.ClientGroupID(client), ClientID: client, LastMutationID: last,
			Cookie: cookieOf(cookie),
		})
	}
	resp, err := pull("old", 0, `null`)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := resp.Encode(&out); err != nil {
		t.Fatal(err)
	}
	var body struct {
		LastMutationID *int64
		Changes        any `json:"lastMutationIDChanges"`
		Cookie         json.RawMessage
		Patch          []json.RawMessage
	}
	if err := json.Unmarshal([]byte(out.String()), &body); err != nil {
		t.Fatal(err)
	}
	if body.LastMutationID == nil || *body.LastMutationID != 2 || body.Changes != nil || len(body.Patch) != 3 {
		t.Errorf("got %s", out.String())
	}
	if resp, err = pull("old", 2, string(body.Cookie)); err != nil || resp.LastMutationID != 2 {
		t.Errorf("nothing new: got %+v, %v", resp, err)
	}
	if resp, err = pull("unseen", 0, `null`); err != nil || resp.LastMutationID != 0 {
		t.Errorf("a client that has never pushed: got %+v, %v", resp, err)
	}
	csnf := protocol.ClientStateNotFound()
	if _, err = pull("unseen", 3, `null`); !sameError(err, csnf) {
		t.Errorf("a client whose state is lost: got %v", err)
	}
	if _, err = pull("old", 3, `null`); !sameError(err, csnf) {
		t.Errorf("a client that has seen more: got %v", err)
	}
	if _, err = pull("c", 1, `null`); !errors.Is(err, engine.ErrForbidden) {
		t.Errorf("a client of a version 1 group: got %v", err)
	}
}
