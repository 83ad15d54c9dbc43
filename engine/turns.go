package engine

import (
	"time"

	"github.com/replifire/replifire/protocol"
)

const (
	// yieldEvery is how long a space's worker commits without a pause although it
	// knows of no rival: one that always loses cannot tell us.
	yieldEvery = 250 * time.Millisecond
	// rivalMemory is after how many pauses that nobody used a rival is forgotten.
	rivalMemory = 3
	// maxYield bounds a pause.
	maxYield = 50 * time.Millisecond
	// firstYield is the pause of who has never lost a race, and so does not know how
	// long it takes to come back from that.
	firstYield = 4 * time.Millisecond
)

// turns shares a space with the other instances that write to it. Who has won a race
// could begin the next commit at once, from memory, while who has lost must read
// first, and would lose again and again. So the winner lets the time pass that it would
// need itself to come back, and the loser commits meanwhile. It belongs to the worker.
type turns struct {
	rivals   int           // pauses still to be made for them
	comeback time.Duration // from a lost race to the next commit, about
	lostAt   time.Time     // of the race that was lost last, until the next commit
	yielded  time.Time
}

// companyMemory is how long after the last push of another group a space is taken to
// be used by several.
const companyMemory = time.Second

// crowd remembers whether several groups push. It belongs to the worker.
type crowd struct {
	last protocol.ClientGroupID // whose push came last
	met  time.Time              // when another group's push came before or after it
}

// company notes whose pushes have come, and reports whether several groups push.
func (c *crowd) company(jobs []*job, now time.Time) bool {
	for _, j := range jobs {
		if c.last != "" && c.last != j.group {
			c.met = now
		}
		c.last = j.group
	}
	return now.Sub(c.met) < companyMemory
}

// lost notes a lost race.
func (t *turns) lost(now time.Time) { t.rivals, t.lostAt = rivalMemory, now }

// sending notes that a commit is sent.
func (t *turns) sending(now time.Time) {
	if t.lostAt.IsZero() {
		return
	}
	took := now.Sub(t.lostAt)
	if t.comeback == 0 {
		t.comeback = took
	}
	t.comeback = (3*t.comeback + took) / 4
	t.lostAt = time.Time{}
}

// pause is how long to wait before a commit that would follow another of ours.
func (t *turns) pause(now time.Time) time.Duration {
	switch {
	case t.rivals > 0:
		t.rivals--
	case t.yielded.IsZero():
		t.yielded = now
		return 0
	case now.Sub(t.yielded) < yieldEvery:
		return 0
	}
	t.yielded = now
	if t.comeback == 0 {
		return firstYield
	}
	return min(t.comeback+t.comeback/4, maxYield)
}
