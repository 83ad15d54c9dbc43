package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

func TestPushRules(t *testing.T) {
	t.Parallel()
	csnf := protocol.ClientStateNotFound()
	ok := func(id int64) protocol.Mutation { return mutation("c1", id, "put", put{fmt.Sprint("k", id), id}) }
	tests := []struct {
		name    string
		caller  engine.Caller
		group   protocol.ClientGroupID
		push    []protocol.Mutation
		wantErr error
		want    map[string]string // besides k1, k2
		last    map[protocol.ClientID]int64
		version int64 // commits after the first
	}{
		{
			name: "next", push: []protocol.Mutation{ok(3)}, want: map[string]string{"k3": "3"},
			last: map[protocol.ClientID]int64{"c1": 3}, version: 1,
		},
		{name: "processed already", push: []protocol.Mutation{ok(1), ok(2)}, version: 0},
		{
			name: "processed already, with other arguments",
			push: []protocol.Mutation{mutation("c1", 2, "put", put{"k2", "other"})},
		},
		{
			name: "resent with news", push: []protocol.Mutation{ok(1), ok(2), ok(3), ok(4)},
			want: map[string]string{"k3": "3", "k4": "4"}, last: map[protocol.ClientID]int64{"c1": 4}, version: 1,
		},
		{name: "gap before the first", push: []protocol.Mutation{ok(4)}, wantErr: csnf},
		{name: "gap after processed ones", push: []protocol.Mutation{ok(1), ok(2), ok(4)}, wantErr: engine.ErrMutationGap},
		{
			name: "gap before the first of a client", push: []protocol.Mutation{mutation("c2", 1, "put", put{"x", 1}), ok(4)},
			wantErr: csnf, want: map[string]string{"x": "1"}, last: map[protocol.ClientID]int64{"c2": 1}, version: 1,
		},
		{
			name: "gap after good ones", push: []protocol.Mutation{ok(3), ok(5), ok(4)}, wantErr: engine.ErrMutationGap,
			want: map[string]string{"k3": "3"}, last: map[protocol.ClientID]int64{"c1": 3}, version: 1,
		},
		{
			name: "unknown client begins at 1", push: []protocol.Mutation{mutation("c9", 1, "put", put{"x", 1})},
			want: map[string]string{"x": "1"}, last: map[protocol.ClientID]int64{"c9": 1}, version: 1,
		},
		{name: "unknown client goes on", push: []protocol.Mutation{mutation("c9", 2, "put", put{"x", 1})}, wantErr: csnf},
		{
			name:    "unknown client after a good one",
			push:    []protocol.Mutation{ok(3), mutation("c9", 7, "put", put{"x", 1})},
			wantErr: csnf, want: map[string]string{"k3": "3"}, last: map[protocol.ClientID]int64{"c1": 3}, version: 1,
		},
		{
			name: "two clients interleaved",
			push: []protocol.Mutation{
				mutation("c2", 1, "append", appendArgs{"l", "a"}), mutation("c1", 3, "append", appendArgs{"l", "b"}),
				mutation("c2", 2, "append", appendArgs{"l", "c"}),
			},
			want: map[string]string{"l": `["a","b","c"]`}, last: map[protocol.ClientID]int64{"c1": 3, "c2": 2}, version: 1,
		},
		{
			name: "the same id twice", push: []protocol.Mutation{ok(3), ok(3)}, want: map[string]string{"k3": "3"},
			last: map[protocol.ClientID]int64{"c1": 3}, version: 1,
		},
		{name: "foreign user", caller: bob, push: []protocol.Mutation{ok(3)}, wantErr: engine.ErrForbidden},
		{name: "foreign group's client", group: "g3", push: []protocol.Mutation{ok(3)}, wantErr: engine.ErrForbidden},
		{
			name: "foreign group's client, processed already", group: "g3", push: []protocol.Mutation{ok(1)},
			wantErr: engine.ErrForbidden,
		},
		{
			name:    "foreign client after a good one",
			push:    []protocol.Mutation{ok(3), mutation("b1", 2, "put", put{"x", 1})},
			wantErr: engine.ErrForbidden,
		},
		{name: "nothing", push: nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := fresh(t)
			e := start(t, store, engine.Options{})
			mustPush(t, e, alice, "g1", ok(1), ok(2))
			mustPush(t, e, bob, "g2", mutation("b1", 1, "put", put{"bob", 1}))
			before, err := e.Head(t.Context(), space)
			if err != nil {
				t.Fatal(err)
			}
			c, g := tt.caller, tt.group
			if c.UserID == "" {
				c = alice
			}
			if g == "" {
				g = "g1"
			}
			err = e.Push(t.Context(), c, pushOf(g, tt.push...))
			if !sameError(err, tt.wantErr) {
				t.Errorf("Push: got error %v, want %v", err, tt.wantErr)
			}
			head, err := e.Head(t.Context(), space)
			if err != nil {
				t.Fatal(err)
			}
			if got := head.Version - before.Version; got != tt.version {
				t.Errorf("versions used: got %d, want %d", got, tt.version)
			}
			v := newView()
			v.pull(t, e, alice, "g1")
			want := map[string]string{"k1": "1", "k2": "2", "bob": "1"}
			maps.Copy(want, tt.want)
			if diff := cmp.Diff(want, v.entries); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			last := map[protocol.ClientID]int64{"c1": 2}
			maps.Copy(last, tt.last)
			if diff := cmp.Diff(last, v.last); diff != "" {
				t.Errorf("lastMutationIDs (-want +got):\n%s", diff)
			}
		})
	}
}

