package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// action is one thing that may happen next.
type action struct {
	weight int
	fault  Fault // 0: no trouble
	can    func() bool
	do     func()
}

// act does one thing that can happen now.
func (w *world) act() {
	w.now = w.now[:0]
	total := 0
	for i := range w.actions {
		a := &w.actions[i]
		if (a.fault == 0 || w.may(a.fault)) && a.can() {
			w.now = append(w.now, a)
			total += a.weight
		}
	}
	n := w.chance.IntN(total)
	for _, a := range w.now {
		if n -= a.weight; n < 0 {
			a.do()
			return
		}
	}
}

// allActions are those of clients and servers, and the troubles.
func (w *world) allActions() []action {
	always := func() bool { return true }
	serving := func() bool { return len(w.network) > 0 && len(w.instances) > 0 }
	parked := func() bool { return len(w.parked) > 0 }
	answered := func() bool { return len(w.replies) > 0 }
	return append([]action{
		{12, 0, w.hasTabs, func() { w.mutate(pick(w.chance, w.tabs)) }},
		{12, 0, w.canPush, func() { w.sendPush(pick(w.chance, w.pushers())) }},
		{8, 0, w.canPull, func() { w.sendPull(pick(w.chance, w.pullers())) }},
		{20, 0, serving, func() { w.deliver(take(w, &w.network), pick(w.chance, w.instances)) }},
		{50, 0, parked, w.storeStep},
		{20, 0, answered, func() { w.arrive(take(w, &w.replies)) }},
		{4, 0, always, func() { w.pause(time.Millisecond, 5*time.Millisecond, 100*time.Millisecond) }},
		{2, 0, func() bool { return len(w.instances) == 0 }, w.start},
		{2, 0, w.canListen, w.listen},
		{1, 0, func() bool { return len(w.listeners) > 0 }, w.unlisten},
		{1, Promote, always, w.promote},
		{1, Slow, always, func() { w.pause(time.Second, 11*time.Second, 40*time.Second, 50*time.Minute) }},
		{6, 0, func() bool { return len(w.late) > 0 }, w.lateStep},
	}, w.troubles()...)
}

// take removes one of a list, any of them.
func take[T any](w *world, list *[]T) T {
	i := w.chance.IntN(len(*list))
	x := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return x
}

func (w *world) hasTabs() bool { return len(w.tabs) > 0 }
func (w *world) canPush() bool { return slices.ContainsFunc(w.tabs, (*tab).mayPush) }
func (w *world) canPull() bool { return slices.ContainsFunc(w.tabs, (*tab).mayPull) }

func (t *tab) mayPush() bool { return !t.pushing && len(t.Pending()) > 0 }
func (t *tab) mayPull() bool { return !t.pulling }

func (w *world) pushers() []*tab { return filter(w.tabs, (*tab).mayPush) }
func (w *world) pullers() []*tab { return filter(w.tabs, (*tab).mayPull) }

func filter[T any](list []T, keep func(T) bool) []T {
	var kept []T
	for _, x := range list {
		if keep(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

// pause lets about one of these times pass.
func (w *world) pause(times ...time.Duration) {
	d := pick(w.chance, times)
	d += time.Duration(w.chance.Int64N(int64(d)))
	w.note("sleep %v", d)
	w.sleep(d)
}

// storeStep lets a parked call of the store go on, one way or another.
func (w *world) storeStep() {
	c := pick(w.chance, w.parked)
	v := goOn
	switch {
	case w.may(StoreError) && w.one(20):
		v = fail
	case c.commit == nil:
	case w.may(Conflict) && w.one(15):
		v = pick(w.chance, []verdict{conflict, conflict, conflictApplied})
	case w.may(Unknown) && w.one(8):
		v = pick(w.chance, []verdict{unknownApplied, unknownNot, unknownLater})
	}
	w.release(c, v)
}

// lateStep applies a commit that nobody waits for any more, or lets it be.
func (w *world) lateStep() {
	l := take(w, &w.late)
	if w.one(4) {
		w.note("late commit of %s dropped", l.space)
		return
	}
	_, err := w.apply(w.ctx, l.space, l.commit)
	w.note("late commit of %s: %v", l.space, err)
}

// mutate has a tab make a mutation.
func (w *world) mutate(t *tab) {
	names := []string{
		"append", "append", "append", "set", "set", "del", "del", "move", "sweep", "tally", "own", "own",
		"claim", "reject", "panic", "poison", "retry", "unknown", "bad",
	}
	name := pick(w.chance, names)
	a := args{Key: w.key(), To: w.key(), Value: "v", N: 1 + w.chance.IntN(3)}
	raw, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	if name == "bad" {
		name, raw = "append", json.RawMessage(`["bad"]`)
	}
	m := t.Mutate(name, raw, time.Now())
	w.result.Mutations++
	w.oracle.issued[t.ID()] = append(w.oracle.issued[t.ID()], issued{name, raw})
	w.note("mutate %s.%d %s %s", m.ClientID, m.ID, name, raw)
	if len(w.oracle.issued[t.ID()]) != int(m.ID) {
		w.report(violated(LMIDMonotone, "client %s has mutation %d after %d", t.ID(), m.ID, len(w.oracle.issued[t.ID()])-1))
	}
}

func (w *world) key() string { return fmt.Sprintf("k/%02d", w.chance.IntN(w.keys)) }
