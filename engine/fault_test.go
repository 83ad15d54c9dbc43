package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// unreliable fails commits and reads by chance: before they are applied, and
// after.
type unreliable struct {
	engine.Store
	mu     sync.Mutex
	rnd    *rand.Rand
	chance float64
}

func (u *unreliable) dice() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rnd.Float64() < u.chance
}

func (u *unreliable) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	if u.dice() {
		return nil, engine.ErrUnavailable
	}
	return u.Store.Snapshot(ctx, id, d)
}

func (u *unreliable) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	kinds := []error{engine.ErrConflict, engine.ErrUnavailable, engine.ErrUnknownOutcome, errors.New("a bug")}
	if u.dice() {
		return engine.Head{}, kinds[rand.IntN(len(kinds))]
	}
	head, err := u.Store.Commit(ctx, id, c)
	if err == nil && u.dice() {
		return engine.Head{}, []error{engine.ErrConflict, engine.ErrUnknownOutcome, kinds[3]}[rand.IntN(3)]
	}
	return head, err
}

// TestExactlyOnce: two instances, clients that resend through either, and a
// store that fails before and after the fact; every mutation takes effect once,
// in the order of its client.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	const clients, mutations = 12, 40
	store := fresh(t)
	var instances []*engine.Engine
	for i := range 2 {
		u := &unreliable{Store: store, rnd: rand.New(rand.NewPCG(uint64(i), 7)), chance: 0.15}
		instances = append(instances, start(t, u, engine.Options{}))
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(c), 11))
			id := protocol.ClientID(fmt.Sprint("c", c))
			g := protocol.ClientGroupID(fmt.Sprint("g", c))
			var pending []protocol.Mutation
			for m := range int64(mutations) {
				key := fmt.Sprint("list", rnd.IntN(3))
				pending = append(pending, mutation(id, m+1, "append", appendArgs{key, fmt.Sprintf("%s.%d", id, m+1)}))
				from := rnd.IntN(len(pending)) // resends some of what was acknowledged
				if err := instances[rnd.IntN(2)].Push(t.Context(), alice, pushOf(g, pending[from:]...)); err != nil {
					t.Errorf("push: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	v := newView()
	v.pull(t, start(t, store, engine.Options{}), alice, "g0")
	seen := map[string]int{}
	for key, raw := range v.entries {
		var list []string
		if err := json.Unmarshal([]byte(raw), &list); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		last := map[string]int{}
		for _, token := range list {
			seen[token]++
			client, id, _ := strings.Cut(token, ".")
			n, err := strconv.Atoi(id)
			if err != nil {
				t.Fatalf("%s: token %q: %v", key, token, err)
			}
			if n <= last[client] {
				t.Errorf("%s: %s after %d", key, token, last[client])
			}
			last[client] = n
		}
	}
	if len(seen) != clients*mutations {
		t.Errorf("got %d mutations, want %d", len(seen), clients*mutations)
	}
	for token, n := range seen {
		if n != 1 {
			t.Errorf("%s took effect %d times", token, n)
		}
	}
}

// TestCommitOutcomes: each kind of failure, applied or not, ends in one effect
// and a success.
func TestCommitOutcomes(t *testing.T) {
	t.Parallel()
	kinds := []error{engine.ErrConflict, engine.ErrUnknownOutcome, engine.ErrUnavailable, errors.New("bug")}
	for _, kind := range kinds {
		for _, applied := range []bool{false, true} {
			for _, overtaken := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v applied=%v overtaken=%v", kind, applied, overtaken), func(t *testing.T) {
					t.Parallel()
					base := fresh(t)
					other := start(t, base, engine.Options{})
					store := &spy{Store: base}
					e := start(t, store, engine.Options{})
					mustPush(t, e, alice, "g1", mutation("c", 1, "append", appendArgs{"l", "c1"}))
					fired := false
					store.onCommit = func(c engine.Commit) error {
						if fired {
							return nil
						}
						fired = true
						if applied {
							if _, err := base.Commit(context.Background(), space, c); err != nil {
								t.Errorf("commit: %v", err)
							}
						}
						if overtaken {
							mustPush(t, other, bob, "g2", mutation("b", 1, "append", appendArgs{"l", "b1"}))
						}
						return kind
					}
					mustPush(t, e, alice, "g1", mutation("c", 2, "append", appendArgs{"l", "c2"}))
					mustPush(t, e, alice, "g1", mutation("c", 3, "append", appendArgs{"l", "c3"}))
					v := newView()
					v.pull(t, e, alice, "g1")
					var list []string
					if err := json.Unmarshal([]byte(v.entries["l"]), &list); err != nil {
						t.Fatal(err)
					}
					want := []string{"c1", "c2", "c3"}
					if got := slices.DeleteFunc(list, func(s string) bool { return s == "b1" }); !slices.Equal(got, want) {
						t.Errorf("got %v, want %v", got, want)
					}
				})
			}
		}
	}
}

