package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gcfirestore "cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/protocol"
)

func TestSnapshotIsOneRPC(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.fill(t, 3)
	for name, tt := range map[string]struct {
		docs          engine.Documents
		read, missing int
	}{
		"nothing": {engine.Documents{}, 1, 0},
		"head":    {engine.Documents{Head: true}, 1, 0},
		"everything": {engine.Documents{
			Head: true, Groups: []protocol.ClientGroupID{"g"}, Clients: []protocol.ClientID{"c"},
			Keys: []string{"k000", "k001", "k002", "absent", "k000"},
		}, 4, 3},
	} {
		f.counter.Reset()
		f.mustSnapshot(t, tt.docs)
		want := rpccount.Counts{
			RPCs: map[string]int{"BatchGetDocuments": 1}, Read: tt.read, Missing: tt.missing,
		}
		if diff := cmp.Diff(want, f.counter.Counts()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestColdPullIsTwoRoundTrips(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.fill(t, 5)
	c := after(f.mustHead(t))
	client(&c, "c", "g")
	client(&c, "other", "other")
	f.mustCommit(t, c)

	f.counter.Reset()
	snap := f.mustSnapshot(t, engine.Documents{Head: true, Groups: []protocol.ClientGroupID{"g"}})
	entries := collect(t, snap.Entries(t.Context(), 3))
	clients := collect(t, snap.Clients(t.Context(), "g", 3))
	if len(entries) != 2 || len(clients) != 1 {
		t.Errorf("%d entries and %d clients, want 2 and 1", len(entries), len(clients))
	}
	// One after the other: the two queries need nothing of each other.
	want := rpccount.Counts{
		RPCs: map[string]int{"BatchGetDocuments": 1, "RunQuery": 2}, Read: 4, Missing: 1,
	}
	if diff := cmp.Diff(want, f.counter.Counts()); diff != "" {
		t.Errorf("cold pull (-want +got):\n%s", diff)
	}
}

func TestSnapshotStaysAtItsMoment(t *testing.T) {
	t.Parallel()
	f := open(t)
	c := after(engine.Head{})
	put(&c, "changed", `"old"`)
	put(&c, "deleted", `"old"`)
	client(&c, "c", "g")
	first := f.mustCommit(t, c)
	snap := f.mustSnapshot(t, engine.Documents{})

	c = after(first)
	put(&c, "changed", `"new"`)
	put(&c, "added", `"new"`)
	del(&c, "deleted")
	client(&c, "c", "g")
	client(&c, "d", "g")
	f.mustCommit(t, c)

	want := []engine.Entry{
		{Key: "changed", Value: []byte(`"old"`), Version: 1},
		{Key: "deleted", Value: []byte(`"old"`), Version: 1},
	}
	if diff := cmp.Diff(want, collect(t, snap.Entries(t.Context(), 0))); diff != "" {
		t.Errorf("Entries (-want +got):\n%s", diff)
	}
	ranged, err := snap.Range(t.Context(), engine.Range{})
	if diff := cmp.Diff(want, ranged); err != nil || diff != "" {
		t.Errorf("Range: %v (-want +got):\n%s", err, diff)
	}
	for _, group := range []protocol.ClientGroupID{"g", ""} {
		clients := collect(t, snap.Clients(t.Context(), group, 0))
		if len(clients) != 1 || clients[0].Version != 1 {
			t.Errorf("Clients(%q) = %+v, want the one of version 1", group, clients)
		}
	}
}

// TestSnapshotIsNeverTorn breaks BatchGets off in the middle and commits before
// the SDK asks for the rest: that of the snapshot, and those of its transaction too.
func TestSnapshotIsNeverTorn(t *testing.T) {
	t.Parallel()
	withHead := engine.Documents{Head: true, Keys: []string{"k000", "k001"}}
	withoutHead := engine.Documents{Keys: []string{"k000", "k001"}}
	for name, test := range map[string]struct {
		docs    engine.Documents
		commits int64
	}{
		"with the head":           {withHead, 1},
		"without the head":        {withoutHead, 1},
		"with the head, again":    {withHead, 2},
		"without the head, again": {withoutHead, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, docs := open(t), test.docs
			c := after(engine.Head{})
			put(&c, "k000", `1`)
			put(&c, "k001", `1`)
			head := f.mustCommit(t, c)
			breakOff := fault{
				method: "BatchGetDocuments", after: 1, code: codes.Unavailable,
				before: func() {
					c := after(head)
					put(&c, "k000", `2`)
					put(&c, "k001", `2`)
					head = f.mustCommit(t, c)
				},
			}
			f.faults.add(breakOff)
			if test.commits > 1 { // the SDK's second call is let through, that of the transaction is not
				f.faults.add(fault{method: "BatchGetDocuments"}, breakOff)
			}
			snap := f.mustSnapshot(t, docs)
			want := 1 + test.commits
			for _, key := range docs.Keys {
				if e, _ := snap.Entry(key); e.Version != want {
					t.Errorf("%s is of version %d, want %d", key, e.Version, want)
				}
			}
			if docs.Head && snap.Head().Version != want {
				t.Errorf("head is of version %d, want %d", snap.Head().Version, want)
			}
			if f.faults.left() > 0 {
				t.Error("the fault was not used")
			}
		})
	}
}

// TestSnapshotsAreWhole reads while there are commits. The emulator shows halves
// of them in about one of forty snapshots that do not take care.
func TestSnapshotsAreWhole(t *testing.T) {
	t.Parallel()
	f := open(t)
	reader := openProject(t, f.project)
	names := []string{"a", "b", "c"}
	commit := func(head engine.Head) engine.Head {
		c := after(head)
		for _, name := range names {
			put(&c, name, `1`)
			client(&c, protocol.ClientID(name), "g")
		}
		return f.mustCommit(t, c)
	}
	head := commit(engine.Head{})
	stop := make(chan struct{})
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				head = commit(head)
			}
		}
	})
	for range 2 {
		readers.Go(func() {
			for range 150 {
				checkWhole(t, reader, names)
			}
		})
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}

