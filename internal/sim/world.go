package sim

import (
	"cmp"
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// world is one run. Everything but what the engines' goroutines do happens in the
// scheduler's.
type world struct {
	config  Config
	chance  *rand.Rand
	without Fault

	memory   *memory.Store
	mutators *mutate.Registry
	retries  *retries
	options  engine.Options
	ctx      context.Context // of all requests

	spaces    []protocol.SpaceID
	instances []*instance // that live
	born      int         // instances ever
	tabs      []*tab
	groups    int // ever
	clients   int // ever
	keys      int

	actions []action  // all that there are
	now     []*action // those that can happen now

	listeners   []*listener
	network     []*request // on their way
	handled     []*request // being handled, and some that were
	open        int        // how many are being handled
	replies     []*request // on their way back
	seen        []*request // pushes to be replayed
	archive     []*tab     // states of the past
	backup      *backup
	healed      bool
	step        int
	result      Result
	hash        hash.Hash64
	requests    int
	writes      int // by operators
	collections int

	// mu guards all of it. The scheduler holds it but while it waits.
	mu       sync.Mutex
	oracle   *oracle
	rights   rights
	parked   []*call
	late     []*late
	finished []*request
	written  []written
}

// instance is a process of the service.
type instance struct {
	number int
	store  *store
	engine *engine.Engine
	hub    *poke.Hub
	// shown are the versions that this instance has told of, as an acknowledgement of
	// what it has committed or as a poke.
	shown map[protocol.SpaceID]int64
}

// tab is a client with what surrounds it.
type tab struct {
	*replica.Client
	space            protocol.SpaceID
	user             string
	pushing, pulling bool
}

// backup is a copy of the store with what the oracle knew then.
type backup struct {
	store  *memory.Store
	heads  map[protocol.SpaceID]*version
	groups map[protocol.SpaceID]map[protocol.ClientGroupID]bool
}

// Run runs a seed. It must be called in a testing/synctest bubble, and with
// GOMAXPROCS 1 it does the same each time.
func Run(config Config) Result {
	w := newWorld(config)
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.end()
	w.begin()
	for w.step < w.config.MaxSteps && w.result.Violation == nil {
		w.step++
		w.settle()
		w.act()
	}
	w.settle()
	if w.result.Violation == nil {
		w.converge()
	}
	w.result.Seed, w.result.Steps = config.Seed, w.step
	w.result.Commits, w.result.Hash = w.oracle.commits, w.hash.Sum64()
	return w.result
}

func newWorld(config Config) *world {
	chance := seeded(config.Seed, 0x5eed)
	r := &retries{of: map[string]int{}}
	w := &world{
		config: config, chance: chance, without: config.Without,
		memory: memory.New(), mutators: registry(r), retries: r, ctx: context.Background(),
		oracle: newOracle(), hash: fnv.New64a(),
	}
	steps, clients := 100+chance.IntN(400), 2+chance.IntN(7)
	w.config.MaxSteps = limited(steps, config.MaxSteps)
	w.config.MaxClients = limited(clients, config.MaxClients)
	w.options = engine.Options{
		Logger:            slog.New(slog.DiscardHandler),
		MaxBatchMutations: pick(chance, []int{1, 2, 5, 500}),
		MaxTailBytes:      pick(chance, []int{1, 1200, 4 << 20}),
		MaxKnownBytes:     pick(chance, []int{1, 600, 4 << 20}),
		ExpectAfter:       pick(chance, []int{-1, 1, engine.DefaultExpectAfter}),
		PullMaxAge:        pick(chance, []time.Duration{0, 0, time.Second}),
	}
	w.newRights()
	w.tighten(seeded(config.Seed, 0x719b7))
	for i := range 1 + chance.IntN(2) {
		w.spaces = append(w.spaces, protocol.SpaceID(fmt.Sprintf("s%d", i+1)))
	}
	w.keys = 6 + chance.IntN(45)
	w.actions = w.allActions()
	for i := range faultNames { // each run has some kinds of trouble only
		if chance.IntN(4) == 0 {
			w.without |= 1 << i
		}
	}
	return w
}

// tighten makes the bounds of one run in three so tight that batches are full, and spaces and
// tails are forgotten. Each mutation still has room for itself: a longer log than 4,000 bytes
// no run has.
func (w *world) tighten(chance *rand.Rand) {
	if chance.IntN(3) > 0 {
		return
	}
	w.options.MaxBatchBytes = pick(chance, []int{4000, 0})
	w.options.MaxMemoryBytes = pick(chance, []int64{1, 3000, 0})
	w.options.MaxSpaces = pick(chance, []int{1, 2, 0})
}

func limited(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

func pick[T any](chance *rand.Rand, list []T) T { return list[chance.IntN(len(list))] }

// one in n.
func (w *world) one(n int) bool { return w.chance.IntN(n) == 0 }

// may says whether a kind of trouble is part of this run.
func (w *world) may(f Fault) bool { return w.without&f == 0 && !w.healed }

func (w *world) begin() {
	w.start()
	for range w.config.MaxClients {
		if len(w.tabs) > 0 && w.one(3) {
			w.openTab(pick(w.chance, w.tabs))
			continue
		}
		w.openGroup(pick(w.chance, w.spaces))
	}
}

// start adds an instance, with random numbers of its own.
func (w *world) start() {
	w.born++
	i := &instance{
		number: w.born,
		store:  &store{world: w, instance: w.born, watches: map[protocol.SpaceID]*watch{}},
		shown:  map[protocol.SpaceID]int64{},
	}
	options := w.options
	options.Rand = source{seeded(w.config.Seed, w.born)}
	options.OnCommit = func(id protocol.SpaceID, h engine.Head) { i.hub.Notify(id, h.Version, h.Concerns()) }
	i.engine = engine.New(i.store, w.mutators, options)
	i.hub = newHub(i.engine)
	w.instances = append(w.instances, i)
	w.note("instance %d", w.born)
}

// seeded makes numbers that are the same each time.
func seeded(seed uint64, stream int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(stream))) //nolint:gosec // a seed must give the same run
}

