package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// version is what the oracle knows of one committed version of a space.
type version struct {
	number int64
	epoch  string
	seq    int // counts all commits, and what else changes a space
	state  entries
	lmids  map[protocol.ClientID]int64
	// rejected are those of the clients in lmids, and seen is when each of them was last seen.
	rejected rejected
	seen     map[protocol.ClientID]time.Time
	prev     *version
	private  string    // the audience that it concerns, "" if that is everybody
	at       time.Time // when it was committed
	updated  time.Time // the same as the space says it
	floor    int64
	// dead are the groups of before the space was last deleted, and gone is what
	// lmids was then; never changed.
	dead map[protocol.ClientGroupID]bool
	gone map[protocol.ClientID]int64
}

// history is what the oracle knows of a space.
type history struct {
	head   *version
	all    map[string]*version // by epoch and number
	first  map[string]int      // when each key was first written
	groups map[protocol.ClientGroupID]bool
	// lost is when (seq) the store last lost commits: client groups that were made before
	// may be told that their state is gone.
	lost   int
	resets int
}

// issued is a mutation as its client made it.
type issued struct {
	name string
	args []byte
}

// oracle records every version of every space and judges commits and views by them.
type oracle struct {
	model  *mutate.Registry
	spaces map[protocol.SpaceID]*history
	// What clients and operators have done.
	issued  map[protocol.ClientID][]issued
	groupOf map[protocol.ClientID]protocol.ClientGroupID
	owners  map[protocol.ClientGroupID]owner
	made    map[protocol.ClientGroupID]int // seq
	// taken are the clients whose id another group used when they were deleted.
	taken   map[protocol.ClientID]bool
	ops     map[string]*operation
	seq     int
	commits int
}

// owner is who a group belongs to.
type owner struct {
	user  string
	space protocol.SpaceID
}

// operation is a write by an operator.
type operation struct {
	args    args
	applied bool
	failed  bool // the engine has said that it was not applied
}

func newOracle() *oracle {
	return &oracle{
		model:   registry(nil),
		spaces:  map[protocol.SpaceID]*history{},
		issued:  map[protocol.ClientID][]issued{},
		groupOf: map[protocol.ClientID]protocol.ClientGroupID{},
		owners:  map[protocol.ClientGroupID]owner{},
		made:    map[protocol.ClientGroupID]int{},
		taken:   map[protocol.ClientID]bool{},
		ops:     map[string]*operation{},
	}
}

func versionKey(epoch string, number int64) string {
	return epoch + "/" + strconv.FormatInt(number, 10)
}

// space finds a space's history, or begins it.
func (o *oracle) space(id protocol.SpaceID) *history {
	h, ok := o.spaces[id]
	if !ok {
		h = &history{
			all: map[string]*version{}, first: map[string]int{},
			groups: map[protocol.ClientGroupID]bool{},
		}
		h.enter(newVersion(0))
		o.spaces[id] = h
	}
	return h
}

// newVersion is that of a space nobody has written to.
func newVersion(seq int) *version {
	return &version{
		seq: seq, state: entries{}, lmids: map[protocol.ClientID]int64{}, rejected: rejected{},
		seen: map[protocol.ClientID]time.Time{},
	}
}

// enter makes v the newest version.
func (h *history) enter(v *version) {
	h.head = v
	h.all[versionKey(v.epoch, v.number)] = v
}

// bereft reports whether a group may have lost what the space had of it.
func (o *oracle) bereft(id protocol.SpaceID, g protocol.ClientGroupID) bool {
	return o.made[g] < o.space(id).lost
}

// wiped begins a space anew.
func (o *oracle) wiped(id protocol.SpaceID) {
	h := o.space(id)
	o.seq++
	h.lost = o.seq
	clear(h.groups)
	h.enter(newVersion(o.seq))
}

// restored puts a space back to a version.
func (o *oracle) restored(id protocol.SpaceID, v *version, groups map[protocol.ClientGroupID]bool) {
	h := o.space(id)
	o.seq++
	h.lost = o.seq
	h.groups = maps.Clone(groups)
	h.head = v
}

