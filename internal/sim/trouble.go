package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// troubles are the actions that no client and no server wants.
func (w *world) troubles() []action {
	sent := func() bool { return len(w.network) > 0 }
	answered := func() bool { return len(w.replies) > 0 }
	serving := func() bool { return len(w.instances) > 0 && len(w.tabs) > 0 }
	return []action{
		{2, LoseRequest, sent, func() { w.lose(take(w, &w.network)) }},
		{2, LoseReply, answered, func() { w.lose(take(w, &w.replies)) }},
		{3, Replay, func() bool { return len(w.seen) > 0 }, w.replay},
		{2, PartialPush, w.canPush, w.partialPush},
		{1, Disconnect, func() bool { return w.open > 0 }, w.disconnect},
		{1, Crash, serving, w.crash},
		{1, SecondInstance, func() bool { return len(w.instances) == 1 }, w.start},
		{2, Takeover, serving, w.takeover},
		{2, Probe, serving, w.probe},
		{2, Tabs, w.hasTabs, w.tabsComeAndGo},
		{2, Operator, serving, w.operator},
		{2, Collect, serving, w.collect},
		{3, Unwatched, func() bool { return len(w.watches()) > 0 }, w.unwatch},
		{1, Wipe, func() bool { return serving() && w.one(10) }, w.wipe},
		{1, Restore, func() bool { return serving() && w.one(2) }, w.restore},
	}
}

// replay sends an old push again.
func (w *world) replay() {
	old := pick(w.chance, w.seen)
	w.send(&request{tab: old.tab, ghost: true, push: true, body: old.body, sent: old.sent})
}

// partialPush pushes a prefix or a suffix of what is pending, as no real client does.
func (w *world) partialPush() {
	t := pick(w.chance, w.pushers())
	sent := t.Pending()
	n := w.chance.IntN(len(sent))
	if w.one(2) {
		sent = sent[:n+1]
	} else {
		sent = sent[n:]
	}
	w.send(&request{tab: t, ghost: true, push: true, body: t.PushRequestOf(sent), sent: sent})
}

// disconnect ends a request that is being handled.
func (w *world) disconnect() {
	var open []*request
	for _, r := range w.handled {
		if !r.over {
			open = append(open, r)
		}
	}
	w.handled = open
	if len(open) == 0 {
		return
	}
	r := pick(w.chance, open)
	w.note("disconnect #%d", r.number)
	r.cancel()
}

// crash kills an instance. Its clients see their connections break.
func (w *world) crash() {
	w.fell(pick(w.chance, w.instances), true)
}

func (w *world) fell(i *instance, maybeApplied bool) {
	w.note("crash of instance %d", i.number)
	for _, r := range w.handled {
		if r.instance == i && !r.over && !r.lost {
			w.lose(r)
		}
	}
	w.kill(i, maybeApplied)
}

// takeover sends a request for another user's group, or for another group's client.
func (w *world) takeover() {
	victim := pick(w.chance, w.tabs)
	r := &request{tab: victim, ghost: true, thief: true, user: "thief"}
	stolen := victim.Pending()
	switch w.chance.IntN(3) {
	case 0:
		r.body, r.asked = victim.PullRequest(), victim.Cookie()
	case 1:
		r.push, r.sent, r.body = true, stolen, victim.PushRequest()
	default: // in the name of the thief's own group
		own := victim.Regroup(w.newClient(), w.newGroup(victim.space, r.user))
		w.oracle.groupOf[own.ID()] = own.Group()
		r.push, r.sent, r.body = true, stolen, own.PushRequestOf(stolen)
		r.needsClient = true
	}
	if r.push && len(stolen) == 0 {
		return
	}
	w.send(r)
}

// probe pulls with the state of a past, of another space or of nobody, as a new tab
// or as a new group.
func (w *world) probe() {
	t := pick(w.chance, w.tabs)
	if len(w.archive) > 0 && !w.one(3) {
		t = pick(w.chance, w.archive)
	}
	p := &tab{space: t.space, user: t.user}
	switch w.chance.IntN(3) {
	case 0:
		p.Client = t.Fork(w.newClient())
		w.oracle.groupOf[p.ID()] = p.Group()
	case 1:
		p.Client = t.Regroup(w.newClient(), w.newGroup(p.space, p.user))
	default: // the state of another space, perhaps
		p.space = pick(w.chance, w.spaces)
		p.Client = t.Regroup(w.newClient(), w.newGroup(p.space, p.user))
	}
	w.send(&request{tab: p, ghost: true, body: p.PullRequest(), asked: p.Cookie()})
}

// tabsComeAndGo opens a tab, keeps a state for later, or closes a tab for good.
func (w *world) tabsComeAndGo() {
	t := pick(w.chance, w.tabs)
	switch w.chance.IntN(4) {
	case 0:
		if len(w.tabs) < 12 {
			w.openTab(t)
		}
	case 1:
		if len(w.tabs) > 2 && len(t.Pending()) == 0 {
			w.note("tab %s closes", t.ID())
			w.tabs = slices.DeleteFunc(w.tabs, func(u *tab) bool { return u == t })
		}
	default:
		if len(w.archive) < 20 {
			w.note("state of %s is kept", t.ID())
			w.archive = append(w.archive, &tab{Client: t.Fork(t.ID()), space: t.space, user: t.user})
		}
	}
}

