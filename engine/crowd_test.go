package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// pushTogether pushes a mutation for each of n users, who all wait when the first of them
// is read for. In a bubble only.
func pushTogether(t *testing.T, e *engine.Engine, s *spy, n int, m func(user string) protocol.Mutation) {
	t.Helper()
	pushTogetherAs(t, e, s, n, m, func(user string) engine.Caller {
		return engine.Caller{Space: space, UserID: user}
	})
}

// pushTogetherAs is pushTogether by users with callers of their own.
func pushTogetherAs(
	t *testing.T, e *engine.Engine, s *spy, n int,
	m func(user string) protocol.Mutation, as func(user string) engine.Caller,
) {
	t.Helper()
	release := s.hold()
	var wg sync.WaitGroup
	for i := range n {
		user := fmt.Sprint("u", i)
		wg.Go(func() {
			if err := e.Push(t.Context(), as(user), pushOf(groupID(user), m(user))); err != nil {
				t.Errorf("push of %s: %v", user, err)
			}
		})
	}
	synctest.Wait()
	release()
	wg.Wait()
}

// TestReadingMuchTogether: mutations that read no more than one may, but together more than
// a batch may, are all applied.
func TestReadingMuchTogether(t *testing.T) {
	t.Parallel()
	const users, each, bytes = 80, 10, 3000
	r := testMutators(&flaky{})
	mutate.Register(r, "countMore", func(_ context.Context, tx mutate.WriteTransaction, user string) error {
		n := 0
		for _, err := range tx.Scan(mutate.ScanOptions{Prefix: user + "/"}) {
			if err != nil {
				return err
			}
			n++
		}
		more, _, err := mutate.Get[int](tx, "count/"+user)
		if err != nil {
			return err
		}
		return tx.Set("count/"+user, n+more)
	})
	synctest.Test(t, func(t *testing.T) {
		store := fresh(t)
		e := start(t, store, engine.Options{})
		for u := range users {
			var ms []protocol.Mutation
			for i := range each {
				a := put{fmt.Sprintf("u%d/%d", u, i), strings.Repeat("x", bytes)}
				ms = append(ms, mutation("c", int64(u*each+i+1), "put", a))
			}
			mustPush(t, e, alice, "g1", ms...)
		}
		s := &spy{Store: store}
		e = startWith(t, s, r, engine.Options{MaxReadBytes: 400_000})
		pushTogether(t, e, s, users, func(user string) protocol.Mutation {
			return mutation(clientID(user), 1, "countMore", user)
		})
		v := newView()
		v.pull(t, e, alice, "g1")
		for u := range users {
			if got := v.entries[fmt.Sprintf("count/u%d", u)]; got != strconv.Itoa(each) {
				t.Errorf("user %d counted %q entries, want %d", u, got, each)
			}
		}
	})
}