// committed judges a commit that has been applied.
func (o *oracle) committed(id protocol.SpaceID, c engine.Commit) *Violation {
	h := o.space(id)
	o.seq++
	o.commits++
	before := h.head
	v := &version{
		number: c.Next.Version, epoch: c.Next.Epoch, seq: o.seq,
		state: maps.Clone(before.state), lmids: maps.Clone(before.lmids), rejected: maps.Clone(before.rejected),
		seen: maps.Clone(before.seen), dead: before.dead, gone: before.gone, prev: before, at: time.Now(),
		updated: c.Next.UpdatedAt, floor: c.Next.Floor,
		private: concerned(c.Next),
	}
	if c.Next.DeletedVersion > c.Prev.DeletedVersion {
		h.lost = o.seq
		v.dead, v.gone = maps.Clone(h.groups), before.lmids
		v.lmids, v.rejected = map[protocol.ClientID]int64{}, rejected{}
	}
	if c.Next.Base > c.Prev.Base {
		h.resets++
		clear(v.state)
		if c.Next.Epoch == c.Prev.Epoch {
			return violated(Prefix, "reset of %s keeps the epoch %s", id, c.Next.Epoch)
		}
	}
	if v.number != before.number+1 {
		return violated(CookieMonotone, "version %d after %d", v.number, before.number)
	}
	expected := maps.Clone(v.state)
	for _, e := range c.Entries {
		if _, ok := h.first[e.Key]; !ok {
			h.first[e.Key] = o.seq
		}
		if e.Deleted {
			delete(v.state, e.Key)
			continue
		}
		v.state[e.Key] = string(e.Value)
	}
	if violation := o.clients(id, h, v, c); violation != nil {
		return violation
	}
	if violation := o.replay(before, v, expected); violation != nil {
		return violation
	}
	h.enter(v)
	return nil
}

// clients judges the clients and groups of a commit.
func (o *oracle) clients(id protocol.SpaceID, h *history, v *version, c engine.Commit) *Violation {
	for _, g := range c.Groups {
		if want := o.owners[g.ID]; want != (owner{g.UserID, g.Space}) || g.Space != id {
			return violated(Isolation, "group %s made for user %q in space %s, belongs to %+v", g.ID, g.UserID, g.Space, want)
		}
		if h.groups[g.ID] {
			return violated(Isolation, "group %s made twice", g.ID)
		}
		h.groups[g.ID] = true
	}
	for _, cl := range c.Clients {
		if v.dead[o.groupOf[cl.ID]] && v.lmids[cl.ID] == 0 && o.groupOf[cl.ID] != cl.GroupID {
			o.taken[cl.ID] = true // the id of a client that is gone may be another's
		}
		if want := o.groupOf[cl.ID]; want != cl.GroupID && !o.taken[cl.ID] || !h.groups[cl.GroupID] {
			return violated(Isolation, "client %s of group %s stored in group %s", cl.ID, want, cl.GroupID)
		}
		if v.dead[cl.GroupID] {
			return violated(ExactlyOnce, "client %s of deleted group %s comes back to life", cl.ID, cl.GroupID)
		}
		if old := v.lmids[cl.ID]; cl.LastMutationID <= old {
			return violated(LMIDMonotone, "client %s: %d after %d", cl.ID, cl.LastMutationID, old)
		}
		if n := int64(len(o.issued[cl.ID])); cl.LastMutationID > n {
			return violated(LMIDMonotone, "client %s: %d, but made only %d mutations", cl.ID, cl.LastMutationID, n)
		}
		v.lmids[cl.ID], v.seen[cl.ID] = cl.LastMutationID, cl.LastSeen
	}
	return nil
}

// replay runs the mutations that a commit says it holds, in the order of its log, on
// a model of the state before, and compares what comes out.
func (o *oracle) replay(before, v *version, state entries) *Violation {
	if v.private != "" {
		r := &rerun{oracle: o, version: v, lmids: before.lmids}
		r.rejectedAll()
		return compare(ExactlyOnce, fmt.Sprintf("private commit %d", v.number), before.state, v.state)
	}
	old, log := unquote(state[logKey]), unquote(v.state[logKey])
	if !strings.HasPrefix(log, old) {
		return violated(ExactlyOnce, "log has lost tokens: %q after %q", log, old)
	}
	lmids := maps.Clone(before.lmids)
	if len(v.lmids) == 0 { // the space was deleted
		clear(lmids)
	}
	r := &rerun{oracle: o, version: v, state: state, lmids: lmids}
	for token := range strings.FieldsSeq(log[len(old):]) {
		if violation := r.token(token); violation != nil {
			return violation
		}
	}
	for _, client := range slices.Sorted(maps.Keys(v.lmids)) {
		if violation := r.rejectedUpTo(client, v.lmids[client], ExactlyOnce); violation != nil {
			return violation
		}
	}
	return compare(ExactlyOnce, fmt.Sprintf("commit %d", v.number), r.state, v.state)
}

func unquote(raw string) string {
	text, err := strconv.Unquote(raw)
	if err != nil {
		return ""
	}
	return text
}