// checkWhole expects all of a snapshot to be of its head's version.
func checkWhole(t *testing.T, f fixture, names []string) {
	t.Helper()
	snap, err := f.Snapshot(t.Context(), space, engine.Documents{Head: true, Keys: names})
	if err != nil {
		t.Error(err)
		return
	}
	var versions []int64
	for _, name := range names {
		e, _ := snap.Entry(name)
		versions = append(versions, e.Version)
	}
	for e, err := range snap.Entries(t.Context(), 0) {
		if err != nil {
			t.Error(err)
		}
		versions = append(versions, e.Version)
	}
	for c, err := range snap.Clients(t.Context(), "g", 0) {
		if err != nil {
			t.Error(err)
		}
		versions = append(versions, c.Version)
	}
	want := slices.Repeat([]int64{snap.Head().Version}, 3*len(names))
	if diff := cmp.Diff(want, versions); diff != "" {
		t.Errorf("versions of a snapshot (-want +got):\n%s", diff)
	}
}

// growing raises each read time of a BatchGet by a microsecond, as the API allows.
type growing struct {
	grpc.ClientStream

	seen time.Duration
}

func (g *growing) RecvMsg(m any) error {
	err := g.ClientStream.RecvMsg(m)
	if r, ok := m.(*firestorepb.BatchGetDocumentsResponse); ok && err == nil && r.GetReadTime() != nil {
		r.ReadTime = timestamppb.New(r.GetReadTime().AsTime().Add(g.seen))
		g.seen += time.Microsecond
	}
	return err
}

