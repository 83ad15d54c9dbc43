package engine

import "sync/atomic"

// memo remembers what keys have, absence too, as of the head that is known with
// it. The commit's precondition proves it right or the commit fails, so it needs no
// freshness, only bounds: of its own, and of all memos of an engine together.
type memo struct {
	values map[string]value
	bytes  int
	limit  int
	total  *atomic.Int64 // bytes of all memos
	max    int64         // of total
}

func (m *memo) get(key string) (value, bool) {
	v, ok := m.values[key]
	return v, ok
}

// set remembers a key's value. When there is no room everything is forgotten,
// which costs one read of each key that is used again.
func (m *memo) set(key string, v value) {
	grown := memoBytes(key, v)
	if old, ok := m.values[key]; ok {
		grown -= memoBytes(key, old)
	}
	if m.bytes+grown > m.limit || m.total.Load()+int64(grown) > m.max {
		m.forget()
		if grown = memoBytes(key, v); grown > m.limit || m.total.Load()+int64(grown) > m.max {
			return
		}
	}
	m.values[key] = v
	m.bytes += grown
	m.total.Add(int64(grown))
}

func (m *memo) forget() {
	m.total.Add(-int64(m.bytes))
	m.values, m.bytes = map[string]value{}, 0
}

// memoBytes is about what an entry takes in memory.
func memoBytes(key string, v value) int { return len(key) + len(v.json) + 100 }