// TestPagesInCommon: scans of the mutations behind an interrupted one do not read the same
// pages again for each.
func TestPagesInCommon(t *testing.T) {
	t.Parallel()
	const entries = 500
	store := fresh(t)
	r := testMutators(&flaky{})
	mutate.Register(r, "next", func(_ context.Context, tx mutate.WriteTransaction, after string) error {
		for e, err := range tx.Scan(mutate.ScanOptions{Prefix: "m/", Start: after}) {
			if err != nil {
				return err
			}
			return tx.Set("next/"+after, e.Key)
		}
		return errors.New("no more")
	})
	var puts, nexts []protocol.Mutation
	for i := range entries {
		puts = append(puts, mutation("c", int64(i+1), "put", put{fmt.Sprintf("m/%04d", i), 1}))
		nexts = append(nexts, mutation("d", int64(i+1), "next", fmt.Sprintf("m/%04d", i)))
	}
	mustPush(t, startWith(t, store, r, engine.Options{}), alice, "g1", puts...)
	s := &spy{Store: store}
	e := startWith(t, s, r, engine.Options{})
	mustPush(t, e, alice, "g1", nexts...)
	if got := s.ranges.Load(); got > 32 {
		t.Errorf("%d scans of the same entries made %d queries, want 32 at the most", entries, got)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if got := len(v.entries); got != 2*entries {
		t.Errorf("got %d entries, want %d", got, 2*entries)
	}
}

// TestScanOverTombstones: what is deleted in front of the first entry is read by pages that
// grow, however little the scan wants.
func TestScanOverTombstones(t *testing.T) {
	t.Parallel()
	const deleted = 10_000
	r := testMutators(&flaky{})
	mutate.Register(r, "take", func(_ context.Context, tx mutate.WriteTransaction, _ any) error {
		for e, err := range tx.Scan(mutate.ScanOptions{Prefix: "job/", Limit: 1}) {
			return errors.Join(err, tx.Set("taken", e.Key))
		}
		return tx.Set("taken", "none")
	})
	store := fresh(t)
	e := startWith(t, store, r, engine.Options{})
	var ms []protocol.Mutation
	for i := range 2 * deleted {
		key := fmt.Sprintf("job/%06d", i/2)
		if i%2 == 0 {
			ms = append(ms, mutation("c", int64(i+1), "put", put{key, 1}))
			continue
		}
		ms = append(ms, mutation("c", int64(i+1), "del", key))
	}
	mustPush(t, e, alice, "g1", ms[:deleted/2]...)
	for len(ms) > 0 { // a deletion in the commit of its entry leaves no tombstone
		n := min(len(ms), 501)
		mustPush(t, e, alice, "g1", ms[:n]...)
		ms = ms[n:]
	}
	mustPush(t, e, alice, "g1", mutation("d", 1, "put", put{"job/last", 1}))
	s := &spy{Store: store}
	e = startWith(t, s, r, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("d", 2, "take", nil))
	v := newView()
	v.pull(t, startWith(t, store, r, engine.Options{}), alice, "g1")
	if v.entries["taken"] != `"job/last"` || s.ranges.Load() > 30 {
		t.Errorf("took %s with %d queries, want job/last with 30 at the most", v.entries["taken"], s.ranges.Load())
	}
	if got := s.snapshots.Load(); got > 3 {
		t.Errorf("the pages are of %d snapshots, want 3 at the most", got)
	}
}

// naming counts the groups and clients that are asked for.
type naming struct {
	spy

	all, most atomic.Int64
}

func (n *naming) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	named := int64(len(d.Groups) + len(d.Clients))
	n.all.Add(named)
	n.most.Store(max(n.most.Load(), named))
	return n.spy.Snapshot(ctx, id, d)
}

// TestCrowdOfNewClients: what is read of clients is what the batch needs, not what all who
// wait behind it will need.
func TestCrowdOfNewClients(t *testing.T) {
	t.Parallel()
	const clients = 3000
	synctest.Test(t, func(t *testing.T) {
		a := &naming{spy: spy{Store: fresh(t)}}
		e := start(t, a, engine.Options{})
		pushTogether(t, e, &a.spy, clients, func(user string) protocol.Mutation {
			return mutation(clientID(user), 1, "put", put{user, 1})
		})
		if a.all.Load() != 2*clients || a.most.Load() > 1000 {
			t.Errorf("asked for %d groups and clients, for %d at once, want %d and 1000 at the most",
				a.all.Load(), a.most.Load(), 2*clients)
		}
	})
}

// TestLongNames: pushes whose clients' ids are long together are asked for in parts that a
// store can take, and all are applied.
func TestLongNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &spy{Store: fresh(t)}
		e := start(t, s, engine.Options{})
		release := s.hold()
		var most atomic.Int64
		var wg sync.WaitGroup
		for u := range 20 {
			var ms []protocol.Mutation
			for c := range 60 {
				id := fmt.Sprintf("%d/%d/%s", u, c, strings.Repeat("x", 1000))
				ms = append(ms, mutation(clientID(id), 1, "append", appendArgs{"all", id[:5]}))
			}
			wg.Go(func() { mustPush(t, e, alice, groupID(fmt.Sprint("g", u)), ms...) })
		}
		synctest.Wait()
		s.mu.Lock()
		s.onSnapshot = func(d engine.Documents) error {
			bytes := int64(0)
			for _, id := range d.Clients {
				bytes += int64(len(id))
			}
			most.Store(max(most.Load(), bytes))
			return nil
		}
		s.mu.Unlock()
		release()
		wg.Wait()
		v := newView()
		v.pull(t, e, alice, "g1")
		if got := strings.Count(v.entries["all"], `"`) / 2; got != 1200 || most.Load() > 600_000 {
			t.Errorf("%d mutations applied, %d bytes of ids at once, want 1200 and 600,000 at the most", got, most.Load())
		}
	})
}

