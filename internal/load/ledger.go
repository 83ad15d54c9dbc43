package load

import (
	"slices"
	"time"
)

// ledger has the mutations of one client, by id, that are not both acknowledged and
// confirmed. Its client guards it.
type ledger struct {
	meter   *meter
	entries []entry
	// sent is the highest id that a push has carried.
	sent int64
}

// entry is a mutation.
type entry struct {
	id int64
	// due is when it was to be issued.
	due time.Time
	// answered is when the first push with it was answered; zero: not yet.
	answered time.Time
	// confirmed: an applied pull showed it.
	confirmed bool
	// version is that of the cookie which confirmed it, 0 if cookies have none.
	version int64
	// expect is the key that it must leave, "" for none.
	expect string
}

func (l *ledger) issue(id int64, due time.Time, expect string) {
	l.meter.issued.Add(1)
	l.entries = append(l.entries, entry{id: id, due: due, expect: expect})
}

// acknowledge notes that a push which carried everything up to an id was answered
// well.
func (l *ledger) acknowledge(id int64, now time.Time) {
	for i := range l.upTo(id) {
		if e := &l.entries[i]; e.answered.IsZero() {
			e.answered = now
			l.meter.mutationAcknowledged(e.due, now)
		}
	}
}

// confirm notes that a pull whose cookie has that version showed the id, and returns
// the keys that are expected from now on. What was never sent is not confirmed.
func (l *ledger) confirm(id, version int64, now time.Time) (expected []string) {
	for i := range l.upTo(min(id, l.sent)) {
		e := &l.entries[i]
		if e.confirmed {
			continue
		}
		e.confirmed, e.version = true, version
		l.meter.mutationConfirmed(e.due, now)
		if e.expect != "" {
			expected = append(expected, e.expect)
		}
	}
	return expected
}

// upTo is how many entries have at most that id.
func (l *ledger) upTo(id int64) int {
	n, _ := slices.BinarySearchFunc(l.entries, id+1, func(e entry, id int64) int { return int(e.id - id) })
	return n
}

// done removes what is confirmed and calls await for each push that it came with:
// for its last mutation, which has the highest version. While a push is under way
// that may still acknowledge them, entries without an answer stay.
func (l *ledger) done(pushing bool, await func(version int64, answered time.Time)) {
	n := 0
	for n < len(l.entries) {
		e := l.entries[n]
		if !e.confirmed || pushing && e.answered.IsZero() {
			break
		}
		n++
		last := n == len(l.entries) || !l.entries[n].answered.Equal(e.answered)
		if last && !e.answered.IsZero() && e.version > 0 {
			await(e.version, e.answered)
		}
	}
	l.entries = slices.Delete(l.entries, 0, n)
}

// abandon gives up what is not confirmed, and returns how much that is.
func (l *ledger) abandon() int64 {
	var n int64
	for _, e := range l.entries {
		if !e.confirmed {
			n++
		}
	}
	l.meter.lost.Add(n)
	l.entries, l.sent = nil, 0
	return n
}