func sameError(got, want error) bool {
	if w, ok := want.(*protocol.ErrorResponse); ok { //nolint:errorlint // the wanted one is bare
		g, ok := errors.AsType[*protocol.ErrorResponse](got)
		return ok && *g == *w
	}
	return errors.Is(got, want)
}

// TestRejections: whatever is wrong with a mutation for good, its effects are
// dropped, it is acknowledged, and its client is told why.
func TestRejections(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", engine.MaxValueBytes)
	tests := []struct {
		name   string
		m      protocol.Mutation
		reason string // part of it
	}{
		{"error", mutation("c", 1, "fail", put{"k", 1}), "no such luck"},
		{"panic", mutation("c", 1, "panic", put{"k", 1}), "internal error"},
		{"unknown mutator", mutation("c", 1, "nope", put{"k", 1}), "unknown mutator"},
		{"arguments of another type", mutation("c", 1, "put", []int{1}), "arguments"},
		{
			"arguments that no JSON value should be",
			protocol.Mutation{ClientID: "c", ID: 1, Name: "put", Args: []byte(`null`), Invalid: "too deep"},
			"too deep",
		},
		{"value too large", mutation("c", 1, "put", put{"k", big}), "larger than"},
		{"key too long", mutation("c", 1, "put", put{strings.Repeat("k", 1025), 1}), "longer than"},
		{"very long name", mutation("c", 1, strings.Repeat("ü", 5000), nil), "unknown mutator"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := start(t, fresh(t), engine.Options{})
			v := newView()
			v.pull(t, e, alice, "g1")
			mustPush(t, e, alice, "g1", tt.m, mutation("c", 2, "put", put{"after", true}))
			v.pull(t, e, alice, "g1")
			if diff := cmp.Diff(map[string]string{"after": "true"}, v.entries); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			if v.last["c"] != 2 {
				t.Errorf("lastMutationID: got %d, want 2", v.last["c"])
			}
			got := v.refused["c"]
			if len(got) != 1 || got[0].ID != 1 || !strings.Contains(got[0].Reason, tt.reason) {
				t.Fatalf("rejections: got %+v, want id 1 with %q", got, tt.reason)
			}
			if strings.Contains(got[0].Reason, "secret") {
				t.Errorf("reason tells internals: %q", got[0].Reason)
			}
			if len(got[0].Name) > 200 {
				t.Errorf("name of %d bytes is stored", len(got[0].Name))
			}
			v.pull(t, e, alice, "g1")
			if len(v.refused["c"]) != 1 {
				t.Errorf("a rejection was told twice")
			}
		})
	}
}

