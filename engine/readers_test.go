package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// right is what a reader's caller says of them, and how often it was asked.
type right struct {
	mayWrite atomic.Bool
	failure  atomic.Pointer[error]
	budget   atomic.Int64 // rejections left
	judged   atomic.Int64
	onJudge  func()
}

var errSpent = errors.New("budget is spent")

// readerOf is a user who may only read, as far as the request has found out.
func readerOf(user string, r *right) engine.Caller {
	return engine.Caller{Space: space, UserID: user, Reader: &engine.Reader{
		MayWrite: func(context.Context) (bool, error) {
			r.judged.Add(1)
			if r.onJudge != nil {
				r.onJudge()
			}
			if failure := r.failure.Load(); failure != nil {
				return false, *failure
			}
			return r.mayWrite.Load(), nil
		},
		Take: func() error {
			if r.budget.Add(-1) < 0 {
				r.budget.Add(1)
				return errSpent
			}
			return nil
		},
	}}
}

func newRight(budget int64) *right {
	r := &right{}
	r.budget.Store(budget)
	return r
}

// begun is a space with one entry, of alice's.
func begun(t *testing.T, e *engine.Engine) {
	t.Helper()
	mustPush(t, e, alice, "g1", mutation("c1", 1, "put", put{"k", 1}))
}

// TestReadersPush: a reader's mutations are acknowledged as rejected, without running, and the
// reader's client is told why.
func TestReadersPush(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	begun(t, e)
	rita := readerOf("rita", newRight(10))
	for range 2 { // the second time all is known already
		mustPush(t, e, rita, "gr", mutation("cr", 1, "put", put{"k", 2}), mutation("cr", 2, "panic", put{"k", 3}))
	}
	v := newView()
	v.pull(t, e, rita, "gr")
	if v.entries["k"] != "1" || v.last["cr"] != 2 {
		t.Errorf("entries %v, last mutation %d; want k as it was, 2", v.entries, v.last["cr"])
	}
	head, err := e.Head(t.Context(), space)
	if err != nil || head.Version != 2 {
		t.Errorf("version %d (%v), want one commit more", head.Version, err)
	}
	clear(v.refused)
	mustPush(t, e, rita, "gr", mutation("cr", 3, "put", put{"k", 4}))
	v.pull(t, e, rita, "gr")
	refused := v.refused["cr"]
	if len(refused) != 1 || refused[0].ID != 3 || refused[0].Reason != "you may read this space, and not change it" {
		t.Errorf("rejections since the first pull: %+v", refused)
	}
}

// TestReaderIsWriterByNow: who was made a writer after the request's rights were read loses
// nothing, however late that shows.
func TestReaderIsWriterByNow(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	begun(t, e)
	r := newRight(0)
	r.mayWrite.Store(true)
	mustPush(t, e, readerOf("rita", r), "gr",
		mutation("cr", 1, "put", put{"k", 2}), mutation("cr", 2, "put", put{"l", 3}))
	v := newView()
	v.pull(t, e, alice, "g1")
	if v.entries["k"] != "2" || v.entries["l"] != "3" {
		t.Errorf("entries %v, want those of the new writer", v.entries)
	}
	if n := r.judged.Load(); n != 1 {
		t.Errorf("right read %d times, want once", n)
	}
}

// TestReaderIsJudgedByTheTry: each try that may record the rejections reads the right itself.
func TestReaderIsJudgedByTheTry(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	s := &spy{Store: store}
	e, other := start(t, s, engine.Options{}), start(t, store, engine.Options{})
	begun(t, other)
	r := newRight(10)
	r.onJudge = func() {
		if r.judged.Load() == 1 { // another instance commits, and rita becomes a writer
			mustPush(t, other, alice, "g1", mutation("c1", 2, "put", put{"k", 5}))
			return
		}
		r.mayWrite.Store(true)
	}
	mustPush(t, e, readerOf("rita", r), "gr", mutation("cr", 1, "put", put{"k", 2}))
	v := newView()
	v.pull(t, e, alice, "g1")
	if v.entries["k"] != "2" || r.judged.Load() != 2 {
		t.Errorf("k = %s after %d readings of the right, want 2 after 2", v.entries["k"], r.judged.Load())
	}
}

// TestReaderCannotBeJudged: where the right cannot be read, nothing is acknowledged.
func TestReaderCannotBeJudged(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	begun(t, e)
	down := errors.New("directory is down")
	r := newRight(10)
	r.failure.Store(&down)
	rita := readerOf("rita", r)
	if err := e.Push(t.Context(), rita, pushOf("gr", mutation("cr", 1, "put", put{"k", 2}))); !errors.Is(err, down) {
		t.Errorf("push: %v, want the failure", err)
	}
	if head, err := e.Head(t.Context(), space); err != nil || head.Version != 1 {
		t.Errorf("version %d (%v), want 1", head.Version, err)
	}
	if got := r.budget.Load(); got != 10 {
		t.Errorf("%d of the budget left, want all", got)
	}
}

// TestReaderCreatesNothing: no space comes to be by a push of who may not write to it.
func TestReaderCreatesNothing(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	err := e.Push(t.Context(), readerOf("rita", newRight(10)), pushOf("gr", mutation("cr", 1, "put", put{"k", 2})))
	if !errors.Is(err, engine.ErrForbidden) {
		t.Errorf("push: %v, want ErrForbidden", err)
	}
	if head, err := e.Head(t.Context(), space); err != nil || head.Exists() {
		t.Errorf("head %+v (%v), want none", head, err)
	}
}

