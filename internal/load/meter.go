package load

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// meter counts what happens in a run. It is safe for concurrent use.
type meter struct {
	window window

	push, pull, acknowledge, confirm, poke, lag *histogram

	// Mutations of the whole run, and of these what was acknowledged and confirmed
	// within the window.
	issued, acknowledged, confirmed, lost, shed atomic.Int64
	acknowledgedIn, confirmedIn                 atomic.Int64

	pokes, unseenPokes, reconnects, lostClients atomic.Int64
	received, sent                              atomic.Int64 // bytes on the wire

	mu       sync.Mutex // guards what follows
	requests map[request]int64
}

// request is a kind of request and how it was answered.
type request struct{ kind, status string }

// Kinds of requests.
const (
	kindPush   = "push"
	kindPull   = "pull"
	kindStream = "stream"
)

// window is the part of a run that figures are taken of.
type window struct{ from, to time.Time }

func (w window) has(t time.Time) bool { return !t.Before(w.from) && t.Before(w.to) }

func newMeter(w window, live bool) *meter {
	return &meter{
		window: w, requests: map[request]int64{},
		push: newHistogram(live), pull: newHistogram(live), acknowledge: newHistogram(live),
		confirm: newHistogram(live), poke: newHistogram(live), lag: newHistogram(live),
	}
}

// answered counts a request that was sent at that time and answered with a status,
// or failed in the way that status names.
func (m *meter) answered(kind, status string, sent, now time.Time) {
	if status == statusOK {
		switch kind {
		case kindPush:
			m.push.record(now.Sub(sent), m.window.has(sent))
		case kindPull:
			m.pull.record(now.Sub(sent), m.window.has(sent))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[request{kind, status}]++
}

// mutationAcknowledged counts the first acknowledgement of a mutation.
func (m *meter) mutationAcknowledged(due, now time.Time) {
	m.acknowledged.Add(1)
	if m.window.has(now) {
		m.acknowledgedIn.Add(1)
	}
	m.acknowledge.record(now.Sub(due), m.window.has(due))
}

// mutationConfirmed counts a mutation that an applied pull confirmed.
func (m *meter) mutationConfirmed(due, now time.Time) {
	m.confirmed.Add(1)
	if m.window.has(now) {
		m.confirmedIn.Add(1)
	}
	m.confirm.record(now.Sub(due), m.window.has(due))
}

// failures counts the requests so far that were not answered with 200.
func (m *meter) failures() int64 {
	var n int64
	for _, r := range m.counts() {
		if r.Status != statusOK {
			n += r.Count
		}
	}
	return n
}

// counts are the requests so far, in order.
func (m *meter) counts() []Requests {
	m.mu.Lock()
	counted := maps.Clone(m.requests)
	m.mu.Unlock()
	var list []Requests
	for r, n := range counted {
		list = append(list, Requests{Kind: r.kind, Status: r.status, Count: n})
	}
	slices.SortFunc(list, func(a, b Requests) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Status, b.Status))
	})
	return list
}

// pending is how many mutations wait to be confirmed.
func (m *meter) pending() int64 {
	return m.issued.Load() - m.confirmed.Load() - m.lost.Load()
}
