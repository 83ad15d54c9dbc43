package poke

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/replifire/replifire/protocol"
)

// errSilent ends a watch that has not told of a change.
var errSilent = errors.New("watch has missed a change")

// space is one that has, or just had, subscribers.
type space struct {
	hub    *Hub
	id     protocol.SpaceID
	ctx    context.Context // ends when nobody is interested any more
	cancel context.CancelFunc

	// Owned by Hub.mu.
	users  int
	linger *time.Timer
	poll   *time.Timer

	// mu is held for moments, and nothing is called under it.
	mu sync.Mutex
	// version is what subscribers are to know; of no meaning until known is set.
	version int64
	known   bool
	// unheard says whom the versions concern that the dispatcher is still to tell; everyone
	// is set where that are all listeners.
	unheard  []func(audience string) bool
	everyone bool
	// watched and own are what was heard from the watch and from commits of this process.
	watched, own source
	// checked is how much had been heard from the watch at the last check.
	checked uint64
	// queued: the dispatcher will call tell.
	queued bool
	// restart gives up the current watch, for another.
	restart func()

	// subsMu is held while every subscriber's mailbox is filled. It is taken before
	// mu.
	subsMu sync.Mutex
	subs   []*Subscription
	ended  bool
}

// source is where versions come from.
type source struct {
	version int64  // the last one, 0 before the first; see learn for what it is good for
	heard   uint64 // how many have come
}

// stop ends the watch; called under Hub.mu.
func (s *space) stop() {
	s.linger.Stop()
	s.poll.Stop()
	s.cancel()
}

// supervise keeps a watch going.
func (s *space) supervise() {
	for failures := 0; s.ctx.Err() == nil; failures++ {
		began := time.Now()
		err := s.watch()
		if s.ctx.Err() != nil {
			return
		}
		if time.Since(began) >= s.hub.opts.MaxBackoff {
			failures = 0
		}
		pause := s.hub.opts.backoff(failures)
		s.hub.opts.Logger.WarnContext(s.ctx, "watch of a space ended, another follows",
			"space", s.id, "failures", failures+1, "pause", pause, "error", err)
		s.sleep(pause)
	}
}

// watch watches until the watch breaks, or was found to be silent.
func (s *space) watch() error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.restart = func() { cancel(errSilent) }
	s.mu.Unlock()
	err := s.hub.opts.Watch(ctx, s.id, s.seen)
	return cmp.Or(context.Cause(ctx), err)
}

func (s *space) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

// seen takes a version from the watch.
func (s *space) seen(version int64, concerns Concerns) { s.learn(version, concerns, &s.watched) }

// committed takes a version from a commit of this process.
func (s *space) committed(version int64, concerns Concerns) { s.learn(version, concerns, &s.own) }

// learn takes a version from a source. A version
// lower than the known one has two causes. Mostly it is old news: the watch is a
// little behind the commits of this process, or the other way round; telling it
// would make every client pull once more. But a source that goes down itself says
// that the store was wiped or restored, which clients must hear of.
func (s *space) learn(version int64, concerns Concerns, from *source) {
	s.mu.Lock()
	wentDown := version < from.version
	from.version = version
	from.heard++
	news := !s.known || version > s.version || (wentDown && version != s.version)
	enqueue := news && s.adopt(version, concerns)
	s.mu.Unlock()
	if enqueue {
		s.hub.enqueue(s)
	}
}

// maxUnheard bounds the versions that are told together and do not concern everyone.
const maxUnheard = 64

// adopt has the subscribers whom a version concerns be told it, and reports whether the
// dispatcher is still to hear of that. Called under mu.
func (s *space) adopt(version int64, concerns Concerns) (enqueue bool) {
	if heard := s.version; concerns != nil && s.known && len(s.unheard) < maxUnheard {
		s.unheard = append(s.unheard, func(audience string) bool { return concerns(audience, heard) })
	} else {
		s.everyone = true
	}
	s.version, s.known = version, true
	enqueue = !s.queued
	s.queued = true
	return enqueue
}

// check reads the head, if the watch has been silent since the last check, whatever
// this process has committed meanwhile. When there is something that the watch should have
// told, it is not to be trusted any more.
func (s *space) check() {
	s.mu.Lock()
	watched, own := s.watched.heard, s.own.heard
	silent := watched == s.checked
	s.checked = watched
	s.mu.Unlock()
	if !silent {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.hub.opts.PollTimeout)
	defer cancel()
	version, concerns, err := s.hub.opts.Head(ctx, s.id)
	if err != nil {
		if s.ctx.Err() == nil {
			s.hub.opts.Logger.WarnContext(s.ctx, "read of a watched space's version", "space", s.id, "error", err)
		}
		return
	}
	s.polledVersion(version, concerns, watched, own)
}

// polledVersion takes a version that was read when so many had been heard from the watch
// and from this process. It is old news if anything was heard while it was being read.
func (s *space) polledVersion(version int64, concerns Concerns, watched, own uint64) {
	s.mu.Lock()
	if s.watched.heard != watched {
		s.mu.Unlock()
		return
	}
	news := s.own.heard == own && (!s.known || version != s.version)
	enqueue := news && s.adopt(version, concerns)
	deaf, restart := version != s.watched.version, s.restart
	s.mu.Unlock()
	if enqueue {
		s.hub.enqueue(s)
	}
	if deaf {
		restart()
	}
}

// tell fills the mailboxes of those who do not know the version yet.
func (s *space) tell() {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	s.mu.Lock()
	version, unheard, everyone := s.version, s.unheard, s.everyone
	s.queued, s.unheard, s.everyone = false, nil, false
	s.mu.Unlock()
	for _, sub := range s.subs {
		if everyone || slices.ContainsFunc(unheard, func(concerns func(string) bool) bool {
			return concerns(sub.audience)
		}) {
			sub.deliver(version)
		}
	}
}

// add gives a new subscriber the version, if it is known.
func (s *space) add(sub *Subscription) {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	if s.ended {
		close(sub.mailbox)
		sub.ended = true
	}
	sub.index = len(s.subs)
	s.subs = append(s.subs, sub)
	s.mu.Lock()
	version, known := s.version, s.known
	s.mu.Unlock()
	if known {
		sub.deliver(version)
	}
}

// remove reports whether the subscriber was there.
func (s *space) remove(sub *Subscription) bool {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	if sub.index < 0 {
		return false
	}
	last := len(s.subs) - 1
	s.subs[sub.index] = s.subs[last]
	s.subs[sub.index].index = sub.index
	s.subs[last] = nil
	s.subs = s.subs[:last]
	sub.index = -1
	return true
}

// end closes every mailbox: the hub is closed.
func (s *space) end() {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	s.ended = true
	for _, sub := range s.subs {
		sub.ended = true
		close(sub.mailbox)
	}
}
