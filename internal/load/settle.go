package load

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

const (
	// checkEvery is how often it is looked whether anything is still pending.
	checkEvery = 50 * time.Millisecond
	// pushEvery is after how many of these a client with pending mutations pushes
	// and pulls again, as a user does who goes on working.
	pushEvery = 10
	// maxAnswers bounds the pulls of a client whose server always has something new.
	maxAnswers = 10
	// parallel is how many clients catch up at the same time.
	parallel = 16
)

// drain returns when no mutation is pending and no push under way, or after Config.Settle.
func (r *run) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Settle)
	defer cancel()
	for n := 0; ctx.Err() == nil; n++ {
		left := r.busy()
		if len(left) == 0 {
			return
		}
		if n%pushEvery == 0 {
			for _, c := range left {
				signal(c.toPush)
				signal(c.toPull)
			}
		}
		wait(ctx, checkEvery, nil)
	}
}

// busy are the clients with mutations pending or a push under way.
func (r *run) busy() []*client {
	var list []*client
	for _, c := range r.clients[:r.config.Clients] {
		c.mu.Lock()
		if len(c.state.Pending()) > 0 || c.pushing {
			list = append(list, c)
		}
		c.mu.Unlock()
	}
	return list
}

// compare brings every client up to date, once nothing else is going on, and holds
// it against a fresh client of its space. It takes at most Config.Settle.
func (r *run) compare(ctx context.Context) []Space {
	ctx, cancel := context.WithTimeout(ctx, r.config.Settle)
	defer cancel()
	r.catchUp(ctx)
	writers := map[protocol.ClientGroupID][]*client{}
	for _, c := range r.clients[:r.config.Clients] {
		writers[c.state.Group()] = append(writers[c.state.Group()], c)
	}
	var list []Space
	for _, s := range r.spaces {
		list = append(list, s.compare(ctx, writers))
	}
	return list
}

// catchUp pulls with every client until nothing is new.
func (r *run) catchUp(ctx context.Context) {
	work := make(chan *client)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for c := range work {
				if !c.catchUp(ctx) {
					r.problem("client %s could not catch up", c.state.ID())
				}
			}
		})
	}
	for _, c := range r.clients {
		work <- c
	}
	close(work)
	wg.Wait()
}

// catchUp pulls until the server says that nothing is new, at most maxAnswers times
// if it never says so.
func (c *client) catchUp(ctx context.Context) bool {
	for answers := 0; answers < maxAnswers && ctx.Err() == nil; {
		outcome, ok := c.pullOnce(ctx)
		switch {
		case !ok:
			wait(ctx, minDelay, nil)
		case outcome == replica.Unchanged:
			return true
		case outcome == replica.Unsupported:
			return false
		default:
			answers++
		}
	}
	return ctx.Err() == nil
}

// compare holds the clients of a space against a fresh one and each other.
func (s *space) compare(ctx context.Context, writers map[protocol.ClientGroupID][]*client) Space {
	result := Space{Name: string(s.id), Clients: len(s.clients)}
	first := s.clients[0]
	fresh := &client{
		service: first.service, space: s, toPull: make(chan struct{}, 1), room: make(chan struct{}, 1),
		state:  replica.New(protocol.ClientID(newID()), first.state.Group()),
		ledger: ledger{meter: s.run.meter},
	}
	if !fresh.catchUp(ctx) {
		s.run.problem("space %s: a fresh client could not pull", s.id)
		return result
	}
	want := summarize(fresh.state.View())
	at := positionOf(fresh.state.Cookie())
	result.Entries, result.Version = want.entries, at.version
	for _, c := range s.clients {
		c.compareView(want, at)
		c.compareIDs(writers[c.state.Group()])
	}
	s.compareKeys(fresh)
	return result
}

// compareView checks that the client sees what a fresh one sees.
func (c *client) compareView(want summary, at position) {
	id, got := c.state.ID(), summarize(c.state.View())
	switch {
	case got.entries != want.entries:
		c.run.problem("space %s: client %s sees %d entries, a fresh one %d", c.space.id, id, got.entries, want.entries)
	case got != want:
		c.run.problem("space %s: client %s sees other values than a fresh one", c.space.id, id)
	}
	if here := positionOf(c.state.Cookie()); here != at {
		c.run.problem("space %s: client %s is at version %d, epoch %q, a fresh one at %d, %q",
			c.space.id, id, here.version, here.epoch, at.version, at.epoch)
	}
}

// compareIDs checks that the client knows of each client of its group that all it
// issued, and no more, is confirmed.
func (c *client) compareIDs(writers []*client) {
	known := c.state.LastMutationIDs()
	for _, w := range writers {
		if got, want := known[w.state.ID()], w.last(); got != want {
			c.run.problem("space %s: client %s sees mutations of client %s confirmed up to %d of %d",
				c.space.id, c.state.ID(), w.state.ID(), got, want)
		}
	}
}

// last is the id of the client's last mutation.
func (c *client) last() int64 {
	if pending := c.state.Pending(); len(pending) > 0 {
		return pending[len(pending)-1].ID
	}
	return c.state.Confirmed()
}

// compareKeys checks that confirmed mutations left the keys that they should have.
func (s *space) compareKeys(fresh *client) {
	if len(s.expected) == 0 {
		return
	}
	var keys []uint64
	for key := range fresh.state.View() {
		keys = append(keys, sum64([]byte(key)))
	}
	slices.Sort(keys)
	missing := 0
	for _, want := range s.expected {
		if _, found := slices.BinarySearch(keys, want); !found {
			missing++
		}
	}
	if missing > 0 {
		s.run.problem("space %s: %d of %d confirmed mutations left no entry", s.id, missing, len(s.expected))
	}
}
