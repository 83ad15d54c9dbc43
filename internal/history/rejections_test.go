package history_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/history"
)

// creations is a push of r-c1 that creates the same message again and again: all are refused
// but the first.
func creations(from, to int) string {
	var list []string
	for id := from; id <= to; id++ {
		list = append(list, fmt.Sprintf(
			`{"id":%d,"name":"createMessage","args":{"id":"r-c1-a","from":"x","content":"%d","order":1}}`, id, id))
	}
	return fmt.Sprintf(`{"type":"invoke","op":"push","space":"s","group":"g","client":"r-c1","last":%d,"mutations":[%s]}`,
		to, strings.Join(list, ","))
}

// lost is the outcome of a pull whose answer did not come.
const lost = "lost"

// pulled is a pull of a tab of r-c1's group.
type pulled struct {
	client  string // "" is r-c1
	outcome string // "" is applied
	epoch   string // "" is e
	version int
	at      time.Duration // since the history began
	anew    bool
	last    int // of r-c1's mutations; 0: no change
	// told are r-c1's rejections.
	told   []int
	reason string // "" is the one of createMessage
}

// String is the two lines of it.
func (p pulled) String() string {
	line := fmt.Sprintf(`"op":"pull","space":"s","group":"g","client":%q`, cmp.Or(p.client, "r-c1"))
	begins := fmt.Sprintf(`{"type":"invoke",%s}`, line)
	if p.outcome == lost {
		return begins + "\n" + fmt.Sprintf(`{"type":"info",%s}`, line)
	}
	ends := fmt.Sprintf(`{"type":"ok","at":%d,%s,"outcome":%q,"answer":%s}`,
		p.at, line, cmp.Or(p.outcome, "applied"), p.answer())
	return begins + "\n" + ends
}

func (p pulled) answer() string {
	list, changes, patch := []string{}, "", ""
	for _, id := range p.told {
		list = append(list, fmt.Sprintf(`{"id":%d,"name":"createMessage","reason":%q}`, id, cmp.Or(p.reason, "exists")))
	}
	if p.last > 0 {
		changes = fmt.Sprintf(`"r-c1":%d`, p.last)
	}
	if p.anew {
		patch = `{"op":"clear"},{"op":"put","key":"message/r-c1-a","value":{"from":"x","content":"1","order":1}}`
	}
	return fmt.Sprintf(`{"cookie":{"order":%d,"version":%d,"epoch":%q},"lastMutationIDChanges":{%s},`+
		`"rejections":{"r-c1":[%s]},"patch":[%s]}`,
		p.version, p.version, cmp.Or(p.epoch, "e"), changes, strings.Join(list, ","), patch)
}

// ids are those from one to another.
func ids(from, to int) (list []int) {
	for id := from; id <= to; id++ {
		list = append(list, id)
	}
	return list
}

// story is what happens after three creations and the first pull that shows them.
type story []any

// broken are the invariants that it breaks.
func (s story) broken(t *testing.T) []history.Invariant {
	t.Helper()
	lines := []string{creations(1, 3), fmt.Sprint(pulled{version: 1, anew: true, last: 3, told: ids(2, 3)})}
	for _, line := range s {
		lines = append(lines, fmt.Sprint(line))
	}
	broken, _ := judge(t, strings.Join(lines, "\n"))
	return broken
}

// TestRejections: what a network, a resync or a reset makes of the telling is fine.
func TestRejections(t *testing.T) {
	t.Parallel()
	const kept = engine.MaxRejections
	for name, s := range map[string]story{
		"since the cookie": {creations(4, 5), pulled{version: 2, last: 5, told: ids(4, 5)}},
		"again after a lost answer": {
			creations(4, 4), pulled{outcome: lost}, pulled{version: 2, last: 4, told: ids(4, 4)},
		},
		"in both of two that overlap": {
			creations(4, 4),
			pulled{version: 2, last: 4, told: ids(4, 4)},
			pulled{outcome: "dropped", version: 2, last: 4, told: ids(4, 4)},
		},
		"to each tab": {
			pulled{client: "r-c2", version: 1, anew: true, last: 3, told: ids(2, 3)},
			creations(4, 4),
			pulled{version: 2, last: 4, told: ids(4, 4)},
			pulled{client: "r-c2", version: 2, last: 4, told: ids(4, 4)},
		},
		"all to a tab that begins": {
			creations(4, 4),
			pulled{version: 2, last: 4, told: ids(4, 4)},
			pulled{client: "r-c2", version: 2, anew: true, last: 4, told: ids(2, 4)},
		},
		"all at a full resync": {creations(4, 4), pulled{version: 2, anew: true, last: 4, told: ids(2, 4)}},
		"none at a full resync long after": {
			creations(4, 4), pulled{version: 2, anew: true, last: 4, at: 2 * time.Hour},
		},
		"all at a full resync long after": {
			creations(4, 4), pulled{version: 2, anew: true, last: 4, told: ids(2, 4), at: 2 * time.Hour},
		},
		"all after a reset": {
			creations(4, 4), pulled{epoch: "f", version: 2, anew: true, last: 4, told: ids(2, 4)},
		},
		"none after a reset":  {creations(4, 4), pulled{epoch: "f", version: 2, anew: true, last: 4}},
		"as many as are kept": {creations(4, 3+kept), pulled{version: 2, last: 3 + kept, told: ids(4, 3+kept)}},
		"the last of many":    {creations(4, 40), pulled{version: 2, last: 40, told: ids(41-kept, 40)}},
		"the last of many at a full resync": {
			creations(4, 40),
			pulled{version: 2, last: 30, told: ids(31-kept, 30)},
			pulled{version: 3, anew: true, last: 40, told: ids(41-kept, 40)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if broken := s.broken(t); len(broken) > 0 {
				t.Errorf("it breaks %v", broken)
			}
		})
	}
}

