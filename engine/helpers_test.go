package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const space = protocol.SpaceID("s")

// alice owns group g1, bob owns group g2.
var (
	alice = engine.Caller{Space: space, UserID: "alice", Claims: json.RawMessage(`{"admin":true}`)}
	bob   = engine.Caller{Space: space, UserID: "bob"}
)

type put struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

type appendArgs struct {
	Key   string `json:"key"`
	Token string `json:"token"`
}

// flaky is how often the mutator "flaky" still asks for another try.
type flaky struct{ left atomic.Int64 }

func testMutators(f *flaky) *mutate.Registry {
	r := mutate.NewRegistry()
	mutate.Register(r, "put", func(_ context.Context, tx mutate.WriteTransaction, a put) error {
		return tx.Set(a.Key, a.Value)
	})
	mutate.Register(r, "del", func(_ context.Context, tx mutate.WriteTransaction, key string) error {
		_, err := tx.Del(key)
		return err
	})
	mutate.Register(r, "append", func(_ context.Context, tx mutate.WriteTransaction, a appendArgs) error {
		list, _, err := mutate.Get[[]string](tx, a.Key)
		if err != nil {
			return err
		}
		return tx.Set(a.Key, append(list, a.Token))
	})
	mutate.Register(r, "fail", func(_ context.Context, tx mutate.WriteTransaction, a put) error {
		if err := tx.Set(a.Key, a.Value); err != nil {
			return err
		}
		return errors.New("no such luck")
	})
	mutate.Register(r, "panic", func(_ context.Context, tx mutate.WriteTransaction, a put) error {
		if err := tx.Set(a.Key, a.Value); err != nil {
			return err
		}
		panic("secret detail")
	})
	mutate.Register(r, "flaky", func(_ context.Context, tx mutate.WriteTransaction, a put) error {
		if f.left.Add(-1) >= 0 {
			return mutate.Retry(errors.New("dependency is down"))
		}
		return tx.Set(a.Key, a.Value)
	})
	// follow walks a chain of keys, each of which holds the next: as many rounds of
	// reading as the chain is long.
	mutate.Register(r, "follow", func(_ context.Context, tx mutate.WriteTransaction, key string) error {
		for {
			next, ok, err := mutate.Get[string](tx, key)
			if err != nil {
				return err
			}
			if !ok {
				return tx.Set("end", key)
			}
			key = next
		}
	})
	mutate.Register(r, "count", func(_ context.Context, tx mutate.WriteTransaction, prefix string) error {
		n := 0
		for _, err := range tx.Scan(mutate.ScanOptions{Prefix: prefix}) {
			if err != nil {
				return err
			}
			n++
		}
		return tx.Set("count/"+prefix, n)
	})
	mutate.Register(r, "who", func(_ context.Context, tx mutate.WriteTransaction, key string) error {
		return tx.Set(key, map[string]any{
			"user": tx.UserID(), "client": tx.ClientID(), "id": tx.MutationID(),
			"space": tx.Space(), "claims": tx.Claims(),
		})
	})
	return r
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start makes an engine that is closed, and whose space is checked, at the end.
func start(t *testing.T, store engine.Store, o engine.Options) *engine.Engine {
	t.Helper()
	return startWith(t, store, testMutators(&flaky{}), o)
}

func startWith(t *testing.T, store engine.Store, r *mutate.Registry, o engine.Options) *engine.Engine {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet()
	}
	e := engine.New(store, r, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// inBubble runs a subtest whose clock moves only while all wait, beside the others.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	})
}

// fresh is a memory store whose space is checked at the end of the test.
func fresh(t *testing.T) *memory.Store {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { mustFsck(t, store, space) })
	return store
}

func mutation(client protocol.ClientID, id int64, name string, args any) protocol.Mutation {
	raw, err := json.Marshal(args)
	if err != nil {
		panic(err)
	}
	return protocol.Mutation{ClientID: client, ID: id, Name: name, Args: raw}
}

func pushOf(group protocol.ClientGroupID, ms ...protocol.Mutation) *protocol.PushRequest {
	return &protocol.PushRequest{Version: 1, ClientGroupID: group, Mutations: ms}
}

func mustPush(t *testing.T, e *engine.Engine, c engine.Caller, g protocol.ClientGroupID, ms ...protocol.Mutation) {
	t.Helper()
	if err := e.Push(t.Context(), c, pushOf(g, ms...)); err != nil {
		t.Fatalf("push: %v", err)
	}
}

// view is what a client makes of the answers it gets.
type view struct {
	cookie  protocol.Cookie
	entries map[string]string
	last    map[protocol.ClientID]int64
	refused map[protocol.ClientID][]protocol.Rejection
	ops     int
	cleared bool
}

func newView() *view {
	return &view{
		cookie:  cookieOf(`null`),
		entries: map[string]string{},
		last:    map[protocol.ClientID]int64{},
		refused: map[protocol.ClientID][]protocol.Rejection{},
	}
}

// clone is another client's view of the same.
func (v *view) clone() *view {
	c := *v
	c.entries, c.last, c.refused = maps.Clone(v.entries), maps.Clone(v.last), maps.Clone(v.refused)
	return &c
}