// TestReaderBudget: what the budget allows is acknowledged, in order; the rest comes again, and
// what was acknowledged costs nothing then.
func TestReaderBudget(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	begun(t, e)
	r := newRight(2)
	rita := readerOf("rita", r)
	backlog := make([]protocol.Mutation, 5)
	for i := range backlog {
		backlog[i] = mutation("cr", int64(i+1), "put", put{"k", i})
	}
	for _, want := range []int64{2, 4} {
		if err := e.Push(t.Context(), rita, pushOf("gr", backlog...)); !errors.Is(err, errSpent) {
			t.Fatalf("push: %v, want the budget's", err)
		}
		v := newView()
		v.pull(t, e, rita, "gr")
		if v.last["cr"] != want {
			t.Errorf("last mutation %d, want %d", v.last["cr"], want)
		}
		r.budget.Store(2)
	}
	mustPush(t, e, rita, "gr", backlog...)
	if got := r.budget.Load(); got != 1 {
		t.Errorf("%d of the budget left, want 1", got)
	}
}

// TestReadersAndWritersApart: commits are of readers or of writers, and who was there first has
// the next one.
func TestReadersAndWritersApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &spy{Store: fresh(t)}
		e := start(t, s, engine.Options{})
		begun(t, e)
		var commits []engine.Commit
		s.mu.Lock()
		s.onCommit = func(c engine.Commit) error {
			commits = append(commits, c)
			return nil
		}
		s.mu.Unlock()
		r := newRight(100)
		pushTogetherAs(t, e, s, 8, func(user string) protocol.Mutation {
			return mutation(clientID(user), 1, "put", put{user, 1})
		}, func(user string) engine.Caller {
			if user < "u4" {
				return readerOf(user, r)
			}
			return engine.Caller{Space: space, UserID: user}
		})
		for _, c := range commits {
			readers, writers := 0, 0
			for _, client := range c.Clients {
				if len(client.Rejections) > 0 {
					readers++
				} else {
					writers++
				}
			}
			if readers > 0 && (writers > 0 || len(c.Entries) > 0 || c.Next.Private == "") {
				t.Errorf("commit of %d readers, %d writers, %d entries, private %q",
					readers, writers, len(c.Entries), c.Next.Private)
			}
			if writers > 0 && c.Next.Private != "" {
				t.Errorf("commit of writers is private: %q", c.Next.Private)
			}
		}
		// The worker may begin with the first push alone or with several; what waits then goes
		// together, each kind by itself.
		if n := len(commits); n < 2 || n > 3 {
			t.Errorf("%d commits, want 2 or 3", n)
		}
		v := newView()
		v.pull(t, e, alice, "g1")
		if len(v.entries) != 5 {
			t.Errorf("entries %v, want alice's and those of four writers", v.entries)
		}
	})
}

// TestConcerns: a head tells which users need not hear of it.
func TestConcerns(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	begun(t, e)
	ann, rita := engine.AudienceOf(space, "ann"), engine.AudienceOf(space, "rita")
	reject := func(user string, id int64) engine.Head {
		t.Helper()
		mustPush(t, e, readerOf(user, newRight(1)), groupID("g"+user), mutation(clientID(user), id, "put", put{"k", 2}))
		head, err := e.Head(t.Context(), space)
		if err != nil {
			t.Fatal(err)
		}
		return head
	}
	second, third := reject("rita", 1), reject("rob", 1)
	for name, tc := range map[string]struct {
		head     engine.Head
		audience string
		heard    int64
		want     bool
	}{
		"own":                           {second, rita, 1, true},
		"another's":                     {second, ann, 1, false},
		"another's, after one's own":    {third, rita, 2, false},
		"own among several":             {third, rita, 1, true},
		"none among several":            {third, ann, 1, false},
		"from before what is told":      {third, ann, 0, true},
		"version that went back":        {third, ann, 9, true},
		"the same version, heard again": {third, ann, 3, true},
	} {
		if got := tc.head.Concerns()(tc.audience, tc.heard); got != tc.want {
			t.Errorf("%s: concerns = %t, want %t", name, got, tc.want)
		}
	}
	for i := range int64(40) {
		third = reject("rob", i+2)
	}
	if third.Concerns()(ann, third.Version-16) || !third.Concerns()(ann, third.Version-17) {
		t.Errorf("private %q tells of other than 16 commits", third.Private)
	}
	mustPush(t, e, alice, "g1", mutation("c1", 2, "put", put{"k", 2}))
	if head, err := e.Head(t.Context(), space); err != nil || head.Concerns() != nil {
		t.Errorf("a writer's commit does not concern everybody: %+v (%v)", head, err)
	}
}

// TestNewClients: a push goes as far as its group may have new clients, and what is known is
// not counted.
func TestNewClients(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	budget := 2
	caller := engine.Caller{Space: space, UserID: "alice", NewClient: func() error {
		if budget--; budget < 0 {
			return errSpent
		}
		return nil
	}}
	push := pushOf("g1",
		mutation("c1", 1, "put", put{"a", 1}), mutation("c2", 1, "put", put{"b", 1}),
		mutation("c1", 2, "put", put{"c", 1}), mutation("c3", 1, "put", put{"d", 1}),
		mutation("c1", 3, "put", put{"e", 1}))
	if err := e.Push(t.Context(), caller, push); !errors.Is(err, errSpent) {
		t.Fatalf("push: %v, want the budget's", err)
	}
	v := newView()
	v.pull(t, e, alice, "g1")
	keys := []string{}
	for key := range v.entries {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"a", "b", "c"}) {
		t.Errorf("entries %v, want what came before the client too many", keys)
	}
	budget = 1
	if err := e.Push(t.Context(), caller, push); err != nil {
		t.Fatalf("push again: %v", err)
	}
	v.pull(t, e, alice, "g1")
	if len(v.entries) != 5 || v.last["c1"] != 3 || v.last["c3"] != 1 {
		t.Errorf("entries %v, last mutations %v; want all", v.entries, v.last)
	}
}
