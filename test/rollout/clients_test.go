package rollout_test

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"
)

// testClients rolls out and back: the earlier program alone, both, this one alone, both
// again, and the earlier one alone on what this one has written. Clients write all the
// time, and each request of each goes to the next instance.
func testClients(t *testing.T, p programs) {
	t.Helper()
	d := newDatabase(t)
	s := &stage{database: d}
	ann, bob := newTab("ann", "s", "ann"), newTab("bob", "s", "bob")
	s.tabs = []*tab{ann, bob}

	before := d.start(p.before, "of before")
	s.play(4, before)
	s.tabs = append(s.tabs, ann.sibling("ann-2"))
	now := d.start(p.now, "of now")
	s.play(8, before, now)
	before.stop()
	s.tabs = append(s.tabs, newTab("cid", "s", "cid"), bob.sibling("bob-2"))
	s.play(4, now)
	before = d.start(p.before, "of before, started again")
	s.play(8, now, before)
	now.stop()
	s.tabs = append(s.tabs, newTab("dora", "s", "dora"))
	s.play(4, before)
	for _, tab := range s.tabs {
		if tab.clears > 1 {
			t.Errorf("%s was sent everything %d times, want only the first", tab.ID(), tab.clears)
		}
	}
	d.checkStored(p, "s")
}

// stage is where tabs play.
type stage struct {
	*database

	tabs   []*tab
	rounds int
}

// play has all tabs write for some rounds at the same time, and checks what comes of it.
func (s *stage) play(rounds int, instances ...*instance) {
	s.Helper()
	all := balance(instances...)
	var group errgroup.Group
	for _, tab := range s.tabs {
		group.Go(func() error { return tab.play(s.rounds, rounds, all) })
	}
	if err := group.Wait(); err != nil {
		s.Fatal(err)
	}
	s.rounds += rounds
	settle(s.T, s.tabs, instances...)
	view := same(s.T, s.tabs, instances...)
	for _, tab := range s.tabs {
		tab.check(s.T, view)
	}
}

func (c *tab) play(from, rounds int, at *balancer) error {
	for round := from; round < from+rounds; round++ {
		c.write(round)
		if err := c.push(at); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := c.pull(at); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}