func cookieOf(raw string) protocol.Cookie {
	req, err := protocol.DecodePullRequest([]byte(
		`{"pullVersion":1,"profileID":"p","clientGroupID":"g","schemaVersion":"","cookie":` + raw + `}`))
	if err != nil {
		panic(fmt.Sprintf("cookie %s: %v", raw, err))
	}
	return req.Cookie
}

// pull applies the answer as the client does (protocol.md §2.4) and fails the
// test where the client would refuse it.
func (v *view) pull(t *testing.T, e *engine.Engine, c engine.Caller, g protocol.ClientGroupID) {
	t.Helper()
	if err := v.tryPull(t, e, c, g); err != nil {
		t.Fatalf("pull: %v", err)
	}
}

func (v *view) tryPull(t *testing.T, e *engine.Engine, c engine.Caller, g protocol.ClientGroupID) error {
	t.Helper()
	resp, err := e.Pull(t.Context(), c, &protocol.PullRequest{Version: 1, ClientGroupID: g, Cookie: v.cookie})
	if err != nil {
		return err
	}
	v.ops, v.cleared = 0, false
	same := string(resp.Cookie) == string(v.cookie.Raw)
	next := cookieOf(string(resp.Cookie))
	if next.Compare(v.cookie) < 0 {
		t.Fatalf("cookie went back from %s to %s", v.cookie.Raw, next.Raw)
	}
	var operations []protocol.PatchOperation
	for op, err := range resp.Patch {
		if err != nil {
			return err
		}
		operations = append(operations, op)
		v.apply(t, op)
	}
	checkEncoded(t, resp, operations)
	if same && v.ops > 0 {
		t.Fatalf("a client ignores an answer with data under an equal cookie %s", resp.Cookie)
	}
	if err := v.learn(t, resp, same); err != nil {
		return err
	}
	v.cookie = next
	return nil
}

// learn applies what an answer says of the clients.
func (v *view) learn(t *testing.T, resp *protocol.PullResponse, same bool) error {
	t.Helper()
	if resp.Clients == nil {
		return nil
	}
	for c, err := range resp.Clients {
		if err != nil {
			return err
		}
		if same || c.LastMutationID < v.last[c.ID] {
			t.Fatalf("lastMutationID of %s went from %d to %d; equal cookies: %v", c.ID, v.last[c.ID], c.LastMutationID, same)
		}
		v.last[c.ID] = c.LastMutationID
		v.refused[c.ID] = append(v.refused[c.ID], c.Rejections...)
	}
	return nil
}

func (v *view) apply(t *testing.T, op protocol.PatchOperation) {
	t.Helper()
	v.ops++
	switch op.Op {
	case protocol.OpClear:
		clear(v.entries)
		v.cleared = true
	case protocol.OpDel:
		delete(v.entries, op.Key)
	case protocol.OpPut:
		v.entries[op.Key] = string(op.Value)
	default:
		t.Fatalf("unknown operation %q", op.Op)
	}
}

// spy counts the calls of a store and lets a test break them.
type spy struct {
	engine.Store
	snapshots, commits, keys, ranges, queries atomic.Int64

	mu         sync.Mutex
	onSnapshot func(engine.Documents) error
	onCommit   func(engine.Commit) error
}

func (s *spy) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	s.snapshots.Add(1)
	s.keys.Add(int64(len(d.Keys)))
	s.mu.Lock()
	hook := s.onSnapshot
	s.mu.Unlock()
	if hook != nil {
		if err := hook(d); err != nil {
			return nil, err
		}
	}
	snap, err := s.Store.Snapshot(ctx, id, d)
	return &spySnapshot{Snapshot: snap, spy: s}, err
}

func (s *spy) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	s.commits.Add(1)
	s.mu.Lock()
	hook := s.onCommit
	s.mu.Unlock()
	if hook != nil {
		if err := hook(c); err != nil {
			return engine.Head{}, err
		}
	}
	return s.Store.Commit(ctx, id, c)
}

func (s *spy) reset() {
	s.snapshots.Store(0)
	s.commits.Store(0)
	s.keys.Store(0)
	s.ranges.Store(0)
	s.queries.Store(0)
}

// hold keeps every snapshot waiting until the function it returns is called.
func (s *spy) hold() (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	s.onSnapshot = func(engine.Documents) error {
		<-gate
		return nil
	}
	s.mu.Unlock()
	return func() { close(gate) }
}

type spySnapshot struct {
	engine.Snapshot
	spy *spy
}

func (s *spySnapshot) Range(ctx context.Context, r engine.Range) ([]engine.Entry, error) {
	s.spy.ranges.Add(1)
	return s.Snapshot.Range(ctx, r)
}

func (s *spySnapshot) Entries(ctx context.Context, after int64) iter.Seq2[engine.Entry, error] {
	s.spy.queries.Add(1)
	return s.Snapshot.Entries(ctx, after)
}

func (s *spySnapshot) Clients(
	ctx context.Context, g protocol.ClientGroupID, after int64,
) iter.Seq2[engine.Client, error] {
	s.spy.queries.Add(1)
	return s.Snapshot.Clients(ctx, g, after)
}

// mustFsck ends a test with a look at everything that is stored.
func mustFsck(t *testing.T, store engine.Store, id protocol.SpaceID) {
	t.Helper()
	report, err := fsck.Check(context.Background(), store, id)
	if err != nil {
		t.Fatalf("fsck: %v", err)
	}
	if !report.OK() {
		t.Errorf("fsck: %v", report)
	}
}
