package firestore_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// What a push and a pull cost in RPCs and documents, counted between the SDK and
// the emulator, with the chat's mutators. Firestore bills by document, and every
// RPC is a round trip.

// instance is an engine on the fixture's store.
func instance(t *testing.T, f fixture) *engine.Engine {
	t.Helper()
	e := engine.New(f.Store, chat.Mutators(), engine.Options{})
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// creates are n createMessage of client c, from its mutation id first on.
func creates(c protocol.ClientID, first, n int64) []protocol.Mutation {
	var ms []protocol.Mutation
	for id := first; id < first+n; id++ {
		args := fmt.Sprintf(`{"id":"%s-%d","from":"ann","content":"hello","order":%d}`, c, id, id)
		ms = append(ms, protocol.Mutation{ClientID: c, ID: id, Name: "createMessage", Args: []byte(args)})
	}
	return ms
}

func TestWorkOfAPush(t *testing.T) {
	t.Parallel()
	f := open(t)
	e := instance(t, f)
	caller := engine.Caller{Space: "s"}
	var begins begins
	push := func(ms []protocol.Mutation) rpccount.Counts {
		t.Helper()
		begins.without(f.counter.Reset()) // what waits too long for a commit is rolled back in between
		req := &protocol.PushRequest{Version: 1, ClientGroupID: "g", Mutations: ms}
		if err := e.Push(t.Context(), caller, req); err != nil {
			t.Fatal(err)
		}
		return begins.without(f.counter.Reset())
	}
	one := map[string]int{"Commit": 1}
	two := map[string]int{"BatchGetDocuments": 1, "Commit": 1}
	tests := []struct {
		name string
		push []protocol.Mutation
		want rpccount.Counts
	}{
		{"cold, the first of the space: head, group and client are read first", creates("c", 1, 1), rpccount.Counts{
			RPCs:    map[string]int{"BatchGetDocuments": 2, "Commit": 1},
			Missing: 4, Written: 4, // head, group, client, message
		}},
		{"warm, 1", creates("c", 2, 1), rpccount.Counts{RPCs: two, Missing: 1, Written: 3}},
		{"warm, 100", creates("c", 3, 100), rpccount.Counts{RPCs: two, Missing: 100, Written: 102}},
		{"warm, resent with one more: createMessage is known to find nothing", creates("c", 1, 103), rpccount.Counts{
			RPCs: one, Written: 3,
		}},
		{"nothing new: memory is not trusted to say so", creates("c", 1, 103), rpccount.Counts{
			RPCs: map[string]int{"BatchGetDocuments": 1}, Read: 3, // head, group, client
		}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, push(tt.push)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	push(creates("c", 104, 1))
	known := creates("c", 105, 1)
	known[0].Name, known[0].Args = "updateMessage", []byte(`{"id":"c-104","content":"better"}`)
	want := rpccount.Counts{RPCs: one, Written: 3}
	if diff := cmp.Diff(want, push(known)); diff != "" {
		t.Errorf("of a message that is known (-want +got):\n%s", diff)
	}
	rejected := creates("c", 106, 1)
	rejected[0].Name = "nope"
	want.Written = 2
	if diff := cmp.Diff(want, push(rejected)); diff != "" {
		t.Errorf("rejected without a read (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(rpccount.Counts{RPCs: one, Written: 102}, push(creates("c", 107, 100))); diff != "" {
		t.Errorf("100 that find nothing, as expected (-want +got):\n%s", diff)
	}
	other := &protocol.PushRequest{Version: 1, ClientGroupID: "h", Mutations: creates("d", 1, 1)}
	other.Mutations[0].Args = []byte(`{"id":"c-208","from":"bob","content":"mine","order":1}`)
	if err := instance(t, f).Push(t.Context(), caller, other); err != nil {
		t.Fatal(err)
	}
	push(creates("c", 207, 1)) // learns of the other instance's commit
	if diff := cmp.Diff(rpccount.Counts{
		RPCs: map[string]int{"Commit": 2, "BatchGetDocuments": 1},
		Read: 4, Written: 3 + 2, // head, group, client, message; a refused commit and one of a rejection
	}, push(creates("c", 208, 1))); diff != "" {
		t.Errorf("a message that exists against expectation (-want +got):\n%s", diff)
	}
	begins.without(f.counter.Reset())
	begins.check(t)
	storetest.MustFsck(t, f.Store, "s")
}

// begins counts transactions apart: the next commit's is begun beside the one under
// way, and may be counted with either.
type begins struct{ begun, ended, undone int }

// without takes what was begun and rolled back out of the counts of a push.
func (b *begins) without(c rpccount.Counts) rpccount.Counts {
	b.begun += c.RPCs["BeginTransaction"]
	b.undone += c.RPCs["Rollback"]
	b.ended += c.RPCs["Commit"]
	delete(c.RPCs, "BeginTransaction")
	delete(c.RPCs, "Rollback")
	return c
}

// check wants one transaction for each commit, and one more got ready at the most, not
// counting those that were given up.
func (b *begins) check(t *testing.T) {
	t.Helper()
	if b.begun < b.ended || b.begun-b.undone > b.ended+1 {
		t.Errorf("%d transactions were begun and %d rolled back for %d commits", b.begun, b.undone, b.ended)
	}
}

func TestWorkOfAPull(t *testing.T) {
	t.Parallel()
	f := open(t)
	caller := engine.Caller{Space: "s"}
	writer := instance(t, f)
	write := func(first, n int64) {
		t.Helper()
		req := &protocol.PushRequest{Version: 1, ClientGroupID: "g", Mutations: creates("c", first, n)}
		if err := writer.Push(t.Context(), caller, req); err != nil {
			t.Fatal(err)
		}
	}
	write(1, 10)

	reader := instance(t, f) // has seen nothing
	cookie, err := protocol.ParseCookie([]byte("null"))
	if err != nil {
		t.Fatal(err)
	}
	pull := func() rpccount.Counts {
		t.Helper()
		f.counter.Reset()
		resp, err := reader.Pull(t.Context(), caller, &protocol.PullRequest{
			Version: 1, ClientGroupID: "g", Cookie: cookie,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range resp.Patch {
			if err != nil {
				t.Fatal(err)
			}
		}
		if cookie, err = protocol.ParseCookie(resp.Cookie); err != nil {
			t.Fatal(err)
		}
		return f.counter.Counts()
	}
	one := map[string]int{"BatchGetDocuments": 1}
	two := map[string]int{"BatchGetDocuments": 1, "RunQuery": 2}
	check := func(name string, want rpccount.Counts) {
		t.Helper()
		if diff := cmp.Diff(want, pull()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	check("first: head, group, ten messages, one client", rpccount.Counts{RPCs: two, Read: 13})
	check("nothing new: the head; the group's owner is remembered", rpccount.Counts{RPCs: one, Read: 1})
	write(11, 2)
	check("two messages more, and their client", rpccount.Counts{RPCs: two, Read: 4})
	check("nothing new again", rpccount.Counts{RPCs: one, Read: 1})
	storetest.MustFsck(t, f.Store, "s")
}

// TestWorkOfAPoke: all clients of a space pull at once after a commit of this
// instance's: however many they are, the change is not read, and the head twice.
func TestWorkOfAPoke(t *testing.T) {
	t.Parallel()
	f := open(t)
	e := instance(t, f)
	caller := engine.Caller{Space: "s"}
	push := func(first, n int64) {
		t.Helper()
		req := &protocol.PushRequest{Version: 1, ClientGroupID: "g", Mutations: creates("c", first, n)}
		if err := e.Push(t.Context(), caller, req); err != nil {
			t.Fatal(err)
		}
	}
	pull := func(cookie protocol.Cookie) (protocol.Cookie, int) {
		resp, err := e.Pull(t.Context(), caller, &protocol.PullRequest{
			Version: 1, ClientGroupID: "g", Cookie: cookie,
		})
		if err != nil {
			t.Error(err)
			return cookie, 0
		}
		operations := count(t, resp)
		next, err := protocol.ParseCookie(resp.Cookie)
		if err != nil {
			t.Error(err)
		}
		return next, operations
	}
	push(1, 1)
	cookie, err := protocol.ParseCookie([]byte("null"))
	if err != nil {
		t.Fatal(err)
	}
	cookie, _ = pull(cookie)
	push(2, 20)
	f.counter.Reset()
	var clients, arrived sync.WaitGroup
	arrived.Add(1000)
	// The first look takes until all have come, so that they come together on any machine.
	f.faults.add(fault{method: "BatchGetDocuments", before: arrived.Wait})
	for range 1000 {
		clients.Go(func() {
			arrived.Done()
			if _, n := pull(cookie); n != 20 {
				t.Errorf("a client was told of %d changes, want 20", n)
			}
		})
	}
	clients.Wait()
	// Two looks are enough, but a client that the machine stops on its way into Pull, when it
	// has arrived, needs one of its own.
	got := f.counter.Counts()
	if got.Total() > 20 || got.Read > 20 || got.RPCs["RunQuery"] != 0 {
		t.Errorf("1,000 pulls cost %+v, want a few reads of the head", got)
	}
}

// TestWorkOfAWarmPull: where a tolerance is set, a pull of what this instance knows
// reads nothing.
func TestWorkOfAWarmPull(t *testing.T) {
	t.Parallel()
	f := open(t)
	e := engine.New(f.Store, chat.Mutators(), engine.Options{PullMaxAge: time.Hour})
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	caller := engine.Caller{Space: "s"}
	req := &protocol.PushRequest{Version: 1, ClientGroupID: "g", Mutations: creates("c", 1, 5)}
	if err := e.Push(t.Context(), caller, req); err != nil {
		t.Fatal(err)
	}
	pull := &protocol.PullRequest{Version: 1, ClientGroupID: "g"}
	raw := []byte("null")
	for _, want := range []int{8, 0} { // head, group, client and messages; then nothing
		f.counter.Reset()
		cookie, err := protocol.ParseCookie(raw)
		if err != nil {
			t.Fatal(err)
		}
		pull.Cookie = cookie
		resp, err := e.Pull(t.Context(), caller, pull)
		if err != nil {
			t.Fatal(err)
		}
		count(t, resp)
		raw = resp.Cookie
		if got := f.counter.Counts().Read; got != want {
			t.Errorf("got %d documents read, want %d", got, want)
		}
	}
}

// TestWorkOfACollection that finds nothing to do: young tombstones are not read each
// time, however many there are.
func TestWorkOfACollection(t *testing.T) {
	t.Parallel()
	f := open(t)
	e := instance(t, f)
	of := func(from, to int, change func(string) storetest.Change) storetest.Change {
		return func(c *engine.Commit) {
			for i := from; i < to; i++ {
				change(strconv.Itoa(i))(c)
			}
		}
	}
	put := func(key string) storetest.Change { return storetest.Put(key, `1`) }
	head := engine.Head{}
	for _, change := range []storetest.Change{
		of(0, 300, put), of(0, 9, storetest.Del), storetest.Floor(2), of(9, 300, storetest.Del),
	} {
		var err error
		if head, err = f.Commit(t.Context(), "s", storetest.Step(head, change)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct{ deleted, read int }{
		{9, 1 + (1 + 250) + 1}, // the head; the oldest and a page; the oldest that is left
		{0, 1 + 1},
	} {
		f.counter.Reset()
		got, err := e.Collect(t.Context(), "s", time.Unix(0, 0))
		if err != nil || got.Deleted != want.deleted || f.counter.Counts().Read != want.read {
			t.Errorf("got %+v, error %v, %+v, want %+v", got, err, f.counter.Counts(), want)
		}
	}
}

// count reads an answer to its end.
func count(t *testing.T, resp *protocol.PullResponse) (operations int) {
	t.Helper()
	for _, err := range resp.Patch {
		if err != nil {
			t.Error(err)
		}
		operations++
	}
	return operations
}