// TestStaleMemory: what an instance remembers is checked before it refuses
// anything, and before it calls anything done.
func TestStaleMemory(t *testing.T) {
	t.Parallel()
	t.Run("another instance has gone on", func(t *testing.T) {
		t.Parallel()
		store := fresh(t)
		a, b := start(t, store, engine.Options{}), start(t, store, engine.Options{})
		mustPush(t, a, alice, "g1", mutation("c", 1, "append", appendArgs{"l", "1"}))
		mustPush(t, b, alice, "g1", mutation("c", 2, "append", appendArgs{"l", "2"}))
		mustPush(t, a, alice, "g1", mutation("c", 3, "append", appendArgs{"l", "3"})) // a gap, as a remembers it
		mustPush(t, b, alice, "g1", mutation("c", 3, "append", appendArgs{"l", "x"}),
			mutation("c", 4, "append", appendArgs{"l", "4"}))
		v := newView()
		v.pull(t, b, alice, "g1")
		if got := v.entries["l"]; got != `["1","2","3","4"]` {
			t.Errorf("got %s", got)
		}
	})
	t.Run("the store was wiped", func(t *testing.T) {
		t.Parallel()
		store := memory.New()
		e := start(t, store, engine.Options{})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
		v := newView()
		v.pull(t, e, alice, "g1")
		store.Wipe()
		csnf := protocol.ClientStateNotFound()
		for _, id := range []int64{1, 2} {
			err := e.Push(t.Context(), alice, pushOf("g1", mutation("c", id, "put", put{"a", 1})))
			if id == 1 && err != nil {
				t.Errorf("mutation 1 of a client unknown again: %v", err)
			}
			if id == 1 {
				store.Wipe()
			} else if !sameError(err, csnf) {
				t.Errorf("mutation 2: got %v, want ClientStateNotFound", err)
			}
		}
		if err := v.tryPull(t, e, alice, "g1"); !sameError(err, csnf) {
			t.Errorf("pull of a group that was forgotten: got %v, want ClientStateNotFound", err)
		}
		v.pull(t, e, alice, "gNew")
		if len(v.entries) != 0 {
			t.Errorf("after the wipe: got %v", v.entries)
		}
		mustFsck(t, store, space)
	})
}

// TestImpossibleCommit: a mutation that a store refuses for a reason nobody
// foresaw is rejected, and its neighbours are applied.
func TestImpossibleCommit(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	store.onCommit = func(c engine.Commit) error {
		for _, e := range c.Entries {
			if e.Key == "poison" {
				return engine.ErrImpossible
			}
		}
		return nil
	}
	e := start(t, store, engine.Options{})
	var ms []protocol.Mutation
	for i := range int64(20) {
		key := fmt.Sprint("k", i)
		if i == 7 {
			key = "poison"
		}
		ms = append(ms, mutation("c", i+1, "put", put{key, i}))
	}
	mustPush(t, e, alice, "g1", ms...)
	v := newView()
	v.pull(t, e, alice, "g1")
	if len(v.entries) != 19 || len(v.refused["c"]) != 1 || v.refused["c"][0].ID != 8 {
		t.Errorf("got %d entries, rejections %v", len(v.entries), v.refused)
	}
}

