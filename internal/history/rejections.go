package history

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/replifire/replifire/protocol"
)

const (
	// maxRejections is how many rejections of a client a server keeps: engine.MaxRejections.
	maxRejections = 16
	// rejectionLife is how long who begins anew is told of them: engine.RejectionLife.
	rejectionLife = time.Hour
)

// rejection is a refused mutation, as a pull tells it.
type rejection struct {
	ID     int64
	Name   string
	Reason string
}

// since is up to where a tab knows the mutations of its group's clients when it pulls. That
// is what tells which rejections are news, and not what was told before: an answer that was
// lost moved no cookie, so what it told is to be told again.
func (t *tab) since(patch []protocol.PatchOperation) map[protocol.ClientID]int64 {
	anew := func(op protocol.PatchOperation) bool { return op.Op == protocol.OpClear }
	if slices.ContainsFunc(patch, anew) {
		return nil // it begins anew, and is told all that is kept and not old
	}
	return maps.Clone(t.lmids)
}

// checkRejections: of each client of its group a tab is told what was refused since its
// cookie, each once, as far as it is kept, and nothing else.
func (j *Judge) checkRejections(
	t *tab, e Event, told map[protocol.ClientID][]rejection, since map[protocol.ClientID]int64,
) {
	for id := range told {
		j.checkGroup(t, e, id)
	}
	if !j.unreset(t) {
		return
	}
	for id, other := range j.tabs {
		if other.group != t.group {
			continue
		}
		m := t.models[id]
		if m == nil {
			m = newModel() // nothing of it is confirmed, so nothing is refused
		}
		got, want := told[id], m.kept(since[id])
		if since == nil && len(got) == 0 && e.At-other.sent > int64(rejectionLife) {
			want = nil // what was refused so long ago need not be told
		}
		if !slices.EqualFunc(got, want, sameMutation) {
			j.violated(Rejections, t, e, "rejected of client %s since %d are said to be %v, want %v", id, since[id], got, want)
		}
		j.counts.Rejections += len(got)
		j.checkRefused(t, e, id, m, got)
	}
}

// unreset reports whether the space is the one that the history began with. A reset takes
// away what others are refused for, between mutations that no history tells.
func (j *Judge) unreset(t *tab) bool {
	if j.epochs[t.space] == "" { // a space has none before it is written to
		j.epochs[t.space] = t.cookie.Epoch
	}
	return j.epochs[t.space] == t.cookie.Epoch
}

func sameMutation(a, b rejection) bool { return a.ID == b.ID && a.Name == b.Name }

// checkRefused: a mutation that must work is not refused, and the others are for the one
// reason that their mutator has.
func (j *Judge) checkRefused(t *tab, e Event, id protocol.ClientID, m *model, told []rejection) {
	for _, r := range told {
		if !m.refuses(r.ID) {
			j.violated(ExactlyOnce, t, e, "mutation %d of %s is refused", r.ID, id)
			continue
		}
		reason, known := j.reasons[r.Name]
		if !known {
			reason = r.Reason
			j.reasons[r.Name] = reason
		}
		if r.Reason == "" || r.Reason != reason {
			j.violated(Rejections, t, e, "mutation %d of %s is refused because %q, other %s because %q",
				r.ID, id, r.Reason, r.Name, reason)
		}
	}
}

// kept are those of the refused mutations after one that a server still tells.
func (m *model) kept(since int64) []rejection {
	last := m.refused[max(0, len(m.refused)-maxRejections):]
	first := slices.IndexFunc(last, func(r rejection) bool { return r.ID > since })
	if first < 0 {
		return nil
	}
	return last[first:]
}

// refuses reports whether a mutation is refused.
func (m *model) refuses(id int64) bool {
	_, found := slices.BinarySearchFunc(m.refused, id, func(r rejection, id int64) int {
		return cmp.Compare(r.ID, id)
	})
	return found
}
