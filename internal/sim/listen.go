package sim

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// maxListeners bounds those who listen at a time.
const maxListeners = 4

// listener is a stream of pokes: what somebody hears of a space from an instance.
type listener struct {
	instance *instance
	space    protocol.SpaceID
	audience string
	sub      *poke.Subscription
	told     int64 // the version that it knows, -1 before the first
}

// watch is an instance's watch of a space, guarded by world.mu.
type watch struct {
	instance int
	space    protocol.SpaceID
	silent   bool // it tells nothing any more
	end      context.CancelCauseFunc
}

// newHub makes an instance's hub as the server does, but for chance.
func newHub(e *engine.Engine) *poke.Hub {
	return poke.NewHub(poke.Options{
		Watch: e.WatchNews,
		Head: func(ctx context.Context, id protocol.SpaceID) (int64, poke.Concerns, error) {
			return e.News(context.WithValue(ctx, runKey{}, "hub"), id)
		},
		Jitter: func(d time.Duration) time.Duration { return d / 2 },
		Logger: slog.New(slog.DiscardHandler),
	})
}

// Watch tells heads as the memory store does, until it is made to end or to be silent.
func (s *store) Watch(ctx context.Context, space protocol.SpaceID, notify func(engine.Head)) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	w, own := s.world, &watch{instance: s.instance, space: space, end: end}
	w.mu.Lock()
	s.watches[space] = own
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(s.watches, space)
	}()
	err := w.memory.Watch(ctx, space, func(h engine.Head) {
		w.mu.Lock()
		silent := own.silent
		w.mu.Unlock()
		if !silent {
			notify(h)
		}
	})
	return cmp.Or(context.Cause(ctx), err)
}

// watches are those of all instances that have not gone silent.
func (w *world) watches() []*watch {
	var all []*watch
	for _, i := range w.instances {
		for _, space := range w.spaces {
			if own := i.store.watches[space]; own != nil && !own.silent {
				all = append(all, own)
			}
		}
	}
	return all
}

var errUnwatched = errors.New("the watch was ended")

// unwatch ends a watch, or worse, has it be silent.
func (w *world) unwatch() {
	own := pick(w.chance, w.watches())
	if own.silent = w.one(2); !own.silent {
		own.end(errUnwatched)
	}
	w.note("watch of instance %d on %s: silent %t", own.instance, own.space, own.silent)
}

func (w *world) canListen() bool {
	return len(w.instances) > 0 && len(w.listeners) < maxListeners
}

// listen opens a stream of pokes.
func (w *world) listen() {
	i, space := pick(w.chance, w.instances), pick(w.chance, w.spaces)
	audience := engine.AudienceOf(space, userName(1+w.chance.IntN(users)))
	sub, err := i.hub.Subscribe(space, audience)
	w.note("listen to %s at instance %d: %v", space, i.number, err)
	if err != nil {
		w.report(violated(Poke, "subscription to %s: %v", space, err))
		return
	}
	w.listeners = append(w.listeners, &listener{instance: i, space: space, audience: audience, sub: sub, told: -1})
}

// unlisten ends one.
func (w *world) unlisten() {
	l := take(w, &w.listeners)
	w.note("leave %s at instance %d", l.space, l.instance.number)
	l.sub.Close()
}

// hangUp forgets the streams of an instance that dies.
func (w *world) hangUp(i *instance) {
	w.listeners = slices.DeleteFunc(w.listeners, func(l *listener) bool { return l.instance == i })
}

// hear has a listener read, and checks what it knows then: no version that there is not,
// and while the watch works, the newest. Nothing may be going on by itself.
func (w *world) hear(l *listener) {
	h := w.oracle.space(l.space)
	head, due := h.head.number, h.concerning(l.audience)
	select {
	case version := <-l.sub.C():
		w.note("poke of %s at instance %d: %d", l.space, l.instance.number, version)
		l.told = version
		l.instance.shown[l.space] = max(l.instance.shown[l.space], version)
	default:
	}
	own := l.instance.store.watches[l.space]
	switch {
	case l.told > head:
		w.report(violated(Poke, "instance %d pokes with version %d of %s, which is at %d",
			l.instance.number, l.told, l.space, head))
	case own != nil && !own.silent && l.told < due:
		w.report(violated(Poke, "listener to %s at instance %d knows version %d, not %d",
			l.space, l.instance.number, l.told, due))
	}
}