// TestStoreIsDown: nothing is acknowledged, the error is one that a client tries
// again after.
func TestStoreIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &spy{Store: fresh(t)}
		down := true
		store.onSnapshot = func(engine.Documents) error {
			if down {
				return engine.ErrUnavailable
			}
			return nil
		}
		e := start(t, store, engine.Options{PushTimeout: 50 * time.Millisecond})
		push := pushOf("g1", mutation("c", 1, "put", put{"a", 1}))
		if err := e.Push(t.Context(), alice, push); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("push: got %v, want ErrUnavailable", err)
		}
		if err := newView().tryPull(t, e, alice, "g1"); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("pull: got %v, want ErrUnavailable", err)
		}
		store.mu.Lock()
		store.onSnapshot = nil
		store.mu.Unlock()
		if err := e.Push(t.Context(), alice, push); err != nil {
			t.Errorf("push when it is back: %v", err)
		}
	})
}

// TestCorruptDocument: the push that touches it fails, its neighbours do not.
func TestCorruptDocument(t *testing.T) {
	t.Parallel()
	store := &spy{Store: fresh(t)}
	store.onSnapshot = func(d engine.Documents) error {
		if slices.Contains(d.Clients, "broken") {
			return engine.ErrCorrupt
		}
		return nil
	}
	e := start(t, store, engine.Options{})
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			c := protocol.ClientID(fmt.Sprint("c", i))
			if i == 5 {
				c = "broken"
			}
			err := e.Push(t.Context(), alice, pushOf(protocol.ClientGroupID(c), mutation(c, 1, "put", put{string(c), 1})))
			if want := i == 5; errors.Is(err, engine.ErrCorrupt) != want {
				t.Errorf("%s: got %v", c, err)
			}
		})
	}
	wg.Wait()
}

// TestLostRaceTakesAlong: what arrives while a race is lost goes into the next try, within
// the bounds of the queue, and is not forgotten where it turns out that the race was won.
func TestLostRaceTakesAlong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]lostRace{
		"lost": {written: []int{1, 2}},
		"won":  {applied: true, written: []int{1, 1}},
		"full": {options: engine.Options{MaxQueuePushes: 1}, written: []int{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fresh(t)
			synctest.Test(t, func(t *testing.T) { c.run(t, store) })
		})
	}
}

// lostRace is a push whose first commit loses its race, or is said to, while another
// push arrives.
type lostRace struct {
	options engine.Options
	applied bool
	written []int // clients, by each commit
}

func (c lostRace) run(t *testing.T, store *memory.Store) {
	t.Helper()
	s := &spy{Store: store}
	e := start(t, s, c.options)
	var written []int
	late := make(chan error, 1)
	s.onCommit = func(commit engine.Commit) error {
		written = append(written, len(commit.Clients))
		if len(written) > 1 {
			return nil
		}
		go func() { late <- e.Push(t.Context(), alice, pushOf("g1", mutation("c2", 1, "put", put{"b", 1}))) }()
		time.Sleep(time.Millisecond) // it waits in the queue
		if c.applied {
			if _, err := store.Commit(t.Context(), space, commit); err != nil {
				t.Error(err)
			}
		}
		return engine.ErrConflict
	}
	mustPush(t, e, alice, "g1", mutation("c1", 1, "put", put{"a", 1}))
	if err := <-late; err != nil {
		t.Errorf("the late push: %v", err)
	}
	if !slices.Equal(written, c.written) {
		t.Errorf("the commits wrote %v clients, want %v", written, c.written)
	}
}
