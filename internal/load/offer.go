package load

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// offer issues mutations until ctx ends.
func (c *client) offer(ctx context.Context, index int) {
	if c.run.config.Rate > 0 {
		c.offerOpen(ctx, index)
	} else {
		c.offerClosed(ctx)
	}
}

// offerClosed keeps so many mutations unconfirmed.
func (c *client) offerClosed(ctx context.Context) {
	for ctx.Err() == nil {
		if c.waiting() >= c.run.config.Pending {
			select {
			case <-c.room:
			case <-ctx.Done():
			}
			continue
		}
		if c.run.config.Think > 0 {
			wait(ctx, c.run.config.Think, nil)
			if ctx.Err() != nil {
				return
			}
		}
		c.mutate(time.Now(), 1)
	}
}

// offerOpen issues this client's share of the rate by a schedule that began with the
// run, whatever becomes of the mutations. Clients take turns. After a burst of so many
// there are so many pauses.
func (c *client) offerOpen(ctx context.Context, index int) {
	pause := time.Duration(float64(time.Second) / c.run.config.Rate * float64(c.run.config.Clients))
	shift := pause * time.Duration(index) / time.Duration(c.run.config.Clients)
	// The first due time from now on that is on the schedule.
	missed := (time.Since(c.run.start) - shift + pause - 1) / pause
	due := c.run.start.Add(shift + max(missed, 0)*pause) //nolint:durationcheck // missed is a number of pauses
	for {
		if early := time.Until(due); early > 0 {
			wait(ctx, early, nil)
		}
		if ctx.Err() != nil {
			return
		}
		burst := c.burst()
		c.run.meter.lag.record(time.Since(due), c.run.meter.window.has(due))
		if c.waiting() >= c.run.config.Backlog {
			c.run.meter.shed.Add(int64(burst))
		} else {
			c.mutate(due, burst)
		}
		due = due.Add(pause * time.Duration(burst))
	}
}

// burst is from 1 to Config.Burst, each doubling as likely as the other ones.
func (c *client) burst() int {
	most := c.run.config.Burst
	if most == 1 {
		return 1
	}
	return min(int(math.Pow(float64(most+1), c.random.Float64())), most)
}

// waiting is how many mutations are not confirmed.
func (c *client) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.state.Pending())
}

// mutate issues n mutations that were due at that time, at once, so that the next push
// has them all.
func (c *client) mutate(due time.Time, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.issue(due)
	}
	signal(c.toPush)
}

// issue is called under mu.
func (c *client) issue(due time.Time) {
	t := c.run.config.Templates.choose(c.random)
	c.issued++
	v := values{
		identity: Identity{Space: c.identity.Space, Group: c.state.Group(), Client: c.state.ID()},
		seq:      c.issued,
		uuid:     newUUID(),
		random:   c.random,
		elapsed:  time.Since(c.run.start),
	}
	m := c.state.Mutate(t.name, t.renderArgs(&v), time.Now())
	c.ledger.issue(m.ID, due, t.renderExpect(&v))
}

// newRandom is the source of client n's choices.
func newRandom(seed uint64, n int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(n))) //nolint:gosec // no secret
}