// judgePoke holds an instance to having told its own listeners of what it acknowledges,
// whoever has committed that: for this it needs no watch.
func (w *world) judgePoke(r *request, h *history) {
	if r.instance.store.dead {
		return
	}
	v := h.confirming(r)
	if v == nil {
		return
	}
	shown := r.instance.shown
	shown[r.space] = max(shown[r.space], v.number)
	for _, l := range w.listeners {
		if l.instance != r.instance || l.space != r.space {
			continue
		}
		if w.hear(l); l.told < min(v.number, h.concerning(l.audience)) {
			w.report(violated(Poke, "push #%d is acknowledged by instance %d, whose listener knows version %d, not %d",
				r.number, r.instance.number, l.told, v.number))
		}
	}
}

// confirming is the first version that has all that was pushed, nil if it was deleted since.
func (h *history) confirming(r *request) *version {
	var first *version
	for v := h.head; v != nil; v = v.prev {
		for _, m := range r.sent {
			if v.lmids[m.ClientID] < m.ID {
				return first
			}
		}
		first = v
	}
	return first
}

// due is the newest commit that a pull must show which comes to an instance now: the
// newest of all, or with PullMaxAge what the instance has told of, and what is older.
func (w *world) due(i *instance, space protocol.SpaceID) int {
	age := w.options.PullMaxAge
	for v := w.oracle.space(space).head; v != nil; v = v.prev {
		if age == 0 || v.number <= i.shown[space] || time.Since(v.at) >= age {
			return v.seq
		}
	}
	return 0
}

// findOut is how long hubs take at the most to find out that a watch is silent.
const findOut = 2*poke.DefaultPollInterval + poke.DefaultPollTimeout + poke.DefaultMaxBackoff

// catchUp gives the hubs the time to find out that a watch is silent. Then every listener
// must know the newest version.
func (w *world) catchUp() {
	if len(w.listeners) == 0 {
		return
	}
	if len(w.tabs) > 0 && w.one(6) {
		w.catchUpBusy()
	}
	w.pass(func() {})
	for _, l := range w.listeners {
		if w.hear(l); l.told < w.oracle.space(l.space).concerning(l.audience) {
			w.report(violated(Poke, "listener to %s at instance %d knows version %d in the end, not %d",
				l.space, l.instance.number, l.told, w.oracle.space(l.space).head.number))
		}
		if l.instance.store.watches[l.space] == nil {
			w.report(violated(Poke, "instance %d has listeners to %s and does not watch it", l.instance.number, l.space))
		}
	}
}

// catchUpBusy has clients push all the time to any instance, so that listeners hear of
// something even where the watch is silent. It must be found out nevertheless.
func (w *world) catchUpBusy() {
	write := func() {
		t := pick(w.chance, w.tabs)
		w.mutate(t)
		w.sync(t)
	}
	before := w.heads()
	w.pass(write)
	after := w.heads()
	w.pass(write)
	for _, l := range w.listeners {
		own := l.instance.store.watches[l.space]
		if own != nil && own.silent && after[l.space] > before[l.space] {
			w.report(violated(Poke, "instance %d still trusts a watch of %s that has missed version %d",
				l.instance.number, l.space, after[l.space]))
		}
	}
}

// pass lets the time to find out pass, in which something is done now and then.
func (w *world) pass(do func()) {
	const step = 10 * time.Second
	for passed := time.Duration(0); passed < findOut && w.result.Violation == nil; passed += step {
		do()
		w.sleep(step)
		w.drain()
	}
}

func (w *world) heads() map[protocol.SpaceID]int64 {
	heads := map[protocol.SpaceID]int64{}
	for _, space := range w.spaces {
		heads[space] = w.oracle.space(space).head.number
	}
	return heads
}
