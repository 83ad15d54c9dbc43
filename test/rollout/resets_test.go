package rollout_test

import (
	"fmt"
	"testing"
)

// testResets has operators of each program reset and collect a space that the other one
// serves too.
func testResets(t *testing.T, p programs) {
	t.Helper()
	d := newDatabase(t)
	before, now := d.start(p.before, "of before"), d.start(p.now, "of now")
	s := &stage{database: d, tabs: []*tab{newTab("ann", "s", "ann"), newTab("bob", "s", "bob")}}
	for n, operator := range []program{p.before, p.now} {
		s.play(3, before, now)
		away := s.tabs[0].sibling(fmt.Sprint("away-", n))
		s.play(3, before, now)
		d.operate(operator, "gc", "s", "--retention=1ns")
		settle(t, []*tab{away}, before, now) // its cookie is older than what was collected
		compare(t, string(away.ID()), away.view(), s.tabs[0].view())

		d.operate(operator, "reset", "s", "--yes")
		settle(t, s.tabs, before, now)
		for i, tab := range s.tabs {
			s.tabs[i] = open(tab.Client, tab.user, tab.space) // with nothing of its own
		}
		if view := same(t, s.tabs, before, now); len(view) > 0 {
			t.Errorf("after a reset there are %d entries", len(view))
		}
	}
	s.play(3, before, now)
	d.checkStored(p, "s")
}
