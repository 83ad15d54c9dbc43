package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// TestStress has two instances, several clients of each group and an operator do what they
// do at the same time, on as many processors as there are: the simulation decides the order
// of calls and messages, and what happens between two locks only the machine does. Each
// view is held to the state that the space had at the view's cookie.
func TestStress(t *testing.T) {
	t.Parallel()
	for round := range 12 {
		age := []time.Duration{0, time.Hour, 5 * time.Millisecond}[round%3]
		t.Run(fmt.Sprintf("%d, PullMaxAge %v", round, age), func(t *testing.T) {
			t.Parallel()
			newStress(t, age).run()
		})
	}
}

// state is what a space holds at one version.
type state struct {
	entries map[string]string
	last    map[protocol.ClientID]int64
	groups  map[protocol.ClientID]protocol.ClientGroupID
}

func (s *state) clone() *state {
	return &state{maps.Clone(s.entries), maps.Clone(s.last), maps.Clone(s.groups)}
}

// apply makes it the state after a commit.
func (s *state) apply(c engine.Commit) {
	if c.Next.Base > c.Prev.Base {
		clear(s.entries)
	}
	for _, e := range c.Entries {
		if delete(s.entries, e.Key); !e.Deleted {
			s.entries[e.Key] = string(e.Value)
		}
	}
	for _, cl := range c.Clients {
		s.last[cl.ID], s.groups[cl.ID] = cl.LastMutationID, cl.GroupID
	}
}

// stress is a store that keeps every state there was, gives way to others at random, and
// fails at random; and what works on it.
type stress struct {
	*testing.T
	engine.Store
	age     time.Duration
	engines []*engine.Engine

	mu     sync.Mutex
	states map[string]*state // by epoch and version
	now    *state
}

func newStress(t *testing.T, age time.Duration) *stress {
	t.Helper()
	s := &stress{T: t, Store: memory.New(), age: age, states: map[string]*state{}, now: &state{
		map[string]string{}, map[protocol.ClientID]int64{}, map[protocol.ClientID]protocol.ClientGroupID{},
	}}
	for range 2 {
		s.engines = append(s.engines, start(t, s, engine.Options{
			PullMaxAge:        age,
			MaxTailBytes:      one(4<<20, 3000),
			MaxKnownBytes:     one(4<<20, 600),
			MaxMemoryBytes:    one(int64(0), 3000),
			MaxBatchMutations: one(3, 500),
			ExpectAfter:       one(-1, 1, 16),
		}))
	}
	return s
}

// one of them, by chance.
func one[T any](of ...T) T { return of[rand.IntN(len(of))] }

// giveWay lets others run, now and then.
func giveWay() {
	for range one(0, 0, 1, 5, 20) {
		runtime.Gosched()
	}
}

func (s *stress) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	giveWay()
	defer giveWay()
	fate := rand.IntN(30)
	if fate == 0 {
		return engine.Head{}, engine.ErrUnknownOutcome
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	head, err := s.Store.Commit(ctx, id, c)
	if err != nil {
		return head, err
	}
	s.now = s.now.clone()
	s.now.apply(c)
	s.states[at(head.Epoch, head.Version)] = s.now
	switch fate {
	case 1:
		return engine.Head{}, engine.ErrUnknownOutcome
	case 2:
		return engine.Head{}, engine.ErrConflict
	}
	return head, nil
}

func (s *stress) Snapshot(
	ctx context.Context, id protocol.SpaceID, d engine.Documents,
) (engine.Snapshot, error) {
	giveWay()
	defer giveWay()
	return s.Store.Snapshot(ctx, id, d)
}

func at(epoch string, version int64) string { return fmt.Sprintf("%s/%d", epoch, version) }

func (s *stress) run() {
	var work sync.WaitGroup
	for n := range 5 {
		work.Go(func() { s.client(clientID(fmt.Sprint("c", n)), groupID(fmt.Sprint("g", n/2))) })
	}
	work.Go(s.operator)
	work.Wait()
	fresh := newView()
	fresh.pull(s.T, s.engines[0], alice, "g0")
	s.judge(fresh, "g0")
	mustFsck(s.T, s.Store, space)
}

// operator resets and collects.
func (s *stress) operator() {
	for range 25 {
		e := one(s.engines...)
		if _, err := e.Collect(s.Context(), space, time.Now().Add(time.Hour)); err != nil {
			s.Error(err)
		}
		if one(false, false, false, true) {
			_, err := e.Reset(s.Context(), space)
			if err != nil && !errors.Is(err, engine.ErrUnknownOutcome) {
				s.Error(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// client pushes what it has and pulls, to either instance, now and then with a state that it
// had before.
func (s *stress) client(c protocol.ClientID, g protocol.ClientGroupID) {
	v, old := newView(), []*view{newView()}
	var pending []protocol.Mutation
	for id := int64(1); id <= 120; id++ {
		pending = append(pending, s.mutation(c, id))
		if one(true, false) {
			continue
		}
		e := one(s.engines...)
		acked := e.Push(s.Context(), alice, pushOf(g, pending...)) == nil
		past := one(old...).clone()
		for _, w := range []*view{past, v} {
			if err := w.tryPull(s.T, e, alice, g); err != nil {
				s.Errorf("%s at %s: %v", c, w.cookie.Raw, err)
			}
			s.judge(w, g)
			if acked && w.last[c] < id {
				s.Errorf("%s: mutation %d is acknowledged, a pull shows %d", c, id, w.last[c])
			}
		}
		old = append(old, v.clone())
		for len(pending) > 0 && pending[0].ID <= v.last[c] {
			pending = pending[1:]
		}
	}
}

func (s *stress) mutation(c protocol.ClientID, id int64) protocol.Mutation {
	key := fmt.Sprint("k", rand.IntN(6))
	switch one(0, 1, 2, 3) {
	case 0:
		return mutation(c, id, "del", key)
	case 1:
		return mutation(c, id, "fail", put{key, int(id)})
	case 2:
		return mutation(c, id, "put", put{key, int(id)})
	default:
		return mutation(c, id, "append", appendArgs{"log", at(string(c), id)})
	}
}

// judge holds a view to the state that it must be.
func (s *stress) judge(v *view, g protocol.ClientGroupID) {
	s.mu.Lock()
	want := s.states[at(v.cookie.Epoch, v.cookie.Version)]
	s.mu.Unlock()
	if want == nil {
		if v.cookie.Version > 0 {
			s.Errorf("there is no version %s", v.cookie.Raw)
		}
		return
	}
	if !maps.Equal(want.entries, v.entries) {
		s.Errorf("%s at %s: %v, want %v", g, v.cookie.Raw, v.entries, want.entries)
	}
	for c, id := range want.last {
		if want.groups[c] == g && v.last[c] != id {
			s.Errorf("%s at %s: lastMutationID of %s is %d, want %d", g, v.cookie.Raw, c, v.last[c], id)
		}
	}
}
