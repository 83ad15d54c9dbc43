package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// TestPullsShareReads: a thousand clients that are poked at once cost two reads of the
// head, that of the first and that of all who came while it was under way; and the
// change none, since this engine has made it.
func TestPullsShareReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		e := start(t, store, engine.Options{})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
		v := newView()
		v.pull(t, e, alice, "g1")
		mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"a", 2}))

		store.reset()
		var wg sync.WaitGroup
		release := store.hold()
		for range 1000 {
			wg.Go(func() {
				other := v.clone()
				other.pull(t, e, alice, "g1")
				if got := other.entries["a"]; got != "2" {
					t.Errorf("got a = %s, want 2", got)
				}
			})
		}
		synctest.Wait()
		release()
		wg.Wait()
		if got := store.snapshots.Load(); got != 2 {
			t.Errorf("got %d reads of the store, want 2", got)
		}
		if got := store.queries.Load(); got != 0 {
			t.Errorf("got %d queries, want none", got)
		}
	})
}

// TestChangesOfOthersAreReadOnce: what another instance has committed is read by one
// query for all who pull it.
func TestChangesOfOthersAreReadOnce(t *testing.T) {
	t.Parallel()
	base := fresh(t)
	store := &spy{Store: base}
	here, there := start(t, store, engine.Options{}), start(t, base, engine.Options{})
	mustPush(t, there, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, here, alice, "g1")
	for i := range int64(10) {
		mustPush(t, there, alice, "g1", mutation("c", 2+i, "put", put{fmt.Sprint("k", i), i}))
	}
	store.reset()
	for range 5 {
		other := v.clone()
		other.pull(t, here, alice, "g1")
		if got := len(other.entries); got != 11 {
			t.Errorf("got %d entries, want 11", got)
		}
	}
	if got := store.queries.Load(); got != 2 {
		t.Errorf("got %d queries, want 2: entries and clients, once", got)
	}
}

// TestPullMaxAge: with a tolerance, a pull with nothing new reads nothing, and one
// with news of this engine reads nothing either.
func TestPullMaxAge(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	e := start(t, store, engine.Options{PullMaxAge: time.Hour})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	v.pull(t, e, alice, "g1")
	mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"a", 2}))
	store.reset()
	v.pull(t, e, alice, "g1")
	v.pull(t, e, alice, "g1")
	if got := v.entries["a"]; got != "2" {
		t.Errorf("got a = %s, want 2", got)
	}
	if got := store.snapshots.Load() + store.queries.Load(); got != 0 {
		t.Errorf("got %d reads, want none", got)
	}
}

// TestTailAgainstStore: whatever has happened in between, wiped stores, resets, other
// instances, a tail too short, an answer from memory is what the store would have said.
func TestTailAgainstStore(t *testing.T) {
	t.Parallel()
	store := memory.New()
	here := start(t, store, engine.Options{MaxTailBytes: 2000})
	there := start(t, store, engine.Options{})
	views := []*view{}
	ids := map[*engine.Engine]int64{}
	for i := range 300 {
		e := []*engine.Engine{here, there}[i%3%2]
		c := protocol.ClientID(map[*engine.Engine]string{here: "c1", there: "c2"}[e])
		ids[e]++
		mustPush(t, e, alice, "g1", mutation(c, ids[e], "put", put{fmt.Sprint("k", i%7), i}))
		if i%5 == 0 {
			ids[e]++
			mustPush(t, e, alice, "g1", mutation(c, ids[e], "del", fmt.Sprint("k", (i+3)%7)))
		}
		if i%97 == 96 {
			if _, err := there.Reset(context.Background(), space); err != nil {
				t.Fatal(err)
			}
		}
		if i%4 == 0 {
			views = append(views, newView())
		}
		v := views[(i*31)%len(views)]
		v.pull(t, here, alice, "g1")
		want := newView()
		want.pull(t, there, alice, "g1")
		if fmt.Sprint(v.entries) != fmt.Sprint(want.entries) {
			t.Fatalf("step %d: got %v, want %v", i, v.entries, want.entries)
		}
		if fmt.Sprint(v.last) != fmt.Sprint(want.last) {
			t.Fatalf("step %d: lastMutationIDs: got %v, want %v", i, v.last, want.last)
		}
	}
}

// checkEncoded compares what an answer has encoded already with its operations.
func checkEncoded(t *testing.T, resp *protocol.PullResponse, operations []protocol.PatchOperation) {
	t.Helper()
	if resp.Encoded == nil {
		return
	}
	got, want := []string{}, []string{}
	for text := range resp.Encoded {
		got = append(got, string(text))
	}
	for _, op := range operations {
		text, err := op.Encode()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(text))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("encoded operations (-want +got):\n%s", diff)
	}
}

// TestTailIsNotReadAgain: what turns out to be more than a tail holds is not read for each
// pull that is so far behind.
func TestTailIsNotReadAgain(t *testing.T) {
	t.Parallel()
	const versions = 500
	s := &spy{Store: fresh(t)}
	e := start(t, s, engine.Options{MaxTailBytes: 100_000})
	var cookies []protocol.Cookie
	v := newView()
	v.pull(t, e, alice, "g1")
	for i := range versions {
		mustPush(t, e, alice, "g1", mutation("c", int64(i+1), "put", put{fmt.Sprintf("k%05d", i), 10_000 + i}))
		if i%10 == 0 {
			v.pull(t, e, alice, "g1")
			cookies = append(cookies, v.cookie)
		}
	}
	for _, cookie := range cookies {
		late := newView()
		late.cookie = cookie
		late.pull(t, e, alice, "g1")
		s.reset()
		const again = 10
		for range again {
			late.cookie = cookie
			late.pull(t, e, alice, "g1")
		}
		// Its own, of entries and clients, where memory does not reach back so far.
		if n := s.queries.Load(); n > 2*again {
			t.Errorf("%d versions behind: %d queries of %d pulls", versions-cookie.Version, n, again)
		}
	}
}

// TestEntriesAreEncodedOnce: answers share the text of an operation, from whatever
// cookie they lead on, however many there are.
func TestEntriesAreEncodedOnce(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	first := newView()
	first.pull(t, e, alice, "g1")
	mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"b", 2}))
	second := first.clone()
	second.pull(t, e, alice, "g1")
	mustPush(t, e, alice, "g1", mutation("c", 3, "put", put{"c", 3}), mutation("c", 4, "del", "a"))
	texts := map[string]*byte{}
	for i := range 1000 {
		v := []*view{first, second}[i%2]
		resp, err := e.Pull(t.Context(), alice, &protocol.PullRequest{
			Version: 1, ClientGroupID: "g1", Cookie: v.cookie,
		})
		if err != nil {
			t.Fatal(err)
		}
		if resp.Encoded == nil {
			t.Fatal("the answer is not encoded, though its changes are in memory")
		}
		for text := range resp.Encoded {
			if known, ok := texts[string(text)]; ok && known != &text[0] {
				t.Fatalf("%s was encoded again", text)
			}
			texts[string(text)] = &text[0]
		}
	}
	if len(texts) != 3 {
		t.Errorf("got %d operations, want 3: %v", len(texts), texts)
	}
}