// operator writes or resets, beside everything else.
func (w *world) operator() {
	i, space := pick(w.chance, w.instances), pick(w.chance, w.spaces)
	if w.one(4) {
		w.note("operator resets %s", space)
		resets, exists := w.oracle.space(space).resets, w.oracle.space(space).head.number > 0
		go func() {
			_, err := i.engine.Reset(w.ctx, space)
			w.mu.Lock()
			defer w.mu.Unlock()
			if err == nil && exists && !i.store.dead && w.oracle.space(space).resets == resets {
				w.report(violated(Durable, "reset of %s is acknowledged, but not done", space))
			}
		}()
		return
	}
	w.writes++
	token := fmt.Sprintf(".%d", w.writes)
	op := &operation{args: args{Key: w.key(), To: w.key(), N: w.chance.IntN(3)}}
	w.oracle.ops[token] = op
	w.note("operator writes %s to %s", token, space)
	go func() {
		_, err := i.engine.Write(w.ctx, space, func(_ context.Context, tx mutate.WriteTransaction) error {
			return operate(tx, token, op.args)
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		w.written = append(w.written, written{token: token, instance: i, err: err})
	}()
}

// written is the end of an operator's write.
type written struct {
	token    string
	instance *instance
	err      error
}

// judgeWrite holds the service to what it has told an operator.
func (w *world) judgeWrite(o written) {
	if o.instance.store.dead {
		return
	}
	w.note("  operator's %s: %v", o.token, o.err)
	op := w.oracle.ops[o.token]
	switch {
	case errors.Is(o.err, errTorn):
		w.report(violated(Prefix, "operation %s has seen two halves of a race", o.token))
	case o.err == nil && !op.applied:
		w.report(violated(Durable, "operation %s is acknowledged, but not applied", o.token))
	case o.err == nil || unclear(o.err):
	case op.applied:
		w.report(violated(ExactlyOnce, "operation %s is applied, but said to have failed: %v", o.token, o.err))
	default:
		op.failed = true
	}
}

// errTorn is what an operator's function that sees a state which never was fails with.
var errTorn = errors.New("two keys differ, which they never do")

// operate is what operators write.
func operate(tx mutate.WriteTransaction, token string, a args) error {
	one, _, err := tx.Get("pair/1")
	if err != nil {
		return err
	}
	other, _, err := tx.Get("pair/2")
	if err != nil {
		return err
	}
	if string(one) != string(other) {
		return errTorn
	}
	if err := errors.Join(tx.Set("pair/1", token), tx.Set("pair/2", token)); err != nil {
		return err
	}
	if err := appendToken(tx, token, a); err != nil {
		return err
	}
	if err := move(tx, token, a); err != nil {
		return err
	}
	return note(tx, token)
}

// unclear reports whether an operation with this error may have been applied.
func unclear(err error) bool {
	return is(err, engine.ErrUnknownOutcome, context.Canceled, context.DeadlineExceeded)
}

// wipe makes the store forget everything: all instances are new, and what was on its
// way is gone, as when an emulator is started again.
func (w *world) wipe() {
	w.note("wipe")
	w.stop()
	w.memory.Wipe()
	for _, id := range w.spaces {
		w.oracle.wiped(id)
	}
	w.archive = nil
	w.sleep(time.Millisecond) // groups of the same id are told apart by when they were made
	w.start()
}

// stop ends the service and all that is on its way.
func (w *world) stop() {
	for len(w.instances) > 0 {
		w.fell(w.instances[0], false)
	}
	for _, r := range slices.Concat(w.network, w.replies) {
		w.lose(r)
	}
	w.network, w.replies, w.seen, w.late = nil, nil, nil, nil
	w.settle()
	w.late = nil
}

// restore makes a backup, or puts the last one back as an operator is told to: the
// service is stopped, the store restored, and every space told so.
func (w *world) restore() {
	if w.backup == nil || w.one(3) {
		w.note("backup")
		w.save()
		return
	}
	w.note("restore")
	w.stop()
	w.memory.Restore(w.backup.store)
	for _, id := range w.spaces {
		w.oracle.restored(id, w.backup.heads[id], w.backup.groups[id])
	}
	w.archive = nil
	w.sleep(time.Millisecond)
	w.start()
	for _, id := range w.spaces {
		e := w.instances[0].engine
		w.drive("Restored", func(ctx context.Context) error {
			_, err := e.Restored(ctx, id)
			return err
		})
	}
	w.sleep(time.Millisecond)
}

func (w *world) save() {
	b := &backup{
		store:  w.memory.Clone(),
		heads:  map[protocol.SpaceID]*version{},
		groups: map[protocol.SpaceID]map[protocol.ClientGroupID]bool{},
	}
	for _, id := range w.spaces {
		h := w.oracle.space(id)
		b.heads[id], b.groups[id] = h.head, maps.Clone(h.groups)
	}
	w.backup = b
}
