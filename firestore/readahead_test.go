package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/protocol"
)

// fillLarge commits n entries of some kilobytes and as many clients with rejections, ten to
// a version.
func (f fixture) fillLarge(t testing.TB, n, kilobytes int) engine.Head {
	t.Helper()
	head := engine.Head{}
	for i := 0; i < n; {
		c := after(head)
		for range min(10, n-i) {
			put(&c, fmt.Sprintf("k/%03d", i), `"`+strings.Repeat("x", kilobytes<<10)+`"`)
			client(&c, protocol.ClientID(fmt.Sprintf("c%03d", i)), "g")
			last := &c.Clients[len(c.Clients)-1]
			last.LastMutationID = 16
			for id := range int64(16) {
				last.Rejections = append(last.Rejections, engine.Rejection{
					MutationID: id + 1, Reason: strings.Repeat("r", kilobytes<<6), Version: c.Next.Version,
				})
			}
			i++
		}
		head = f.mustCommit(t, c)
	}
	return head
}

// awaitStreams waits until no more streams are open than so many.
func (f fixture) awaitStreams(t testing.TB, most int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); f.faults.open() > most; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are open, want %d at the most", f.faults.open(), most)
		}
	}
}

// TestSlowReadersHoldNoStream: who does not take what a query finds keeps no stream of a
// connection. They get everything all the same, once and of the same moment, and nothing is
// read twice.
func TestSlowReadersHoldNoStream(t *testing.T) {
	t.Parallel()
	const n = 100
	f := open(t)
	head := f.fillLarge(t, n, 20)
	snap := f.mustSnapshot(t, engine.Documents{})
	wantEntries, wantClients := collect(t, snap.Entries(t.Context(), 0)), collect(t, snap.Clients(t.Context(), "g", 0))
	if len(wantEntries) != n || len(wantClients) != n {
		t.Fatalf("%d entries and %d clients, want %d each", len(wantEntries), len(wantClients), n)
	}
	c := after(head)
	put(&c, "k/050", `"changed"`)
	put(&c, "k/new", `"new"`)
	client(&c, "c050", "g")
	f.mustCommit(t, c)

	f.awaitStreams(t, 0)
	f.counter.Reset()
	entries := slowly(t, f, snap.Entries(t.Context(), 0))
	clients := slowly(t, f, snap.Clients(t.Context(), "g", 0))
	if diff := cmp.Diff(keys(wantEntries), keys(entries)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantClients, clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if counts := f.counter.Counts(); counts.Read != 2*n || counts.RPCs["RunQuery"] < 4 {
		t.Errorf("%d documents read by %v, want %d by several queries", counts.Read, counts.RPCs, 2*n)
	}
}

// slowly takes each tenth item only when no query is open.
func slowly[T any](t testing.TB, f fixture, all iter.Seq2[T, error]) (taken []T) {
	t.Helper()
	for item, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		if len(taken)%10 == 0 {
			f.awaitStreams(t, 0)
		}
		taken = append(taken, item)
	}
	return taken
}

// TestReadingGoesOnAfterTrouble: also the queries that go on resume.
func TestReadingGoesOnAfterTrouble(t *testing.T) {
	t.Parallel()
	const n = 60
	f := open(t)
	f.fillLarge(t, n, 20)
	snap := f.mustSnapshot(t, engine.Documents{})
	want := keys(collect(t, snap.Entries(t.Context(), 0)))
	breakOff := fault{method: "RunQuery", after: 3, code: codes.Unavailable}
	f.faults.add(breakOff, breakOff, breakOff, breakOff)
	if diff := cmp.Diff(want, keys(slowly(t, f, snap.Entries(t.Context(), 0)))); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if n := f.faults.left(); n > 0 {
		t.Errorf("%d faults were not used", n)
	}
	f.faults.add(fault{method: "RunQuery", after: 3, code: codes.PermissionDenied})
	got, last := 0, error(nil)
	for _, err := range snap.Entries(t.Context(), 0) {
		if last = err; err == nil {
			got++
		}
	}
	if got != 2 && got != 3 || !errors.Is(last, engine.ErrUnavailable) {
		t.Errorf("got %d entries and %v, want those before the trouble and ErrUnavailable", got, last)
	}
}

// TestWaitingReadersEnd with their context, while no query is open and no more is in memory
// than there may be.
func TestWaitingReadersEnd(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.fillLarge(t, 40, 40)
	f.counter.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, last := 0, error(nil)
	for _, err := range f.mustSnapshot(t, engine.Documents{}).Entries(ctx, 0) {
		if n == 0 {
			f.awaitStreams(t, 0)
			if read := f.counter.Counts().Read; read > 1+384/40+1 { // the head, and what fits
				t.Errorf("%d documents were read, of which one was taken", read)
			}
			cancel()
		}
		n++
		last = err
	}
	if n > 30 || !errors.Is(last, context.Canceled) || !errors.Is(last, engine.ErrUnavailable) {
		t.Errorf("got %d entries and %v, want what was read and the context's error", n, last)
	}
}

// TestPullsTakeNothingFromOthers: whatever is read slowly, and however much, commits, heads
// and pings go on, and so do other pulls.
func TestPullsTakeNothingFromOthers(t *testing.T) {
	t.Parallel()
	const streams, pulls = 6, 20
	f := open(t)
	head := f.fillLarge(t, 30, 60)
	store, err := firestore.Open(t.Context(), firestore.Config{
		ProjectID: f.project, EmulatorHost: frontEnd(t, streams),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	for range pulls {
		next, stop := iter.Pull2(snap.Entries(t.Context(), 0))
		defer stop() //nolint:gocritic // all are read until the end of the test
		if _, err, ok := next(); err != nil || !ok {
			t.Fatalf("first entry of a slow pull: %v", err)
		}
	}
	for range 3 {
		if head, err = store.Commit(t.Context(), space, after(head)); err != nil {
			t.Fatalf("commit beside %d slow pulls: %v", pulls, err)
		}
		if err := store.Ping(t.Context()); err != nil {
			t.Fatalf("ping beside %d slow pulls: %v", pulls, err)
		}
		snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true})
		if err != nil || snap.Head().Version != head.Version {
			t.Fatalf("head beside %d slow pulls: %v", pulls, err)
		}
		if got := len(collect(t, snap.Entries(t.Context(), 0))); got != 30 {
			t.Fatalf("got %d entries beside %d slow pulls", got, pulls)
		}
	}
}

// TestClosedStoreReadsNothing: also of the connections for pulls, which are made late.
func TestClosedStoreReadsNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.fill(t, 1)
	store, err := firestore.Open(t.Context(), firestore.Config{ProjectID: f.project, EmulatorHost: emulatortest.Host(t)})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, err := range snap.Entries(t.Context(), 0) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], engine.ErrUnavailable) {
		t.Errorf("entries of a closed store: got %v, want ErrUnavailable", errs)
	}
}
