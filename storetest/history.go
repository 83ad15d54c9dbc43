package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var historyCases = []testCase{
	{name: "LongHistory", run: testHistory},
}

// testHistory makes random commits and compares the space with maps after each.
// The seed is fixed: a failure comes again.
func testHistory(k *kit) {
	steps := 100
	if testing.Short() {
		steps = 30
	}
	m := model{
		rng:     rand.New(rand.NewPCG(1, 2)),
		entries: map[string]engine.Entry{},
		clients: map[protocol.ClientID]engine.Client{},
	}
	m.apply(Step(engine.Head{}, Group("g", "u", "s"), Group("h", "u", "s")), k)
	for range steps {
		switch m.rng.IntN(12) {
		case 0:
			m.apply(Step(m.head, Reset()), k)
		case 1:
			m.purge(k)
		case 2:
			stale := m.head
			m.apply(Step(m.head, m.changes()...), k)
			k.refused("s", Step(stale, m.changes()...), engine.ErrConflict)
		default:
			m.apply(Step(m.head, m.changes()...), k)
		}
		k.same("space", k.view("s"), m.view())
	}
}

// model is a space as maps.
type model struct {
	rng     *rand.Rand
	head    engine.Head
	entries map[string]engine.Entry
	clients map[protocol.ClientID]engine.Client
}

// changes are a few random ones, on keys and clients that come again often.
func (m *model) changes() []Change {
	var all []Change
	for _, key := range m.rng.Perm(12)[:m.rng.IntN(5)] {
		name := fmt.Sprintf("key/%d", key)
		if m.rng.IntN(3) == 0 {
			all = append(all, Del(name))
		} else {
			all = append(all, Put(name, itoa(m.rng.IntN(1_000))))
		}
	}
	for _, n := range m.rng.Perm(6)[:m.rng.IntN(3)] {
		id := protocol.ClientID(itoa(n))
		group := protocol.ClientGroupID("gh"[n%2 : n%2+1])
		last := m.clients[id].LastMutationID
		all = append(all, Client(id, group, last+1))
	}
	return all
}

func (m *model) apply(c engine.Commit, k *kit) {
	k.Helper()
	m.head = k.apply("s", c)
	for _, e := range c.Entries {
		m.entries[e.Key] = e
	}
	for _, client := range c.Clients {
		m.clients[client.ID] = client
	}
}

func (m *model) purge(k *kit) {
	k.Helper()
	want := 0
	for key, e := range m.entries {
		if e.Version <= m.head.Base {
			delete(m.entries, key)
			want++
		}
	}
	k.purged(want)
}

func (m *model) view() view {
	v := view{Head: m.head}
	for _, e := range m.entries {
		v.Entries = append(v.Entries, e)
	}
	for _, c := range m.clients {
		v.Clients = append(v.Clients, c)
	}
	slices.SortFunc(v.Entries, func(a, b engine.Entry) int { return cmp.Compare(a.Key, b.Key) })
	slices.SortFunc(v.Clients, func(a, b engine.Client) int { return cmp.Compare(a.ID, b.ID) })
	return v
}
