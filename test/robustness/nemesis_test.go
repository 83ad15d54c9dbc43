package robustness_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/faulttcp"
	"github.com/replifire/replifire/internal/history"
)

// callsWithin is how soon a call of a server under load fails if they are to: sooner, unless
// the machine is very busy.
const callsWithin = time.Minute

// nemesis does things to the servers, one after another, by a seed.
type nemesis struct {
	servers  []*server
	calls    []*faultrpc.Injector // of the servers to the emulator, in a round
	chance   *rand.Rand
	recorder *history.Recorder
	// flying is how many pushes are under way at each server.
	flying []*atomic.Int64

	counts map[string]int
	// caught is how many of the kills met at least one push under way.
	caught atomic.Int64
}

func newNemesis(servers []*server, recorder *history.Recorder, seed uint64) *nemesis {
	return &nemesis{
		servers: servers, recorder: recorder, counts: map[string]int{},
		chance: rand.New(rand.NewPCG(seed, 0)), flying: []*atomic.Int64{{}, {}},
	}
}

// action is something that a nemesis does to server i.
type action struct {
	name string
	do   func(*nemesis, context.Context, int)
}

// actions are all of them, but "kill", which comes in between.
func actions() []action {
	return []action{
		{"SIGTERM", (*nemesis).restart},
		{"SIGSTOP", (*nemesis).freeze},
		{"kill both", (*nemesis).killBoth},
		{"rolling restart", (*nemesis).roll},
		front("front latency", func(c *rand.Rand) faulttcp.Trouble { return faulttcp.Trouble{Latency: millis(c, 100)} }),
		front("front stall", func(*rand.Rand) faulttcp.Trouble { return faulttcp.Trouble{Stall: true} }),
		front("front slow", func(*rand.Rand) faulttcp.Trouble { return faulttcp.Trouble{Slow: true} }),
		front("front refuse", func(*rand.Rand) faulttcp.Trouble { return faulttcp.Trouble{Refuse: true} }),
		front("front cut", func(c *rand.Rand) faulttcp.Trouble {
			return faulttcp.Trouble{CutAfter: 1 + c.Int64N(2000)}
		}),
		{"front reset", func(n *nemesis, _ context.Context, i int) { n.servers[i].front.Reset() }},
		back("back latency", func(c *rand.Rand) faulttcp.Trouble { return faulttcp.Trouble{Latency: millis(c, 100)} }),
		back("back stall", func(*rand.Rand) faulttcp.Trouble { return faulttcp.Trouble{Stall: true} }),
		back("back slow", func(*rand.Rand) faulttcp.Trouble { return faulttcp.Trouble{Slow: true} }),
		back("back cut", func(c *rand.Rand) faulttcp.Trouble {
			return faulttcp.Trouble{CutAfter: 1 + c.Int64N(2000)}
		}),
		{"back reset", func(n *nemesis, _ context.Context, i int) { n.servers[i].back.Reset() }},
		{"RPC errors", (*nemesis).breakCalls},
	}
}

// callTrouble is what becomes of the calls of a server while they are broken: commits are
// applied and said to have failed, or are not sent; reads are never answered; reads and
// watches end in the middle.
func callTrouble() []faultrpc.Rule {
	return []faultrpc.Rule{
		{Method: "Commit", Kind: faultrpc.FailAfter, Percent: 30, Codes: faultrpc.LostReply()},
		{Method: "Commit", Kind: faultrpc.FailBefore, Percent: 10},
		{Method: "BeginTransaction", Kind: faultrpc.FailBefore, Percent: 5},
		{Method: "BatchGetDocuments", Kind: faultrpc.FailAfter, Percent: 5},
		{Method: "BatchGetDocuments", Kind: faultrpc.Drop, Percent: 1},
		{Method: "RunQuery", Kind: faultrpc.Cut, Percent: 10, Messages: 10},
		{Method: "Listen", Kind: faultrpc.FailBefore, Percent: 30},
		{Method: "Listen", Kind: faultrpc.Cut, Percent: 50, Messages: 5},
		{Kind: faultrpc.Delay, Percent: 10, Delay: 20 * time.Millisecond},
	}
}

// breakCalls breaks the calls of a server for a while, until some have failed. The watches
// that it has begin again, so that there are some to break.
func (n *nemesis) breakCalls(ctx context.Context, i int) {
	before := failures(n.calls[i])
	n.calls[i].SetRules(callTrouble()...)
	n.servers[i].back.Reset()
	wait(ctx, millis(n.chance, 2000))
	broken := func() bool { return failures(n.calls[i]) > before }
	if !await(ctx, callsWithin, broken) && ctx.Err() == nil {
		n.servers[i].t.Errorf("no RPC of a server under load has failed within %v, though they are to", callsWithin)
	}
	n.calls[i].Heal()
}