// TestReadTimesGrow: documents whose read times grow within a read are read all the same.
func TestReadTimesGrow(t *testing.T) {
	t.Parallel()
	grow := func(
		ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
		open grpc.Streamer, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		stream, err := open(ctx, desc, conn, method, opts...)
		if err != nil || !strings.HasSuffix(method, "BatchGetDocuments") {
			return stream, err
		}
		return &growing{ClientStream: stream}, nil
	}
	f := open(t)
	f.fill(t, 2)
	conn, _, err := rpccount.Dial(emulatortest.Host(t), grpc.WithChainStreamInterceptor(grow))
	if err != nil {
		t.Fatal(err)
	}
	store, err := firestore.Open(t.Context(), firestore.Config{ProjectID: f.project, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true, Keys: []string{"k000", "k001"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := keys(collect(t, snap.Entries(t.Context(), 0))); len(got) != 2 {
		t.Errorf("entries at the snapshot's moment: got %v, want 2", got)
	}
}

func TestSnapshotGivesUp(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.PermissionDenied, codes.FailedPrecondition} {
		f := open(t)
		f.faults.add(fault{method: "BatchGetDocuments", code: code, text: "reason"})
		_, err := f.Snapshot(t.Context(), space, engine.Documents{})
		if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "reason") {
			t.Errorf("Snapshot = %v, want ErrUnavailable with the reason", err)
		}
	}
}

// TestQueriesResume breaks queries off in the middle. What they yield is as if
// nothing had happened, although there are commits in between.
// TestPrivateOfAnotherVersion: an older release leaves the field as it is when it commits, and
// its commit concerns everybody.
func TestPrivateOfAnotherVersion(t *testing.T) {
	t.Parallel()
	f := open(t)
	first := f.fill(t, 1)
	c := after(first)
	c.Next.Private = "AAAAAAAA"
	if f.mustCommit(t, c); f.mustHead(t).Private != "AAAAAAAA" {
		t.Fatalf("head %+v, want it private", f.mustHead(t))
	}
	_, err := f.raw(t).Doc("spaces/"+string(space)).Update(t.Context(), []gcfirestore.Update{
		{Path: "version", Value: c.Next.Version + 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if head := f.mustHead(t); head.Version != c.Next.Version+1 || head.Private != "" {
		t.Errorf("head %+v, want the next version, for everybody", head)
	}
}

func TestQueriesResume(t *testing.T) {
	t.Parallel()
	f := open(t)
	head := f.fill(t, 4)
	c := after(head)
	for i := range 6 {
		put(&c, fmt.Sprintf("k%03d", 4+i), `{"of":"one version"}`)
	}
	head = f.mustCommit(t, c)
	snap := f.mustSnapshot(t, engine.Documents{})
	want := []string{
		"k000", "k001", "k002", "k003", "k004", "k005", "k006", "k007", "k008", "k009",
	}

	breakOff := func(after int, code codes.Code) fault {
		return fault{method: "RunQuery", after: after, code: code, before: func() {
			c := engine.Commit{Prev: head, Next: head}
			c.Next.Version++
			put(&c, "k001", `"changed"`)
			put(&c, fmt.Sprint("added", c.Next.Version), `1`)
			head = f.mustCommit(t, c)
		}}
	}
	for name, script := range map[string][]fault{
		"at once":        {breakOff(0, codes.Unavailable)},
		"in the middle":  {breakOff(3, codes.Unavailable)},
		"in a version":   {breakOff(6, codes.Internal)},
		"again":          {breakOff(2, codes.Unavailable), breakOff(1, codes.DeadlineExceeded)},
		"thrice at once": {breakOff(0, codes.Unknown), breakOff(0, codes.Aborted), breakOff(0, codes.Unavailable)},
	} {
		f.faults.add(script...)
		got := keys(collect(t, snap.Entries(t.Context(), 0)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: Entries (-want +got):\n%s", name, diff)
		}
		f.faults.add(script...)
		ranged, err := snap.Range(t.Context(), engine.Range{From: "k002", Limit: 7})
		if diff := cmp.Diff(want[2:9], keys(ranged)); err != nil || diff != "" {
			t.Errorf("%s: Range: %v (-want +got):\n%s", name, err, diff)
		}
		if f.faults.left() > 0 {
			t.Fatalf("%s: %d faults were not used", name, f.faults.left())
		}
	}
}

func TestQueriesGiveUp(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.fill(t, 2)
	snap := f.mustSnapshot(t, engine.Documents{})
	many := make([]fault, 50)
	for i := range many {
		many[i] = fault{method: "RunQuery", code: codes.Unavailable, text: "reason"}
	}
	f.faults.add(many...)
	yielded := 0
	for _, err := range snap.Entries(t.Context(), 0) {
		yielded++
		if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "reason") {
			t.Errorf("Entries yields %v, want ErrUnavailable with the reason", err)
		}
	}
	if yielded != 1 {
		t.Errorf("%d errors, want 1", yielded)
	}

	g := open(t)
	g.fill(t, 1)
	snap = g.mustSnapshot(t, engine.Documents{})
	g.faults.add(fault{method: "RunQuery", code: codes.FailedPrecondition, text: "requires an index"})
	if _, err := snap.Range(t.Context(), engine.Range{}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Range without its index = %v, want ErrUnavailable", err)
	}
	if got := g.counter.Counts().RPCs["RunQuery"]; got != 1 {
		t.Errorf("%d queries for an error that does not pass, want 1", got)
	}
}

func TestQueriesEndEarly(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.fill(t, 3)
	snap := f.mustSnapshot(t, engine.Documents{})
	for entry, err := range snap.Entries(t.Context(), 0) {
		if err != nil || entry.Key != "k000" {
			t.Fatalf("first is %v, %v", entry, err)
		}
		break // goleak finds a query that is left open.
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range snap.Entries(ctx, 0) {
		cancel()
		last = err
	}
	if last != nil && !errors.Is(last, context.Canceled) {
		t.Errorf("after its context ended, Entries yields %v", last)
	}
	for _, err := range snap.Clients(ctx, "", 0) {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("with a context that ended, Clients yields %v", err)
		}
	}
}

func TestRangeFollowsUTF8(t *testing.T) {
	t.Parallel()
	f := open(t)
	// UTF-16, which Java and JavaScript compare by, puts the last two the other way.
	want := []string{"", "A", "a", "a/", "a/b", "a0", "é", "\uFFFD", "\U0001F525"}
	c := after(engine.Head{})
	for i := range want {
		put(&c, want[len(want)-1-i], `1`)
	}
	f.mustCommit(t, c)
	snap := f.mustSnapshot(t, engine.Documents{})
	for _, tt := range []struct {
		r    engine.Range
		want []string
	}{
		{engine.Range{}, want},
		{engine.Range{From: "a/", To: "a0"}, []string{"a/", "a/b"}},
		{engine.Range{From: "a0"}, want[5:]},
		{engine.Range{From: "\uFFFD", Limit: 1}, want[7:8]},
		{engine.Range{To: "\U0001F525"}, want[:8]},
		{engine.Range{From: "b", To: "a"}, nil},
	} {
		got, err := snap.Range(t.Context(), tt.r)
		if diff := cmp.Diff(tt.want, keys(got)); err != nil || diff != "" {
			t.Errorf("Range(%+v): %v (-want +got):\n%s", tt.r, err, diff)
		}
	}
}
