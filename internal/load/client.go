package load

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

// The real client's back-off (protocol.md §1.4).
const (
	minDelay = 30 * time.Millisecond
	maxDelay = time.Minute
	// maxSettleDelay is the longest while the run settles, like that of a client whose
	// user comes back to its window.
	maxSettleDelay = time.Second
)

// client is one simulated client: a goroutine that pushes, one that pulls, and one
// that mutates. It has at most one push and one pull under way.
type client struct {
	service
	space *space
	// other measures when another client of the space is poked; nil: there is none.
	other *observer
	// random is only for the goroutine that mutates.
	random *rand.Rand

	// Signals, each of room for one: there is something to push, to pull, and fewer
	// mutations wait to be confirmed.
	toPush, toPull, room chan struct{}

	mu sync.Mutex // guards what follows
	// state is replaced when the server says that it has lost it.
	state   *replica.Client
	ledger  ledger
	pushing bool
	// issued is how many mutations there have been, lost states included.
	issued int64
}

// signal leaves a message if there is none yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wait returns after a time, or when ctx or early ends.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-ctx.Done():
	}
}

// loop calls send when signalled, and again after a back-off until it succeeds.
func (c *client) loop(ctx context.Context, signalled <-chan struct{}, send func(context.Context) bool) {
	for {
		select {
		case <-signalled:
		case <-ctx.Done():
			return
		}
		for delay := minDelay; !send(ctx) && ctx.Err() == nil; delay *= 2 {
			if early, settling := c.run.settling(); settling {
				wait(ctx, min(delay, maxSettleDelay), nil)
			} else {
				wait(ctx, min(delay, maxDelay), early)
			}
		}
	}
}

// push sends everything that is pending, and reports whether the client is content.
func (c *client) push(ctx context.Context) bool {
	state, pending, body := c.beginPush()
	if body == nil {
		return true
	}
	x := Exchange{Push: true, Mutations: pending, Begins: true}
	c.record(state, x)
	x.Answer, x.OK = c.post(ctx, kindPush, body)
	x.Begins = false
	c.record(state, x)
	return c.endPush(state, pending[len(pending)-1].ID, x.Answer, x.OK)
}

func (c *client) beginPush() (state *replica.Client, pending []replica.Mutation, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body = c.state.PushRequest()
	if body == nil {
		return nil, nil, nil
	}
	pending = slices.Clip(c.state.Pending()) // what is appended to it goes elsewhere
	c.ledger.sent, c.pushing = max(c.ledger.sent, pending[len(pending)-1].ID), true
	return c.state, pending, body
}

// endPush takes the answer to a push of everything up to an id.
func (c *client) endPush(state *replica.Client, last int64, answer []byte, ok bool) bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pushing = false
	if c.state != state {
		return true // a pull has told that this state is lost
	}
	if ok {
		switch errorOf(answer) {
		case protocol.KindClientStateNotFound:
			c.lose()
			return true
		case protocol.KindVersionNotSupported:
			c.run.violation(state.ID(), ruleUnsupported, ruleUnsupported)
			return true
		}
		c.ledger.acknowledge(last, now)
	}
	c.ledger.done(false, c.await)
	return ok
}

// errorOf is the error that an answer of status 200 tells of, "" for none that the
// real client knows.
func errorOf(answer []byte) protocol.ErrorKind {
	var body struct{ Error protocol.ErrorKind }
	if json.Unmarshal(answer, &body) != nil {
		return ""
	}
	return body.Error
}

// pull asks for what is new, and reports whether the client is content.
func (c *client) pull(ctx context.Context) bool {
	outcome, ok := c.pullOnce(ctx)
	return ok && outcome != replica.Lost
}

// pullOnce reports what an answer did; ok is false if there was none, or one that
// breaks the protocol.
func (c *client) pullOnce(ctx context.Context) (outcome replica.Outcome, ok bool) {
	c.mu.Lock()
	state, asked, body := c.state, c.state.Cookie(), c.state.PullRequest()
	c.mu.Unlock()
	x := Exchange{Asked: asked, Begins: true}
	c.record(state, x)
	x.Answer, x.OK = c.post(ctx, kindPull, body)
	x.Begins, x.Outcome = false, replica.Refused
	defer func() { c.record(state, x) }()
	if !x.OK {
		return x.Outcome, false
	}
	answer := rewrite(x.Answer, c.run.config.View, c.run.hashes)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	x.Outcome = replica.Dropped
	if c.state != state {
		return x.Outcome, true // a push has told that this state is lost
	}
	x.Outcome, x.Err = c.state.Apply(asked, answer)
	return c.applied(x.Outcome, x.Err, now)
}

// applied goes on from what the state made of an answer.
func (c *client) applied(outcome replica.Outcome, err error, now time.Time) (replica.Outcome, bool) {
	if err != nil {
		c.run.refused(c.state.ID(), err)
		return outcome, false
	}
	switch outcome { //nolint:exhaustive // the others change nothing
	case replica.Applied:
		c.confirm(now)
	case replica.Lost:
		c.lose()
	case replica.Unsupported:
		c.run.violation(c.state.ID(), ruleUnsupported, ruleUnsupported)
	}
	return outcome, true
}

// confirm counts what the state just applied confirms.
func (c *client) confirm(now time.Time) {
	id := c.state.Confirmed()
	if id > c.ledger.sent {
		text := fmt.Sprintf("mutation %d is confirmed, and none after %d was sent", id, c.ledger.sent)
		c.run.violation(c.state.ID(), ruleNeverSent, text)
	}
	at := positionOf(c.state.Cookie())
	c.space.expect(c.ledger.confirm(id, at.version, now))
	c.ledger.done(c.pushing, c.await)
	signal(c.room)
}

func (c *client) await(version int64, answered time.Time) {
	if c.other != nil {
		c.other.await(version, answered)
	}
}

// lose begins again as a new client of a new group that keeps the old one's data and
// cookie, as the real client does (protocol.md §2.1).
func (c *client) lose() {
	c.run.meter.lostClients.Add(1)
	n := c.ledger.abandon()
	c.run.problem("client %s: the server lost its state, and %d mutations with it", c.state.ID(), n)
	c.state = c.state.Regroup(protocol.ClientID(newID()), protocol.ClientGroupID(newID()))
	signal(c.toPull)
	signal(c.room)
}

// position is what a cookie tells of the state it stands for.
type position struct {
	version int64
	epoch   string
}

// positionOf reads a cookie of replifire's, or one that is a number; zero: neither.
func positionOf(cookie json.RawMessage) position {
	if parsed, err := protocol.ParseCookie(cookie); err == nil && parsed.Ours {
		return position{parsed.Version, parsed.Epoch}
	}
	var n int64
	if json.Unmarshal(cookie, &n) != nil {
		return position{}
	}
	return position{version: n}
}