// TestLongNamesOfPulls: the groups of pulls that look together are asked for by requests that
// a store takes.
func TestLongNamesOfPulls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &spy{Store: fresh(t)}
		e := start(t, s, engine.Options{})
		release := s.hold()
		pull := func(n int) {
			v := newView()
			v.pull(t, e, alice, groupID(fmt.Sprintf("%d/%s", n, strings.Repeat("x", 1000))))
		}
		var wg sync.WaitGroup
		wg.Go(func() { pull(0) })
		synctest.Wait() // its read is held, and the others wait for the next ones
		for n := range 1999 {
			wg.Go(func() { pull(1 + n) })
		}
		synctest.Wait()
		var most, groups, requests int
		s.mu.Lock()
		s.onSnapshot = func(d engine.Documents) error {
			bytes := 0
			for _, id := range d.Groups {
				bytes += len(id)
			}
			most, groups, requests = max(most, bytes), groups+len(d.Groups), requests+1
			return nil
		}
		s.mu.Unlock()
		release()
		wg.Wait()
		if most > 600_000 || groups != 1999 || requests > 10 {
			t.Errorf("%d groups in %d requests, %d bytes of ids at once", groups, requests, most)
		}
	})
}

// TestClientsAreBounded: what is remembered of clients counts as memory too.
func TestClientsAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	store := fresh(t)
	e := start(t, store, engine.Options{MaxMemoryBytes: limit})
	for s := range 10 {
		who := engine.Caller{Space: protocol.SpaceID(fmt.Sprint("s", s)), UserID: "alice"}
		for g := range 2 {
			var ms []protocol.Mutation
			for c := range 50 {
				ms = append(ms, mutation(clientID(fmt.Sprintf("client-%d-%d-%d", s, g, c)), 1, "fail", put{"k", 1}))
			}
			mustPush(t, e, who, groupID(fmt.Sprint(s, "-", g)), ms...)
		}
		if known, _ := e.Remembered(); known > limit || known == 0 {
			t.Errorf("after space %d: got %d bytes, want some and %d at the most", s, known, limit)
		}
		mustFsck(t, store, who.Space)
	}
}

// TestTailsOfPulls: the tails of an instance that only answers pulls are bounded too.
func TestTailsOfPulls(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	store := fresh(t)
	there, here := start(t, store, engine.Options{}), start(t, store, engine.Options{MaxMemoryBytes: limit})
	for s := range 8 {
		who := engine.Caller{Space: protocol.SpaceID(fmt.Sprint("s", s)), UserID: "alice"}
		g, c := groupID(fmt.Sprint("g", s)), clientID(fmt.Sprint("c", s))
		v := newView()
		for i := range int64(3) {
			mustPush(t, there, who, g, mutation(c, i+1, "put", put{"k", strings.Repeat("x", 200_000)}))
			v.pull(t, here, who, g)
		}
	}
	if _, tails := here.Remembered(); tails > limit || tails == 0 {
		t.Errorf("tails: got %d bytes, want some and %d at the most", tails, limit)
	}
}

// TestOldCookieAmongOthers: a cookie from too long ago does not make everybody else read.
func TestOldCookieAmongOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := fresh(t)
		s := &spy{Store: store}
		here, there := start(t, s, engine.Options{}), start(t, store, engine.Options{})
		old, v := newView(), newView()
		id := int64(0)
		commit := func(key string, bytes int) {
			id++
			mustPush(t, there, alice, "g1", mutation("c", id, "put", put{key, strings.Repeat("x", bytes)}))
		}
		commit("a", 1)
		old.pull(t, there, alice, "g1")
		for i := range 12 { // more than a tail holds
			commit(fmt.Sprint("big", i), 400_000)
		}
		v.pull(t, here, alice, "g1")
		commit("a", 2)
		for round := range 2 { // the second time it is known
			views := []*view{old.clone()}
			for range 100 {
				views = append(views, v.clone())
			}
			commit("a", 3)
			s.reset()
			release := s.hold()
			var wg sync.WaitGroup
			for _, w := range views {
				wg.Go(func() { w.pull(t, here, alice, "g1") })
			}
			synctest.Wait()
			release()
			wg.Wait()
			if got := s.queries.Load(); got > 8 {
				t.Errorf("round %d: %d queries, want 8 at the most", round, got)
			}
			for _, w := range views {
				if w.entries["a"] != `"xxx"` {
					t.Fatalf("round %d: got a = %s", round, w.entries["a"])
				}
			}
		}
	})
}