// TestRejectionsToldWrongly: what only looks like that is not.
func TestRejectionsToldWrongly(t *testing.T) {
	t.Parallel()
	const kept = engine.MaxRejections
	for name, s := range map[string]story{
		"only some":           {creations(4, 5), pulled{version: 2, last: 5, told: ids(5, 5)}},
		"in another order":    {creations(4, 5), pulled{version: 2, last: 5, told: []int{5, 4}}},
		"twice in an answer":  {creations(4, 4), pulled{version: 2, last: 4, told: []int{4, 4}}},
		"older ones again":    {creations(4, 4), pulled{version: 2, last: 4, told: ids(2, 4)}},
		"for another reason":  {creations(4, 4), pulled{version: 2, last: 4, told: ids(4, 4), reason: "absent"}},
		"in a lost answer":    {creations(4, 4), pulled{outcome: lost}, pulled{version: 2, last: 4}},
		"more than are kept":  {creations(4, 40), pulled{version: 2, last: 40, told: ids(40-kept, 40)}},
		"fewer than are kept": {creations(4, 40), pulled{version: 2, last: 40, told: ids(42-kept, 40)}},
		"in the one of two that is dropped": {
			creations(4, 4), pulled{outcome: "dropped", version: 2, last: 4, told: ids(4, 4)}, pulled{version: 2, last: 4},
		},
		"to one tab of two": {
			pulled{client: "r-c2", version: 1, anew: true, last: 3, told: ids(2, 3)},
			creations(4, 4),
			pulled{version: 2, last: 4, told: ids(4, 4)},
			pulled{client: "r-c2", version: 2, last: 4},
		},
		"not all to a tab that begins": {
			creations(4, 4),
			pulled{version: 2, last: 4, told: ids(4, 4)},
			pulled{client: "r-c2", version: 2, anew: true, last: 4, told: ids(4, 4)},
		},
		"none at a full resync soon after": {
			creations(4, 4), pulled{version: 2, anew: true, last: 4, at: 59 * time.Minute},
		},
		"some at a full resync long after": {
			creations(4, 4), pulled{version: 2, anew: true, last: 4, told: ids(3, 4), at: 2 * time.Hour},
		},
		"none since the cookie, long after":  {creations(4, 4), pulled{version: 2, last: 4, at: 2 * time.Hour}},
		"only the new ones at a full resync": {creations(4, 4), pulled{version: 2, anew: true, last: 4, told: ids(4, 4)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := []history.Invariant{history.Rejections}
			if broken := s.broken(t); !slices.Equal(broken, want) {
				t.Errorf("it breaks %v, want %v", broken, want)
			}
		})
	}
}

// TestRejectionsBeforeTheSpace: a space has no epoch before its first commit, and is judged
// from then on.
func TestRejectionsBeforeTheSpace(t *testing.T) {
	t.Parallel()
	var j history.Judge
	for e, err := range history.Read(strings.NewReader(strings.Join([]string{
		`{"type":"ok","op":"pull","space":"s","group":"g","client":"r-c1","outcome":"applied",` +
			`"answer":{"cookie":{"order":0,"version":0,"epoch":""},"lastMutationIDChanges":{},"patch":[{"op":"clear"}]}}`,
		creations(1, 3), pulled{version: 1, anew: true, last: 3, told: []int{3}}.String(),
	}, "\n"))) {
		if err != nil {
			t.Fatal(err)
		}
		j.Add(e)
	}
	if v := j.Finish(); len(v) != 1 || v[0].Invariant != history.Rejections {
		t.Errorf("it breaks %v, want one of rejections", v)
	}
	if n := j.Counts().Rejections; n != 1 {
		t.Errorf("%d rejections were told, want 1", n)
	}
}