// compare says how a state differs from the one that is wanted.
func compare(i Invariant, where string, want, got entries) *Violation {
	if maps.Equal(want, got) { // nearly always, and sorting is dear
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[key]; !ok || g != want[key] {
			return violated(i, "%s: %q is %q, want %q", where, key, g, want[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			return violated(i, "%s: %q is %q, want it absent", where, key, got[key])
		}
	}
	return nil
}

// rerun is the replay of one commit.
type rerun struct {
	oracle  *oracle
	version *version // that comes of it
	state   entries
	lmids   map[protocol.ClientID]int64
}

// token replays one mutation that had effects.
func (r *rerun) token(token string) *Violation {
	client, number, _ := strings.Cut(token, ".")
	if client == "" {
		return r.operation(token)
	}
	c := protocol.ClientID(client)
	id, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil || r.oracle.issued[c] == nil:
		return violated(ExactlyOnce, "unknown token %s", token)
	case id <= r.lmids[c]:
		return violated(ExactlyOnce, "%s has effects again, lastMutationID is %d already", token, r.lmids[c])
	case id > r.version.lmids[c]:
		return violated(Atomic, "%s has effects, but lastMutationID is %d", token, r.version.lmids[c])
	}
	if violation := r.rejectedUpTo(c, id-1, Ordered); violation != nil {
		return violation
	}
	if !r.run(c, id) {
		return violated(MutatorPure, "%s has effects, but is to be rejected", token)
	}
	return nil
}

// rejectedUpTo replays mutations of a client that had no effects: each must be one that
// is to be rejected.
func (r *rerun) rejectedUpTo(c protocol.ClientID, to int64, i Invariant) *Violation {
	for r.lmids[c] < to {
		id := r.lmids[c] + 1
		if r.run(c, id) {
			return violated(i, "%s.%d (%s) is acknowledged or passed over without effects",
				c, id, r.oracle.issued[c][id-1].name)
		}
		r.version.rejected.add(c, rejectedAt{rejection{id, r.oracle.issued[c][id-1].name}, r.version.number})
	}
	return nil
}

// run replays the next mutation of a client and reports whether it is accepted.
func (r *rerun) run(c protocol.ClientID, id int64) bool {
	r.lmids[c] = id
	m := r.oracle.issued[c][id-1]
	return r.try(&modelTx{client: c, mutation: id, state: r.state, writes: map[string]*string{}}, m)
}

func (r *rerun) try(tx *modelTx, m issued) bool {
	if err := r.oracle.model.Run(context.Background(), m.name, tx, m.args); err != nil {
		return false
	}
	tx.onto(r.state)
	return true
}

// operation replays an operator's write.
func (r *rerun) operation(token string) *Violation {
	op := r.oracle.ops[token]
	switch {
	case op == nil:
		return violated(ExactlyOnce, "unknown operation %s", token)
	case op.applied:
		return violated(ExactlyOnce, "operation %s is applied twice", token)
	case op.failed:
		return violated(ExactlyOnce, "operation %s is applied after it was said to have failed", token)
	}
	op.applied = true
	tx := &modelTx{state: r.state, writes: map[string]*string{}}
	if err := operate(tx, token, op.args); err != nil {
		return violated(MutatorPure, "operation %s has effects: %v", token, err)
	}
	tx.onto(r.state)
	return nil
}

// at finds the version that a cookie stands for.
func (o *oracle) at(space protocol.SpaceID, raw []byte) (*version, error) {
	cookie, err := protocol.ParseCookie(raw)
	if err != nil {
		return nil, err
	}
	v, ok := o.space(space).all[versionKey(cookie.Epoch, cookie.Version)]
	if !cookie.Ours || !ok {
		return nil, fmt.Errorf("cookie %s is of no version of space %s", raw, space)
	}
	return v, nil
}

// view judges a client's confirmed state by the version its cookie stands for.
func (o *oracle) view(space protocol.SpaceID, c *replica.Client) *Violation {
	v, err := o.at(space, c.Cookie())
	if err != nil {
		return violated(Prefix, "%v", err)
	}
	got := make(entries, len(c.View()))
	h := o.space(space)
	for key, raw := range c.View() {
		got[key] = string(raw)
		if _, ok := v.state[key]; !ok && h.first[key] > 0 && h.first[key] <= v.seq {
			return violated(Tombstone, "client %s at %d/%s sees %q, which is deleted", c.ID(), v.number, v.epoch, key)
		}
	}
	where := fmt.Sprintf("view of %s at %d/%s", c.ID(), v.number, v.epoch)
	if violation := compare(Prefix, where, v.state, got); violation != nil {
		return violation
	}
	for _, id := range slices.Sorted(maps.Keys(v.lmids)) {
		if o.groupOf[id] == c.Group() && !o.taken[id] && c.LastMutationIDs()[id] != v.lmids[id] {
			return violated(Prefix, "client %s at %d/%s knows lastMutationID %d of %s, want %d",
				c.ID(), v.number, v.epoch, c.LastMutationIDs()[id], id, v.lmids[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.LastMutationIDs())) {
		if o.groupOf[id] != c.Group() && !o.taken[id] {
			return violated(Isolation, "client %s is told of %s of group %s", c.ID(), id, o.groupOf[id])
		}
		if n := c.LastMutationIDs()[id]; n > v.lmids[id] && !o.bereft(space, c.Group()) {
			return violated(Prefix, "client %s at %d/%s knows lastMutationID %d of %s, want %d",
				c.ID(), v.number, v.epoch, n, id, v.lmids[id])
		}
	}
	return nil
}

func violated(i Invariant, format string, a ...any) *Violation {
	return &Violation{Invariant: i, Detail: fmt.Sprintf(format, a...)}
}