// TestTombstonesAreNotAbsent: keys with tombstones teach nobody to expect that keys are
// not stored.
func TestTombstonesAreNotAbsent(t *testing.T) {
	t.Parallel()
	r := testMutators(&flaky{})
	mutate.Register(r, "create", func(_ context.Context, tx mutate.WriteTransaction, key string) error {
		if ok, err := tx.Has(key); ok || err != nil {
			return err
		}
		return tx.Set(key, 1)
	})
	store := fresh(t)
	a, s := startWith(t, store, r, engine.Options{}), &spy{Store: store}
	id := int64(0)
	push := func(e *engine.Engine, name, key string) {
		id++
		mustPush(t, e, alice, "g1", mutation("c", id, name, key))
	}
	for i := range 100 {
		push(a, "create", fmt.Sprint("old", i))
		push(a, "del", fmt.Sprint("old", i))
	}
	b := startWith(t, s, r, engine.Options{}) // the instance after a deployment
	for i := range 20 {
		push(b, "create", fmt.Sprint("new", i))
	}
	s.reset()
	for i := range 100 {
		push(b, "create", fmt.Sprint("old", i))
	}
	if got := s.commits.Load(); got > 103 {
		t.Errorf("creating 100 deleted entries took %d commits, want 103 at the most", got)
	}
}

// TestSlowGuessDelaysNobody: a mutator that waits for something, in a push behind a commit, does
// not keep those waiting whose commit is done.
func TestSlowGuessDelaysNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := testMutators(&flaky{})
		mutate.Register(r, "slow", func(ctx context.Context, _ mutate.WriteTransaction, _ any) error {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Second): // a dependency that does not answer
			}
			return mutate.Retry(errors.New("no answer"))
		})
		s := &spy{Store: fresh(t)}
		e := startWith(t, s, r, engine.Options{})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
		mustPush(t, e, bob, "g2", mutation("d", 1, "put", put{"a", 1}))
		s.mu.Lock()
		s.onCommit = func(engine.Commit) error { time.Sleep(time.Second); return nil }
		s.mu.Unlock()
		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() {
			mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"a", 2}))
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the commit takes a second, its push took %v", took)
			}
		})
		wg.Go(func() {
			time.Sleep(time.Second / 2)
			err := e.Push(t.Context(), bob, pushOf("g2", mutation("d", 2, "slow", nil)))
			if !errors.Is(err, engine.ErrTemporary) {
				t.Errorf("push of the slow one: got %v, want ErrTemporary", err)
			}
		})
		wg.Wait()
	})
}

// leaving ends a pull's request while its clients and entries are read.
type leaving struct {
	engine.Store

	cancel context.CancelFunc
}

type leavingSnapshot struct {
	engine.Snapshot

	store *leaving
}

func (l *leaving) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	snap, err := l.Store.Snapshot(ctx, id, d)
	return &leavingSnapshot{snap, l}, err
}

func (s *leavingSnapshot) Clients(
	ctx context.Context, _ protocol.ClientGroupID, _ int64,
) iter.Seq2[engine.Client, error] {
	return func(yield func(engine.Client, error) bool) {
		<-ctx.Done()
		yield(engine.Client{}, ctx.Err())
	}
}

func (s *leavingSnapshot) Entries(ctx context.Context, after int64) iter.Seq2[engine.Entry, error] {
	return func(yield func(engine.Entry, error) bool) {
		n := 0
		for e, err := range s.Snapshot.Entries(ctx, after) {
			if n++; n == 256 { // the last of the first page
				go s.store.cancel()
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// TestPullIsLeftWhileItReads: the end of the request and the end of the pull do not both stop
// the reading, which the race detector would tell.
func TestPullIsLeftWhileItReads(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	var ms []protocol.Mutation
	for i := range 400 {
		ms = append(ms, mutation("c", int64(i+1), "put", put{fmt.Sprint("k", i), 1}))
	}
	mustPush(t, start(t, store, engine.Options{}), alice, "g1", ms...)
	l := &leaving{Store: store}
	e := start(t, l, engine.Options{})
	for range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		l.cancel = cancel
		_, err := e.Pull(ctx, alice, &protocol.PullRequest{Version: 1, ClientGroupID: "g1", Cookie: cookieOf("null")})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("pull: got %v, want that it was canceled", err)
		}
		cancel()
	}
}