// TestRejectionsAreBounded: only the last ones are kept, and only the first ones logged.
func TestRejectionsAreBounded(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := start(t, fresh(t), engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	var ms []protocol.Mutation
	for i := range int64(40) {
		ms = append(ms, mutation("c", i+1, "panic", put{"k", 1}))
	}
	mustPush(t, e, alice, "g1", ms...)
	text := log.String()
	lines, stacks := strings.Count(text, "\n"), strings.Count(text, "stack=")
	if lines != engine.MaxRejections+1 || stacks != 1 || !strings.Contains(text, "count=24") {
		t.Errorf("%d lines with %d stacks are logged, want %d with one: %s", lines, stacks, engine.MaxRejections+1, text)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if got := len(v.refused["c"]); got != engine.MaxRejections {
		t.Fatalf("rejections: got %d, want %d", got, engine.MaxRejections)
	}
	if first := v.refused["c"][0].ID; first != 40-engine.MaxRejections+1 {
		t.Errorf("oldest rejection kept: got %d", first)
	}
}

// TestRetry: a mutator that asks for another try is run again within the push's
// time, and nothing is acknowledged until then.
func TestRetry(t *testing.T) {
	t.Parallel()
	t.Run("works at last", func(t *testing.T) {
		t.Parallel()
		f := &flaky{}
		f.left.Store(3)
		e := startWith(t, fresh(t), testMutators(f), engine.Options{})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "flaky", put{"b", 2}),
			mutation("c", 3, "put", put{"c", 3}))
		v := newView()
		v.pull(t, e, alice, "g1")
		if diff := cmp.Diff(map[string]string{"a": "1", "b": "2", "c": "3"}, v.entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
	inBubble(t, "does not", func(t *testing.T) {
		f := &flaky{}
		f.left.Store(1 << 40)
		e := startWith(t, fresh(t), testMutators(f), engine.Options{PushTimeout: 200 * time.Millisecond})
		err := e.Push(t.Context(), alice, pushOf("g1",
			mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "flaky", put{"b", 2})))
		if !errors.Is(err, engine.ErrTemporary) {
			t.Fatalf("got %v, want ErrTemporary", err)
		}
		v := newView()
		v.pull(t, e, alice, "g1")
		if v.last["c"] != 1 || len(v.refused["c"]) != 0 || v.entries["a"] != "1" {
			t.Errorf("got last %d, rejections %v, entries %v", v.last["c"], v.refused, v.entries)
		}
	})
	inBubble(t, "does not hold up others", func(t *testing.T) {
		f := &flaky{}
		f.left.Store(1 << 40)
		e := startWith(t, fresh(t), testMutators(f), engine.Options{PushTimeout: 2 * time.Second})
		stuck := make(chan error, 1)
		go func() { stuck <- e.Push(t.Context(), alice, pushOf("g1", mutation("c", 1, "flaky", put{"b", 2}))) }()
		for i := range int64(20) {
			mustPush(t, e, bob, "g2", mutation("b", i+1, "put", put{"a", i}))
		}
		select {
		case err := <-stuck:
			t.Errorf("the stuck push was over first: %v", err)
		default:
		}
		if err := <-stuck; !errors.Is(err, engine.ErrTemporary) {
			t.Errorf("the stuck push: got %v, want ErrTemporary", err)
		}
	})
}

// TestRounds: what mutators read costs as many reads as their longest chain, not
// as many as there are mutations.
func TestRounds(t *testing.T) {
	t.Parallel()
	creates := func(first, n int64) (ms []protocol.Mutation) {
		for i := range n {
			ms = append(ms, mutation("c", first+i, "append", appendArgs{fmt.Sprint("k", first+i), "x"}))
		}
		return ms
	}
	store := &spy{Store: fresh(t)}
	e := start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", creates(1, 1)...)
	for _, n := range []int64{1, 100} {
		last := lastOf(t, e, "c")
		store.reset()
		mustPush(t, e, alice, "g1", creates(last+1, n)...)
		if got := store.snapshots.Load(); got != 1 {
			t.Errorf("%d mutations: got %d reads, want 1", n, got)
		}
		if got := store.keys.Load(); got != n {
			t.Errorf("%d mutations: got %d keys read, want %d", n, got, n)
		}
		if got := store.commits.Load(); got != 1 {
			t.Errorf("%d mutations: got %d commits, want 1", n, got)
		}
	}

	last := lastOf(t, e, "c")
	store.reset()
	mustPush(t, e, alice, "g1", mutation("c", last+1, "append", appendArgs{"k1", "y"}),
		mutation("c", last+2, "append", appendArgs{fmt.Sprint("k", last), "y"}))
	if got := store.snapshots.Load(); got != 0 {
		t.Errorf("keys that are known: got %d reads, want 0", got)
	}
}

func TestRoundsOfAChain(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	writer := start(t, store, engine.Options{})
	mustPush(t, writer, alice, "g1",
		mutation("c", 1, "put", put{"n1", "n2"}), mutation("c", 2, "put", put{"n2", "n3"}),
		mutation("c", 3, "put", put{"n3", "n4"}))
	e := start(t, store, engine.Options{}) // knows nothing of these
	mustPush(t, e, alice, "g1", mutation("c", 4, "put", put{"other", 1}))
	store.reset()
	mustPush(t, e, alice, "g1", mutation("c", 5, "follow", "n1"),
		mutation("c", 6, "append", appendArgs{"end", "x"}))
	if got := store.snapshots.Load(); got != 4 {
		t.Errorf("chain of four: got %d reads, want 4", got)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if got := v.entries["end"]; got != `"n4"` {
		t.Errorf("end of the chain: got %s", got)
	}
	if got := v.refused["c"]; len(got) != 1 || got[0].ID != 6 {
		t.Errorf("appending to a string is rejected: got %v", got)
	}
}

func lastOf(t *testing.T, e *engine.Engine, c protocol.ClientID) int64 {
	t.Helper()
	v := newView()
	v.pull(t, e, alice, "g1")
	return v.last[c]
}

// TestEndlessReader: a mutator that never stops reading is rejected, and its
// neighbours are not.
func TestEndlessReader(t *testing.T) {
	t.Parallel()
	r := testMutators(&flaky{})
	mutate.Register(r, "endless", func(_ context.Context, tx mutate.WriteTransaction, _ any) error {
		for i := 0; ; i++ {
			if _, err := tx.Has(fmt.Sprint("k", i)); err != nil {
				return err
			}
		}
	})
	e := startWith(t, fresh(t), r, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "endless", nil), mutation("c", 2, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	if v.entries["a"] != "1" || len(v.refused["c"]) != 1 {
		t.Errorf("got entries %v, rejections %v", v.entries, v.refused)
	}
}

// TestScanInMutator: a scan sees what is stored, what the batch wrote and what
// it deleted, however many there are.
func TestScanInMutator(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	var ms []protocol.Mutation
	for i := range int64(1300) {
		ms = append(ms, mutation("c", i+1, "put", put{fmt.Sprintf("p/%04d", i), i}))
	}
	mustPush(t, e, alice, "g1", ms...)
	mustPush(t, e, alice, "g1",
		mutation("c", 1301, "del", "p/0000"), mutation("c", 1302, "put", put{"p/zzz", 1}),
		mutation("c", 1303, "put", put{"q", 1}), mutation("c", 1304, "count", "p/"), mutation("c", 1305, "count", ""))
	v := newView()
	v.pull(t, e, alice, "g1")
	if got := v.entries["count/p/"]; got != "1300" {
		t.Errorf("count of p/: got %s, want 1300", got)
	}
	if got := v.entries["count/"]; got != "1302" {
		t.Errorf("count of everything: got %s, want 1302", got)
	}
}

func TestMutatorSeesCaller(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "who", "me"))
	v := newView()
	v.pull(t, e, alice, "g1")
	want := `{"claims":{"admin":true},"client":"c","id":1,"space":"s","user":"alice"}`
	if v.entries["me"] != want {
		t.Errorf("got %s, want %s", v.entries["me"], want)
	}
}

// TestBacklog: thousands of mutations in one push are applied in order, in
// commits of bounded size, and other clients are served in between.
func TestBacklog(t *testing.T) {
	t.Parallel()
	const n = 5000
	store := &spy{Store: fresh(t)}
	most := 0
	store.onCommit = func(c engine.Commit) error {
		most = max(most, len(c.Entries))
		return nil
	}
	e := start(t, store, engine.Options{})
	var ms []protocol.Mutation
	for i := range int64(n) {
		ms = append(ms, mutation("c", i+1, "put", put{fmt.Sprint("k", i), i}))
	}
	var wg sync.WaitGroup
	wg.Go(func() { mustPush(t, e, alice, "g1", ms...) })
	wg.Go(func() {
		for i := range int64(20) {
			mustPush(t, e, bob, "g2", mutation("b", i+1, "append", appendArgs{"bob", strconv.FormatInt(i, 10)}))
		}
	})
	wg.Wait()
	if most > engine.DefaultMaxBatchMutations {
		t.Errorf("largest commit: got %d entries", most)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if v.last["c"] != n || len(v.entries) != n+1 {
		t.Errorf("got last %d and %d entries, want %d", v.last["c"], len(v.entries), n)
	}
}

// TestCommitBytes: mutations that do not fit into one commit go into several; one
// that fits into none is rejected.
func TestCommitBytes(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	e := start(t, store, engine.Options{MaxBatchBytes: 10_000})
	var ms []protocol.Mutation
	for i := range int64(10) {
		ms = append(ms, mutation("c", i+1, "put", put{fmt.Sprint("k", i), strings.Repeat("x", 3000)}))
	}
	ms = append(ms, mutation("c", 11, "put", put{"big", strings.Repeat("x", 20_000)}),
		mutation("c", 12, "put", put{"after", 1}))
	mustPush(t, e, alice, "g1", ms...)
	if got := store.commits.Load(); got < 4 {
		t.Errorf("got %d commits, want at least 4", got)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if len(v.entries) != 11 || len(v.refused["c"]) != 1 || v.refused["c"][0].ID != 11 {
		t.Errorf("got %d entries, rejections %v", len(v.entries), v.refused)
	}
}

// TestNeighbours: in one commit, one push's trouble is not another's.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	store := &spy{Store: fresh(t)}
	var once sync.Once
	store.onSnapshot = func(engine.Documents) error {
		once.Do(func() { <-gate })
		return nil
	}
	e := start(t, store, engine.Options{})
	var wg sync.WaitGroup
	pushes := map[string]struct {
		caller engine.Caller
		group  protocol.ClientGroupID
		m      protocol.Mutation
		want   error
	}{
		"first":    {alice, "g1", mutation("a", 1, "put", put{"a", 1}), nil},
		"good":     {bob, "g2", mutation("b", 1, "put", put{"b", 1}), nil},
		"rejected": {bob, "g3", mutation("d", 1, "fail", put{"d", 1}), nil},
		"unknown":  {bob, "g4", mutation("e", 5, "put", put{"e", 1}), protocol.ClientStateNotFound()},
	}
	for name, p := range pushes {
		wg.Go(func() {
			if err := e.Push(t.Context(), p.caller, pushOf(p.group, p.m)); !sameError(err, p.want) {
				t.Errorf("%s: got %v, want %v", name, err, p.want)
			}
		})
	}
	gone, leave := context.WithCancel(t.Context())
	wg.Go(func() {
		err := e.Push(gone, bob, pushOf("g5", mutation("f", 1, "put", put{"f", 1})))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("push whose request ended: got %v", err)
		}
	})
	time.Sleep(20 * time.Millisecond) // let them pile up; not needed for the result
	leave()
	close(gate)
	wg.Wait()
	v := newView()
	v.pull(t, e, alice, "g1")
	if v.entries["a"] != "1" || v.entries["b"] != "1" || v.entries["d"] != "" || v.entries["e"] != "" {
		t.Errorf("entries: got %v", v.entries)
	}
}

func TestOverload(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	store := &spy{Store: fresh(t)}
	store.onSnapshot = func(engine.Documents) error { <-gate; return nil }
	e := start(t, store, engine.Options{MaxQueuePushes: 2})
	var wg sync.WaitGroup
	errs := make(chan error, 10)
	for i := range 10 {
		wg.Go(func() {
			g := protocol.ClientGroupID(fmt.Sprint("g", i))
			errs <- e.Push(t.Context(), alice, pushOf(g, mutation(protocol.ClientID(g), 1, "put", put{string(g), 1})))
		})
	}
	refused := 0
	for refused < 6 { // one or a few taken, two waiting, the others refused
		if err := <-errs; !errors.Is(err, engine.ErrOverloaded) {
			t.Fatalf("got %v, want ErrOverloaded", err)
		} else if said := limitOf(err); !strings.Contains(said, "At most 2 pushes") {
			t.Errorf("the limit is said to be %q", said)
		}
		refused++
	}
	close(gate)
	wg.Wait()
	close(errs)
	applied := 0
	for err := range errs {
		if err == nil {
			applied++
		}
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if len(v.entries) != applied {
		t.Errorf("got %d entries, want the %d acknowledged", len(v.entries), applied)
	}
}

// limitOf is what an error says about the limit it is for.
func limitOf(err error) string {
	if l, ok := errors.AsType[interface {
		error
		Limit() string
	}](err); ok {
		return l.Limit()
	}
	return ""
}

// TestEntryLimits: what is beyond them rejects the mutation that writes it, and no
// other.
func TestEntryLimits(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{MaxKeyBytes: 4, MaxValueBytes: 12, MaxDepth: 2})
	for i, tc := range []struct {
		put    put
		reason string
	}{
		{put{"four", strings.Repeat("x", 10)}, ""},
		{put{"five5", 1}, "key is longer than 4 bytes"},
		{put{"a", strings.Repeat("x", 11)}, "value is larger than 12 bytes"},
		{put{"b", [][]int{{1}}}, ""},
		{put{"c", [][][]int{{{1}}}}, "value is nested deeper than 2"},
	} {
		id := int64(i + 1)
		mustPush(t, e, alice, "g1", mutation("c1", id, "put", tc.put))
		v := newView()
		v.pull(t, e, alice, "g1")
		if _, stored := v.entries[tc.put.Key]; stored != (tc.reason == "") {
			t.Errorf("%v is stored: %v", tc.put, stored)
		}
		var reason string
		for _, r := range v.refused["c1"] {
			if r.ID == id {
				reason = r.Reason
			}
		}
		if !strings.Contains(reason, tc.reason) || (reason == "") != (tc.reason == "") {
			t.Errorf("%v: rejected for %q, want %q", tc.put, reason, tc.reason)
		}
	}
}

func TestTooManyClients(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	for clients, idBytes := range map[int]int{1001: 5, 66: 1000} {
		var ms []protocol.Mutation
		for i := range clients {
			ms = append(ms, mutation(clientID(fmt.Sprintf("%0*d", idBytes, i)), 1, "put", put{"k", 1}))
		}
		err := e.Push(t.Context(), alice, pushOf("g1", ms...))
		if _, ok := errors.AsType[*protocol.DecodeError](err); !ok {
			t.Errorf("%d clients, ids of %d bytes: got %v, want a DecodeError", clients, idBytes, err)
		}
	}
}

func TestSchemaVersion(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{SchemaVersions: []string{"1", "2"}})
	want := protocol.VersionNotSupported(protocol.VersionTypeSchema)
	push := pushOf("g1", mutation("c", 1, "put", put{"a", 1}))
	push.SchemaVersion = "3"
	if err := e.Push(t.Context(), alice, push); !sameError(err, want) {
		t.Errorf("push: got %v, want %v", err, want)
	}
	if _, err := e.Pull(t.Context(), alice, &protocol.PullRequest{Version: 1, SchemaVersion: ""}); !sameError(err, want) {
		t.Errorf("pull: got %v, want %v", err, want)
	}
	push.SchemaVersion = "2"
	if err := e.Push(t.Context(), alice, push); err != nil {
		t.Errorf("push of an accepted version: %v", err)
	}
}

// TestClose: what was accepted is done, what comes later is refused.
func TestClose(t *testing.T) {
	t.Parallel()
	e := engine.New(fresh(t), testMutators(&flaky{}), engine.Options{Logger: quiet()})
	var wg sync.WaitGroup
	var mu sync.Mutex
	acknowledged := []string{}
	for i := range 50 {
		wg.Go(func() {
			c := protocol.ClientID(fmt.Sprint("c", i))
			err := e.Push(t.Context(), alice, pushOf("g1", mutation(c, 1, "put", put{string(c), 1})))
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				acknowledged = append(acknowledged, string(c))
			} else if !errors.Is(err, engine.ErrClosed) {
				t.Errorf("push: %v", err)
			}
		})
	}
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	err := e.Push(t.Context(), alice, pushOf("g1", mutation("z", 1, "put", put{"z", 1})))
	if !errors.Is(err, engine.ErrClosed) {
		t.Errorf("push after Close: got %v, want ErrClosed", err)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	if diff := cmp.Diff(slices.Sorted(slices.Values(acknowledged)), slices.Sorted(maps.Keys(v.entries))); diff != "" {
		t.Errorf("acknowledged and stored (-want +got):\n%s", diff)
	}
}

// TestCloseGivesUp: a store that hangs does not hold up the end for ever.
func TestCloseGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		store := &spy{Store: fresh(t)}
		store.onSnapshot = func(engine.Documents) error { <-hang; return engine.ErrUnavailable }
		e := engine.New(store, testMutators(&flaky{}), engine.Options{Logger: quiet()})
		done := make(chan error, 1)
		go func() { done <- e.Push(t.Context(), alice, pushOf("g1", mutation("c", 1, "put", put{"a", 1}))) }()
		synctest.Wait() // it hangs
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.AfterFunc(50*time.Millisecond, func() { close(hang) })
		if err := e.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close: got %v, want the context's error", err)
		}
		if err := <-done; !errors.Is(err, engine.ErrClosed) {
			t.Errorf("push: got %v, want ErrClosed", err)
		}
	})
}
