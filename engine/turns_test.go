package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// distance is how far away a database is, and how fast.
type distance struct {
	name     string
	way      time.Duration // of a request, and of an answer
	commit   time.Duration // what it takes by itself
	document time.Duration // what each document adds to it
}

var distances = []distance{
	{"emulator", 300 * time.Microsecond, time.Millisecond, 30 * time.Microsecond},
	{"production", 4 * time.Millisecond, 10 * time.Millisecond, 100 * time.Microsecond},
}

// far is a store at a distance: its calls take virtual time, never the same, and commits
// are applied one after the other.
type far struct {
	engine.Store
	distance
	line chan struct{} // one slot, taken by the commit that is being applied
	done *done

	mu     *sync.Mutex
	chance *rand.Rand
}

// done is what a store was asked to do, from wherever.
type done struct{ commits, lost, reads, entries atomic.Int64 }

func (d *done) String() string {
	each := func(n *atomic.Int64) float64 { return float64(n.Load()) / float64(d.commits.Load()) }
	return fmt.Sprintf("%d commits of %.1f mutations, for each %.2f races lost and %.2f reads",
		d.commits.Load(), each(&d.entries), each(&d.lost), each(&d.reads))
}

func newFar(store engine.Store, d distance) *far {
	return &far{
		Store: store, distance: d, line: make(chan struct{}, 1),
		done: new(done), mu: new(sync.Mutex), chance: rand.New(rand.NewPCG(1, 2)),
	}
}

// slower is the same store, as seen from further away.
func (f *far) slower(times int) *far {
	g := *f
	g.way *= time.Duration(times)
	return &g
}

// take lets about d pass, seldom much more.
func (f *far) take(d time.Duration) {
	f.mu.Lock()
	d = time.Duration(float64(d) * (0.3 + 0.7*f.chance.ExpFloat64()))
	f.mu.Unlock()
	time.Sleep(d)
}

func (f *far) Snapshot(ctx context.Context, id protocol.SpaceID, d engine.Documents) (engine.Snapshot, error) {
	f.done.reads.Add(1)
	f.take(f.way)
	defer f.take(f.way)
	return f.Store.Snapshot(ctx, id, d)
}

func (f *far) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	f.take(f.way)
	defer f.take(f.way)
	f.line <- struct{}{}
	defer func() { <-f.line }()
	head, err := f.Store.Commit(ctx, id, c)
	if err != nil {
		f.done.lost.Add(1)
		return head, err
	}
	f.done.commits.Add(1)
	f.done.entries.Add(int64(len(c.Entries)))
	f.take(f.commit + time.Duration(len(c.Entries)+len(c.Clients))*f.document)
	return head, nil
}

// share is what pushers got done.
type share struct {
	all    int
	fewest int           // by one of them
	worst  time.Duration // that one push took
}

// compete has pushers of each engine push for a while, each as soon as its last push is
// answered, and says what each engine's got done.
func compete(t *testing.T, engines []*engine.Engine, pushers int, d time.Duration) []share {
	t.Helper()
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	shares := make([]share, len(engines))
	each := make([][]share, len(engines)) // of each pusher, which alone writes it
	for i, e := range engines {
		each[i] = make([]share, pushers)
		for p := range pushers {
			client := protocol.ClientID(fmt.Sprintf("c%d-%d", i, p))
			wg.Go(func() { each[i][p] = keepPushing(t, e, client, end) })
		}
	}
	wg.Wait()
	for i, s := range each {
		shares[i] = s[0]
		for _, o := range s[1:] {
			shares[i].all += o.all
			shares[i].fewest = min(shares[i].fewest, o.fewest)
			shares[i].worst = max(shares[i].worst, o.worst)
		}
	}
	return shares
}

// keepPushing is one pusher.
func keepPushing(t *testing.T, e *engine.Engine, client protocol.ClientID, end time.Time) (s share) {
	t.Helper()
	for id := int64(1); time.Now().Before(end); id++ {
		sent := time.Now()
		m := mutation(client, id, "put", put{fmt.Sprintf("%s-%d", client, id), 1})
		if err := e.Push(t.Context(), alice, pushOf("g1", m)); err != nil {
			t.Error(err)
			return s
		}
		s.all++
		s.fewest++
		s.worst = max(s.worst, time.Since(sent))
		time.Sleep(time.Millisecond)
	}
	return s
}

// TestInstancesTakeTurns: instances that write to one space have like shares of it, also
// one for which the database is twice as far, and together they do at least three
// fifths of what one alone does: half, if one of them is that slow.
func TestInstancesTakeTurns(t *testing.T) {
	t.Parallel()
	for _, d := range distances {
		for _, pushers := range []int{4, 32} {
			for _, slow := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s, %d pushers, %d times as far", d.name, pushers, slow), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { takeTurns(t, d, pushers, slow) })
				})
			}
		}
	}
}

func takeTurns(t *testing.T, d distance, pushers, slow int) {
	t.Helper()
	const window = 5 * time.Second
	single, store := newFar(memory.New(), d), newFar(fresh(t), d)
	alone := compete(t, []*engine.Engine{start(t, single, engine.Options{})}, 2*pushers, window)[0]
	got := compete(t, []*engine.Engine{
		start(t, store, engine.Options{}), start(t, store.slower(slow), engine.Options{}),
	}, pushers, window)
	t.Logf("one alone: %+v, %v; two: %+v, %v", alone, single.done, got, store.done)
	all := got[0].all + got[1].all
	// A slow one makes the other wait while it is its turn.
	if want := alone.all * (7 - slow) / 10; all < want {
		t.Errorf("two instances did %d, want %d of what one does, %d", all, want, alone.all)
	}
	least, longest := all/(2*pushers)/(2*slow), time.Duration(slow)*500*time.Millisecond
	for i, s := range got {
		if s.fewest < least || s.worst > longest {
			t.Errorf("instance %d: %+v, want at least %d, and none above %v", i, s, least, longest)
		}
	}
}