// failures is how many calls were said to have failed.
func failures(i *faultrpc.Injector) int {
	broken := i.Injected()
	return broken[faultrpc.FailBefore] + broken[faultrpc.FailAfter]
}

func millis(c *rand.Rand, most int) time.Duration {
	return time.Duration(1+c.IntN(most)) * time.Millisecond
}

// front is trouble between clients and server for a while.
func front(name string, draw func(*rand.Rand) faulttcp.Trouble) action {
	return trouble(name, draw, func(s *server) *faulttcp.Proxy { return s.front })
}

// back is trouble between server and emulator.
func back(name string, draw func(*rand.Rand) faulttcp.Trouble) action {
	return trouble(name, draw, func(s *server) *faulttcp.Proxy { return s.back })
}

func trouble(name string, draw func(*rand.Rand) faulttcp.Trouble, where func(*server) *faulttcp.Proxy) action {
	return action{name, func(n *nemesis, ctx context.Context, i int) {
		p := where(n.servers[i])
		t := draw(n.chance)
		p.SetTrouble(t)
		if t.Refuse {
			p.Reset() // clients would keep the connections that they have, and not notice
		}
		wait(ctx, millis(n.chance, 1000))
		p.SetTrouble(faulttcp.Trouble{})
	}}
}

// run does one thing after another for that time, with the kills spread evenly between, and
// on until there were enough of them: a busy machine is slow to start a server again. In the
// end everything is healed.
func (n *nemesis) run(ctx context.Context, lasts time.Duration) {
	all := actions()
	began := time.Now()
	goesOn := func() bool { return time.Since(began) < lasts || n.caught.Load() < int64(*killsFlag) }
	for turn := 0; goesOn() && wait(ctx, millis(n.chance, 300)); turn++ {
		if turn%len(all) == 0 {
			n.chance.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		}
		n.act(ctx, all[turn%len(all)])
		// The last one is due somewhat before the end.
		due := float64(*killsFlag)*float64(time.Since(began))/(0.9*float64(lasts)) + 1
		if float64(n.caught.Load()) < due && ctx.Err() == nil {
			n.act(ctx, action{"kill", (*nemesis).killOne})
		}
	}
	n.recorder.Fault("all is well")
}

func (n *nemesis) act(ctx context.Context, a action) {
	i := n.chance.IntN(len(n.servers))
	n.recorder.Fault(fmt.Sprintf("%s %d", a.name, i))
	n.counts[a.name]++
	a.do(n, ctx, i)
	n.recorder.Fault(a.name + " over")
}

// killOne kills a server with pushes under way, if any come soon, and starts it again,
// half of the time with the network to the emulator late, so that what it sent may arrive
// after its death.
func (n *nemesis) killOne(ctx context.Context, i int) {
	s := n.servers[i]
	if n.chance.IntN(2) == 0 {
		s.back.SetTrouble(faulttcp.Trouble{Latency: millis(n.chance, 50)})
	}
	await(ctx, time.Second, func() bool { return n.flying[i].Load() > 0 })
	n.catch(i)
	s.kill()
	s.back.SetTrouble(faulttcp.Trouble{})
	n.absence(ctx, i)
}

// absence leaves a server away for a while, with its clients sent to the other one or
// nowhere, and starts it again.
func (n *nemesis) absence(ctx context.Context, i int) {
	s := n.servers[i]
	if n.chance.IntN(2) == 0 {
		s.front.SetTargets(n.servers[(i+1)%len(n.servers)].address)
	}
	wait(ctx, millis(n.chance, 300))
	s.start()
	s.front.SetTargets(s.address)
}

// catch counts a server that is about to be killed, if it has pushes under way.
func (n *nemesis) catch(i int) {
	if n.flying[i].Load() > 0 {
		n.caught.Add(1)
	}
}

func (n *nemesis) killBoth(context.Context, int) {
	for i := range n.servers {
		n.catch(i) // before the signals: a push at a server that is dead is not under way
	}
	for _, s := range n.servers {
		s.signal(syscall.SIGKILL)
	}
	for _, s := range n.servers {
		<-s.process.done
		s.start()
	}
}

func (n *nemesis) restart(ctx context.Context, i int) {
	n.servers[i].stop(false)
	n.absence(ctx, i)
}

// roll is a deployment: each server is replaced by the other build, while the other
// takes its clients.
func (n *nemesis) roll(context.Context, int) {
	for i, s := range n.servers {
		s.front.SetTargets(n.servers[(i+1)%len(n.servers)].address)
		s.stop(false)
		s.start()
		s.front.SetTargets(s.address)
	}
}

func (n *nemesis) freeze(ctx context.Context, i int) {
	s := n.servers[i]
	s.signal(syscall.SIGSTOP)
	wait(ctx, millis(n.chance, 2000))
	s.signal(syscall.SIGCONT)
}
