package history

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/replifire/replifire/protocol"
)

func (j *Judge) checkCookie(t *tab, e Event, next protocol.Cookie, changes int) {
	if t.cookie.Raw == nil {
		return
	}
	switch order := next.Compare(t.cookie); {
	case order < 0:
		j.violated(CookieMonotone, t, e, "cookie %s after %s", next.Raw, t.cookie.Raw)
	case order == 0 && changes > 0:
		j.violated(CookieMonotone, t, e, "%d changes under an equal cookie %s", changes, next.Raw)
	}
	if next.Epoch == t.cookie.Epoch && next.Version < t.cookie.Version {
		j.violated(Causal, t, e, "version %d after %d", next.Version, t.cookie.Version)
	}
}

func (j *Judge) checkIDs(t *tab, e Event, changes map[protocol.ClientID]int64) {
	for id, n := range changes {
		j.checkGroup(t, e, id)
		if n < t.lmids[id] {
			j.violated(LMIDMonotone, t, e, "client %s: %d after %d", id, n, t.lmids[id])
		}
		sent := 0
		if other := j.tabs[id]; other != nil {
			sent = len(other.calls)
		}
		if n > int64(sent) {
			j.violated(LMIDMonotone, t, e, "client %s: %d is confirmed, %d were sent", id, n, sent)
		}
	}
}

// checkGroup: a client group is told of its own clients only.
func (j *Judge) checkGroup(t *tab, e Event, id protocol.ClientID) {
	if other := j.tabs[id]; other != nil && other.group != t.group {
		j.violated(Isolation, t, e, "group %s is told of client %s, which is of group %s", t.group, id, other.group)
	}
}

// checkSpace: a client is shown no keys of another space's clients.
func (j *Judge) checkSpace(t *tab, e Event, changed []string) {
	for _, key := range changed {
		if other := j.tabs[owner(key)]; other != nil && other.space != t.space {
			j.violated(Isolation, t, e, "key %s of space %s is shown in space %s", key, other.space, t.space)
		}
	}
}

// checkDurable: what was acknowledged before the pull began is in it.
func (j *Judge) checkDurable(t *tab, e Event) {
	for id, n := range t.asked {
		if t.lmids[id] < n {
			j.violated(Durable, t, e, "client %s: %d was acknowledged, a later pull shows %d", id, n, t.lmids[id])
		}
	}
}

// checkOwn holds the keys that only clients of this group write against the models, as
// far as they may have changed, or all.
func (j *Judge) checkOwn(t *tab, e Event, changed []string, all bool) {
	for id, n := range t.lmids {
		m, other := t.models[id], j.tabs[id]
		if other == nil {
			continue
		}
		if m == nil {
			m = newModel()
			t.models[id] = m
		}
		m.advance(other.calls, n)
		for _, key := range changed {
			if owner(key) == id {
				m.touched[key] = true
			}
		}
		if all {
			t.touchAll(id, m)
		}
		j.compare(t, e, id, m)
	}
}

// touchAll has all keys of a client's compared.
func (t *tab) touchAll(id protocol.ClientID, m *model) {
	for key := range m.content {
		m.touched[key] = true
	}
	for key := range t.view {
		if owner(key) == id {
			m.touched[key] = true
		}
	}
}

func (j *Judge) compare(t *tab, e Event, id protocol.ClientID, m *model) {
	for key := range m.touched {
		value, exists := t.view[key]
		want, wanted := m.content[key]
		got := contentOf(value)
		if exists != wanted || got != want {
			j.violated(ExactlyOnce, t, e, "with mutations of %s up to %d, %s is %q (%t), want %q (%t)",
				id, t.lmids[id], key, got, exists, want, wanted)
		}
	}
	clear(m.touched)
}

// contentOf is the content of a message, "" for what is none.
func contentOf(value string) string {
	var message struct{ Content string }
	_ = json.Unmarshal([]byte(value), &message) // absent or another
	return message.Content
}

// checkDigest: whoever is at this version sees the same.
func (j *Judge) checkDigest(t *tab, e Event) {
	at := version{t.space, t.cookie.Epoch, t.cookie.Version}
	seen, ok := j.digests[at]
	if ok && seen != t.digest {
		j.violated(Prefix, t, e, "%d entries with hash %x at version %d, others saw %d with %x",
			t.digest.entries, t.digest.sum, at.number, seen.entries, seen.sum)
		return
	}
	j.digests[at] = t.digest
}

// Finish judges the whole, once every client has caught up, and returns the violations,
// at most 100.
func (j *Judge) Finish() []Violation {
	last := map[protocol.SpaceID]version{}
	for _, id := range slices.Sorted(maps.Keys(j.tabs)) {
		t, e := j.tabs[id], Event{}
		if t.cookie.Raw == nil {
			if len(t.calls) > 0 {
				j.violated(Converge, t, e, "it never got an answer")
			}
			continue
		}
		j.checkOwn(t, e, nil, true)
		if n := int64(len(t.calls)); t.lmids[id] != n {
			j.violated(Converge, t, e, "%d of %d mutations are confirmed", t.lmids[id], n)
		}
		at := version{t.space, t.cookie.Epoch, t.cookie.Version}
		if other, ok := last[t.space]; ok && other != at {
			j.violated(Converge, t, e, "it is at version %d, others at %d", at.number, other.number)
		}
		last[t.space] = at
	}
	j.checkForeign()
	return j.violations
}

// checkForeign looks for keys that nobody's mutations explain.
func (j *Judge) checkForeign() {
	for _, t := range j.tabs {
		for key := range t.view {
			if owner(key) != "" && j.tabs[owner(key)] == nil {
				j.violated(ExactlyOnce, t, Event{}, "key %s is nobody's", key)
			}
			if owner(key) == "" && !strings.HasPrefix(key, registerPrefix) {
				j.violated(ExactlyOnce, t, Event{}, "key %s was never written", key)
			}
		}
	}
}
