package firestore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	gcfirestore "cloud.google.com/go/firestore"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/protocol"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }

// space is the space of tests that need but one: each test has its own project.
const space protocol.SpaceID = "s"

// fixture is a store in a project of its own, and what sees and breaks its RPCs.
type fixture struct {
	*firestore.Store
	project string
	counter *rpccount.Counter
	faults  *faults
}

func open(t testing.TB) fixture {
	t.Helper()
	return openProject(t, emulatortest.Project(t))
}

func openProject(t testing.TB, project string) fixture {
	t.Helper()
	f := &faults{}
	conn, counter, err := rpccount.Dial(emulatortest.Host(t),
		grpc.WithChainUnaryInterceptor(f.unary), grpc.WithChainStreamInterceptor(f.stream))
	if err != nil {
		t.Fatal(err)
	}
	store, err := firestore.Open(t.Context(), firestore.Config{ProjectID: project, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return fixture{Store: store, project: project, counter: counter, faults: f}
}

// raw is the SDK on the same project, for what the store would never do.
func (f fixture) raw(t testing.TB) *gcfirestore.Client {
	t.Helper()
	conn, _, err := rpccount.Dial(emulatortest.Host(t))
	if err != nil {
		t.Fatal(err)
	}
	client, err := gcfirestore.NewClient(t.Context(), f.project, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// fault is what becomes of one RPC.
type fault struct {
	method string // "Commit", "RunQuery", …
	// applied: the RPC reaches Firestore and its reply is replaced.
	applied bool
	// after is how many messages of a stream are let through first.
	after int
	code  codes.Code
	text  string
	// before runs before the RPC fails; or before it is sent, if code is OK.
	before func()
	// mute lets nothing more of a stream through, instead of breaking it off.
	mute bool
}

func (f fault) error() error { return status.Error(f.code, f.text) }

// faults is a script of faults, each used once, in order for each method.
type faults struct {
	mu     sync.Mutex
	script []fault // guarded by mu
	// streams are the contexts of all streams that were opened.
	streams []context.Context // guarded by mu
}

// open is how many of the streams have not ended.
func (f *faults) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, ctx := range f.streams {
		if ctx.Err() == nil {
			n++
		}
	}
	return n
}

func (f *faults) add(script ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = append(f.script, script...)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = nil
}

func (f *faults) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.script)
}

func (f *faults) next(method string) (fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, one := range f.script {
		if strings.HasSuffix(method, "/"+one.method) {
			f.script = append(f.script[:i:i], f.script[i+1:]...)
			return one, true
		}
	}
	return fault{}, false
}

func (f *faults) unary(
	ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	one, ok := f.next(method)
	if ok && one.before != nil {
		one.before()
	}
	if !ok || one.code == codes.OK {
		return invoke(ctx, method, req, reply, conn, opts...)
	}
	if one.applied {
		if err := invoke(ctx, method, req, reply, conn, opts...); err != nil {
			return fmt.Errorf("should have been applied: %w", err)
		}
	}
	return one.error()
}

func (f *faults) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	openStream grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	f.mu.Lock()
	f.streams = append(f.streams, ctx)
	f.mu.Unlock()
	one, ok := f.next(method)
	if ok && one.code == codes.OK && one.before != nil {
		one.before()
	}
	stream, err := openStream(ctx, desc, conn, method, opts...)
	if err != nil || one.code == codes.OK && !one.mute {
		return stream, err
	}
	return &brokenStream{ClientStream: stream, fault: one}, nil
}

// brokenStream breaks off after some messages.
type brokenStream struct {
	grpc.ClientStream

	fault fault
	seen  int
}

func (s *brokenStream) RecvMsg(m any) error {
	if s.seen == s.fault.after {
		if s.fault.mute {
			<-s.Context().Done()
			return s.ClientStream.RecvMsg(m)
		}
		if s.fault.before != nil {
			s.fault.before()
		}
		return s.fault.error()
	}
	s.seen++
	return s.ClientStream.RecvMsg(m)
}

// now is a time that Firestore can keep.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// after is a commit to a space whose head is prev.
func after(prev engine.Head) engine.Commit {
	next := prev
	next.Version++
	next.Nonce = fmt.Sprint("nonce-", next.Version)
	next.UpdatedAt = now()
	next.Revision = ""
	if !prev.Exists() {
		next.Epoch, next.CreatedAt = "epoch", next.UpdatedAt
	}
	return engine.Commit{Prev: prev, Next: next}
}

func put(c *engine.Commit, key, value string) {
	c.Entries = append(c.Entries, engine.Entry{
		Key: key, Value: json.RawMessage(value), Version: c.Next.Version,
	})
}

func del(c *engine.Commit, key string) {
	c.Entries = append(c.Entries, engine.Entry{
		Key: key, Version: c.Next.Version, Deleted: true,
	})
}

func client(c *engine.Commit, id protocol.ClientID, group protocol.ClientGroupID) {
	c.Clients = append(c.Clients, engine.Client{
		ID: id, GroupID: group, LastMutationID: c.Next.Version,
		Version: c.Next.Version, LastSeen: now(),
	})
}

func (f fixture) mustCommit(t testing.TB, c engine.Commit) engine.Head {
	t.Helper()
	head, err := f.Commit(t.Context(), space, c)
	if err != nil {
		t.Fatalf("Commit of version %d: %v", c.Next.Version, err)
	}
	return head
}

// stored are the keys of all entries that there are now, by version.
func (f fixture) stored(t testing.TB) []string {
	t.Helper()
	entries := f.raw(t).Collection("spaces").Doc(string(space)).Collection("entries")
	docs, err := entries.OrderBy("version", gcfirestore.Asc).Documents(t.Context()).GetAll()
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, doc := range docs {
		keys = append(keys, doc.Data()["key"].(string))
	}
	return keys
}

// fill commits n entries, k000 and so on, one for each version.
func (f fixture) fill(t testing.TB, n int) engine.Head {
	t.Helper()
	var head engine.Head
	for i := range n {
		c := after(head)
		put(&c, fmt.Sprintf("k%03d", i), fmt.Sprintf(`{"i":%d}`, i))
		head = f.mustCommit(t, c)
	}
	return head
}

func (f fixture) mustSnapshot(t testing.TB, docs engine.Documents) engine.Snapshot {
	t.Helper()
	snap, err := f.Snapshot(t.Context(), space, docs)
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	return snap
}

func (f fixture) mustHead(t testing.TB) engine.Head {
	t.Helper()
	return f.mustSnapshot(t, engine.Documents{Head: true}).Head()
}

func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for value, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, value)
	}
	return all
}

func keys(entries []engine.Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Key)
	}
	return all
}