// source makes random bytes.
type source struct{ *rand.Rand }

func (s source) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.Uint32() >> 24)
	}
	return len(p), nil
}

var _ io.Reader = source{}

func (w *world) newClient() protocol.ClientID {
	w.clients++
	return protocol.ClientID(fmt.Sprintf("c%d", w.clients))
}

// newGroup names a group and says who owns it.
func (w *world) newGroup(space protocol.SpaceID, user string) protocol.ClientGroupID {
	w.groups++
	g := protocol.ClientGroupID(fmt.Sprintf("g%d", w.groups))
	w.oracle.owners[g], w.oracle.made[g] = owner{user, space}, w.oracle.seq
	return g
}

func (w *world) enter(t *tab) *tab {
	w.oracle.groupOf[t.ID()] = t.Group()
	w.tabs = append(w.tabs, t)
	w.note("tab %s of %s in %s", t.ID(), t.Group(), t.space)
	return t
}

// openGroup adds the first tab of a browser.
func (w *world) openGroup(space protocol.SpaceID) *tab {
	user := userName(1 + w.chance.IntN(users))
	return w.enter(&tab{
		Client: replica.New(w.newClient(), w.newGroup(space, user)), space: space, user: user,
	})
}

// openTab adds a tab of the same browser, which begins with the other's state.
func (w *world) openTab(from *tab) {
	w.enter(&tab{Client: from.Fork(w.newClient()), space: from.space, user: from.user})
}

// reopen replaces a tab whose state the server has lost: the data stays, the group is
// new.
func (w *world) reopen(t *tab) {
	w.tabs = slices.DeleteFunc(w.tabs, func(u *tab) bool { return u == t })
	fork := t.Regroup(w.newClient(), w.newGroup(t.space, t.user))
	w.enter(&tab{Client: fork, space: t.space, user: t.user})
}

// settle waits until nothing goes on by itself, and takes in what has been finished.
func (w *world) settle() {
	w.wait()
	for _, l := range w.listeners {
		if w.one(2) { // the others are slow readers
			w.hear(l)
		}
	}
	slices.SortStableFunc(w.parked, func(a, b *call) int { return cmp.Compare(a.key, b.key) })
	slices.SortStableFunc(w.late, func(a, b *late) int { return cmp.Compare(a.key(), b.key()) })
	slices.SortFunc(w.finished, func(a, b *request) int { return cmp.Compare(a.number, b.number) })
	for _, r := range w.finished {
		w.open--
		r.over = true
		w.note("  done #%d: %s %v", r.number, r.answer, r.err)
		if !r.lost {
			w.judge(r)
			w.replies = append(w.replies, r)
		}
	}
	w.finished = nil
	slices.SortFunc(w.written, func(a, b written) int { return cmp.Compare(a.token, b.token) })
	for _, o := range w.written {
		w.judgeWrite(o)
	}
	w.written = nil
}

// unpark forgets a call; called with mu held.
func (w *world) unpark(c *call) {
	w.parked = slices.DeleteFunc(w.parked, func(d *call) bool { return d == c })
}

// release lets a parked call go on.
func (w *world) release(c *call, v verdict) {
	w.unpark(c)
	w.note("%s: %v", c.key, v)
	c.verdict <- v
}

// wait lets everybody else go on until they cannot.
func (w *world) wait() {
	w.mu.Unlock()
	defer w.mu.Lock()
	synctest.Wait()
}

// sleep lets time pass.
func (w *world) sleep(d time.Duration) {
	w.mu.Unlock()
	defer w.mu.Lock()
	time.Sleep(d) //nolint:forbidigo // time is virtual, and what goes on in it is the test
}

// report keeps the first violation.
func (w *world) report(v *Violation) {
	if v != nil && w.result.Violation == nil {
		v.Step = w.step
		w.result.Violation = v
		w.note("VIOLATION %v", v)
	}
}

// note adds a line to what has happened.
func (w *world) note(format string, a ...any) {
	line := fmt.Sprintf(format, a...)
	_, _ = io.WriteString(w.hash, line)
	if w.config.Trace {
		w.result.Trace = append(w.result.Trace, fmt.Sprintf("%4d %s", w.step, line))
	}
}

// end stops all engines, and requests that nobody would answer: a bubble must be empty when
// it ends.
func (w *world) end() {
	for len(w.instances) > 0 {
		w.kill(w.instances[0], false)
	}
	for _, r := range w.handled {
		r.cancel()
	}
	w.wait()
}

// kill ends an instance at once: nothing that it does from now on reaches a store or
// a client. Commits that it has sent may still be applied.
func (w *world) kill(i *instance, maybeApplied bool) {
	w.instances = slices.DeleteFunc(w.instances, func(j *instance) bool { return j == i })
	i.store.dead = true
	var own []*call
	for _, c := range w.parked {
		if c.instance == i.number {
			own = append(own, c)
		}
	}
	for _, c := range own {
		w.unpark(c)
		if maybeApplied && c.commit != nil && w.one(2) {
			w.late = append(w.late, c.commit)
		}
	}
	for _, c := range own {
		c.verdict <- fail
	}
	w.hangUp(i)
	gone, cancel := context.WithCancel(w.ctx)
	cancel()
	w.mu.Unlock()
	defer w.mu.Lock()
	i.hub.Close()
	_ = i.engine.Close(gone) // says that it was in a hurry
}
