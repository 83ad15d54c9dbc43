package history

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"

	"github.com/replifire/replifire/protocol"
)

// Invariant names a promise that a history can be seen to break. The numbers are those of
// docs/reliability.md.
type Invariant string

// The invariants that a Judge checks.
const (
	// LMIDMonotone: a lastMutationID never decreases, and counts nothing that was not sent.
	LMIDMonotone Invariant = "I1 LMID-Monotone"
	// ExactlyOnce: in every view, each mutation up to the lastMutationID took effect once,
	// or was refused as it must be, and none after it did (with I2 Atomic and I4 Ordered: a
	// view does not tell them apart).
	ExactlyOnce Invariant = "I3 Exactly-Once"
	// CookieMonotone: cookies never go back, and an equal one comes with no changes.
	CookieMonotone Invariant = "I5 Cookie-Monotone"
	// Prefix: equal versions are equal views, for all clients of a space.
	Prefix Invariant = "I6 Prefix"
	// Causal: no client's view goes back.
	Causal Invariant = "I8 Causal"
	// Durable: what was answered 200 is in every pull that begins afterwards.
	Durable Invariant = "I9 Durable"
	// Isolation: nothing of a space is shown in another, nor is a group told of another's
	// clients.
	Isolation Invariant = "I10 Isolation"
	// Converge: in the end everything is confirmed, and all clients see the same.
	Converge Invariant = "I12 Converge"
	// Rejections: each pull tells which of its group's mutations were refused since its
	// cookie, or the last of each client where it begins anew: each once, and why.
	Rejections Invariant = "Rejections"
	// Healthy: no client is told that its state is lost: nothing was wiped or restored.
	Healthy Invariant = "I13 No-Poison"
)

// Violation is one breach.
type Violation struct {
	Invariant Invariant
	Client    protocol.ClientID
	At        int64 // the event's
	What      string
}

// String is the violation in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s: client %s, at %.3f s: %s", v.Invariant, v.Client, float64(v.At)/1e9, v.What)
}

// maxViolations bounds what a Judge keeps: one bug breaks much.
const maxViolations = 100

// Judge checks a history. Its zero value has seen nothing. It is not safe for
// concurrent use.
type Judge struct {
	tabs       map[protocol.ClientID]*tab
	digests    map[version]digest
	epochs     map[protocol.SpaceID]string // the first of each space
	reasons    map[string]string           // of each mutator, the first that was told
	violations []Violation
	counts     Counts
}

// Counts is how much a Judge has seen.
type Counts struct {
	Mutations, Pushes, Acknowledged, Unknown, Pulls, Rejections int
}

// version is a state of a space.
type version struct {
	space  protocol.SpaceID
	epoch  string
	number int64
}

// digest is a view in few bytes: how many entries, and the sum of their hashes.
type digest struct {
	entries int
	sum     uint64
}

// tab is a client as its requests and answers show it.
type tab struct {
	id     protocol.ClientID
	space  protocol.SpaceID
	group  protocol.ClientGroupID
	calls  []call
	sent   int64 // when the last of calls was sent first
	acked  int64
	asked  map[protocol.ClientID]int64 // what was acknowledged when its pull began
	cookie protocol.Cookie
	view   map[string]string // normal texts of the values
	digest digest
	lmids  map[protocol.ClientID]int64
	models map[protocol.ClientID]*model
}

// answer is a pull's.
type answer struct {
	Cookie     json.RawMessage
	Changes    map[protocol.ClientID]int64 `json:"lastMutationIDChanges"`
	Patch      []protocol.PatchOperation
	Rejections map[protocol.ClientID][]rejection
}

// Counts is how much was seen.
func (j *Judge) Counts() Counts { return j.counts }

// Add judges the next event.
func (j *Judge) Add(e Event) {
	if e.Type == Fault {
		return
	}
	t := j.tab(e)
	switch {
	case e.Op == Push && e.Type == Invoke:
		j.counts.Mutations += len(e.Mutations)
		for _, m := range e.Mutations {
			t.calls = append(t.calls, read(m))
			t.sent = e.At
		}
	case e.Op == Push:
		j.pushed(t, e)
	case e.Type == Invoke:
		t.asked = j.acknowledged(t.group)
	case e.Type == OK:
		j.pulled(t, e)
	}
}

