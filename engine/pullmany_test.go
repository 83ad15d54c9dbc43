package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// counting counts the clients and the entries that are read of its snapshots.
type counting struct {
	engine.Store
	clients, entries atomic.Int64
}

func (c *counting) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	snap, err := c.Store.Snapshot(ctx, id, d)
	return &countingSnapshot{snap, c}, err
}

type countingSnapshot struct {
	engine.Snapshot
	by *counting
}

func (s *countingSnapshot) Clients(
	ctx context.Context, g protocol.ClientGroupID, after int64,
) iter.Seq2[engine.Client, error] {
	return counted(s.Snapshot.Clients(ctx, g, after), &s.by.clients)
}

func (s *countingSnapshot) Entries(ctx context.Context, after int64) iter.Seq2[engine.Entry, error] {
	return counted(s.Snapshot.Entries(ctx, after), &s.by.entries)
}

func counted[T any](all iter.Seq2[T, error], n *atomic.Int64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range all {
			n.Add(1)
			if !yield(item, err) {
				return
			}
		}
	}
}

// pushClients has many clients of a group push, each a mutation that is refused and one that
// is not.
func pushClients(t *testing.T, e *engine.Engine, group protocol.ClientGroupID, from, n int) {
	t.Helper()
	const each = 500
	for ; n > 0; n, from = n-each, from+each {
		var ms []protocol.Mutation
		for i := range min(n, each) {
			c := protocol.ClientID(fmt.Sprintf("c%05d", from+i))
			ms = append(ms, mutation(c, 1, strings.Repeat("x", 100), put{"a", 1}), mutation(c, 2, "put", put{"a", i}))
		}
		mustPush(t, e, alice, group, ms...)
	}
}

// answerText is an answer, encoded.
func answerText(t *testing.T, e *engine.Engine, req *protocol.PullRequest) (text string, told answered) {
	t.Helper()
	resp, err := e.Pull(t.Context(), alice, req)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := resp.Encode(&out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out.String()), &told); err != nil {
		t.Fatal(err)
	}
	return out.String(), told
}

type answered struct {
	Cookie                json.RawMessage
	LastMutationIDChanges map[protocol.ClientID]int64
	Rejections            map[protocol.ClientID][]protocol.Rejection
}

// TestManyClientsAreStreamed: of a group's clients no more are in memory than of entries, in
// a first answer and in one of changes; and none is left out, nor a rejection, though those
// that come first are more than the encoder keeps.
func TestManyClientsAreStreamed(t *testing.T) {
	t.Parallel()
	const clients = 3000
	store := &counting{Store: fresh(t)}
	e := start(t, store, engine.Options{MaxTailBytes: 1})
	pushClients(t, e, "g1", 0, 1)
	_, first := answerText(t, e, &protocol.PullRequest{Version: 1, ClientGroupID: "g1", Cookie: cookieOf(`null`)})
	pushClients(t, e, "g1", 1, clients)
	for name, cookie := range map[string]protocol.Cookie{
		"first answer": cookieOf(`null`), "changes": cookieOf(string(first.Cookie)),
	} {
		req := &protocol.PullRequest{Version: 1, ClientGroupID: "g1", Cookie: cookie}
		store.clients.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := e.Pull(ctx, alice, req); err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := store.clients.Load(); got > 1000 {
			t.Errorf("%s: %d of %d clients were read before anybody took one", name, got, clients)
		}
		_, told := answerText(t, e, req)
		for i := 1; i <= clients; i++ {
			c := protocol.ClientID(fmt.Sprintf("c%05d", i))
			if told.LastMutationIDChanges[c] != 2 || len(told.Rejections[c]) != 1 {
				t.Fatalf("%s: of %s got lastMutationID %d, %d rejections, want 2 and 1",
					name, c, told.LastMutationIDChanges[c], len(told.Rejections[c]))
			}
		}
	}
}

// TestOldRejectionsAreNotTold: who begins anew is told what was refused lately. Who begins
// anew for the sake of old tombstones is told what was refused since its cookie.
func TestOldRejectionsAreNotTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := start(t, fresh(t), engine.Options{})
		fail := func(c protocol.ClientID, id int64) {
			mustPush(t, e, alice, "g1", mutation(c, id, "fail", put{"a", 1}))
		}
		check := func(v *view, what string, want map[protocol.ClientID]int) {
			t.Helper()
			clear(v.refused)
			v.pull(t, e, alice, "g1")
			for _, c := range []protocol.ClientID{"old", "young"} {
				if got := len(v.refused[c]); got != want[c] {
					t.Errorf("%s: got %d rejections of %s, want %d", what, got, c, want[c])
				}
			}
			if v.last["old"] == 0 {
				t.Errorf("%s: the old client's lastMutationID is missing", what)
			}
		}
		fail("old", 1)
		fail("old", 2)
		check(newView(), "at once", map[protocol.ClientID]int{"old": 2})
		behind := newView()
		behind.pull(t, e, alice, "g1")
		time.Sleep(30 * time.Minute)
		fail("young", 1)
		check(newView(), "half an hour later", map[protocol.ClientID]int{"old": 2, "young": 1})
		time.Sleep(31 * time.Minute)
		fail("young", 2)
		mustPush(t, e, alice, "g1", mutation("young", 3, "put", put{"a", 1}), mutation("young", 4, "del", "a"))
		check(newView(), "an hour later", map[protocol.ClientID]int{"young": 2})

		mustPush(t, e, alice, "g1", mutation("young", 5, "put", put{"b", 1}))
		mustPush(t, e, alice, "g1", mutation("young", 6, "del", "b"))
		if _, err := e.Collect(t.Context(), space, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		check(behind, "below the floor", map[protocol.ClientID]int{"young": 2})
		if !behind.cleared {
			t.Error("it did not begin anew")
		}
	})
}

// TestBeforeReading: whoever is asked for leave is asked once for what reads entries or is
// large, and never for what is cheap; nothing is read when they refuse.
func TestBeforeReading(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	e := start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	start := v.clone()
	mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"a", 2}))
	refused := errors.New("no place")
	for _, tt := range []struct {
		name string
		view *view
		then func() // before the pull
		want int
	}{
		{"nothing new", v, func() { v.pull(t, e, alice, "g1") }, 0},
		{"a change in memory", start.clone(), func() {}, 0},
		{"from the beginning", newView(), func() {}, 1},
		{"a large change in memory", start.clone(), func() {
			mustPush(t, e, alice, "g1", mutation("c", 3, "put", put{"b", strings.Repeat("x", 70_000)}))
		}, 1},
	} {
		asked := 0
		var answer error
		who := alice
		who.BeforeReading = func(context.Context) error {
			asked++
			return answer
		}
		tt.then()
		store.reset()
		tt.view.clone().pull(t, e, who, "g1")
		if asked != tt.want {
			t.Errorf("%s: asked %d times, want %d", tt.name, asked, tt.want)
		}
		answer = refused
		store.reset()
		err := tt.view.clone().tryPull(t, e, who, "g1")
		if errors.Is(err, refused) != (tt.want > 0) || store.queries.Load() > 0 {
			t.Errorf("%s, refused: got %v after %d queries", tt.name, err, store.queries.Load())
		}
	}
}