func (j *Judge) tab(e Event) *tab {
	if j.tabs == nil {
		j.tabs, j.digests = map[protocol.ClientID]*tab{}, map[version]digest{}
		j.epochs, j.reasons = map[protocol.SpaceID]string{}, map[string]string{}
	}
	t := j.tabs[e.Client]
	if t == nil {
		t = &tab{
			id: e.Client, space: e.Space, group: e.Group, view: map[string]string{},
			lmids: map[protocol.ClientID]int64{}, models: map[protocol.ClientID]*model{},
		}
		j.tabs[e.Client] = t
	}
	return t
}

// acknowledged is, for each client of a group, the last mutation answered with 200.
func (j *Judge) acknowledged(group protocol.ClientGroupID) map[protocol.ClientID]int64 {
	all := map[protocol.ClientID]int64{}
	for id, t := range j.tabs {
		if t.group == group && t.acked > 0 {
			all[id] = t.acked
		}
	}
	return all
}

func (j *Judge) pushed(t *tab, e Event) {
	j.counts.Pushes++
	switch {
	case e.Type != OK:
		j.counts.Unknown++
	case e.What != "":
		j.violated(Healthy, t, e, "push is answered %s", e.What)
	default:
		j.counts.Acknowledged++
		t.acked = max(t.acked, e.Last)
	}
}

func (j *Judge) pulled(t *tab, e Event) {
	j.counts.Pulls++
	if e.Outcome == "dropped" {
		return
	}
	var a answer
	if err := json.Unmarshal(e.Answer, &a); err != nil || a.Cookie == nil {
		j.violated(Healthy, t, e, "pull is answered %.200s (%v)", e.Answer, err)
		return
	}
	cookie, err := protocol.ParseCookie(a.Cookie)
	if err != nil {
		j.violated(CookieMonotone, t, e, "%v", err)
		return
	}
	j.checkCookie(t, e, cookie, len(a.Patch)+len(a.Changes))
	j.checkIDs(t, e, a.Changes)
	since := t.since(a.Patch)
	t.cookie = cookie
	maps.Copy(t.lmids, a.Changes)
	changed := t.apply(a.Patch)
	j.checkSpace(t, e, changed)
	j.checkDurable(t, e)
	j.checkOwn(t, e, changed, false)
	j.checkRejections(t, e, a.Rejections, since)
	j.checkDigest(t, e)
}

func (j *Judge) violated(i Invariant, t *tab, e Event, format string, args ...any) {
	if len(j.violations) < maxViolations {
		j.violations = append(j.violations, Violation{i, t.id, e.At, fmt.Sprintf(format, args...)})
	}
}

// apply changes the view, and returns which keys the patch names.
func (t *tab) apply(patch []protocol.PatchOperation) (changed []string) {
	for _, op := range patch {
		switch op.Op {
		case protocol.OpClear:
			clear(t.view)
			t.digest = digest{}
			continue
		case protocol.OpPut, protocol.OpDel:
			if old, ok := t.view[op.Key]; ok {
				t.digest.entries--
				t.digest.sum -= hash(op.Key, old)
				delete(t.view, op.Key)
			}
		}
		if op.Op == protocol.OpPut {
			value := normal(op.Value)
			t.view[op.Key] = value
			t.digest.entries++
			t.digest.sum += hash(op.Key, value)
		}
		changed = append(changed, op.Key)
	}
	return changed
}

// normal is the text of a JSON value, the same for objects whose members are in another
// order: a server may keep them in any.
func normal(value json.RawMessage) string {
	var v any
	if json.Unmarshal(value, &v) == nil {
		if text, err := json.Marshal(v); err == nil {
			return string(text)
		}
	}
	return string(value)
}

func hash(texts ...string) uint64 {
	h := fnv.New64a()
	for _, text := range texts {
		_, _ = h.Write([]byte(text)) // never fails
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}
