package poke

import (
	"context"
	"sync"
	"time"

	"github.com/replifire/replifire/protocol"
)

// Hub tells subscribers of the versions of their spaces. Make it with NewHub, end
// it with Close. All methods are safe for concurrent use.
type Hub struct {
	opts Options

	// ctx ends with Close.
	ctx    context.Context
	cancel context.CancelFunc
	// work counts the goroutines: the dispatcher, the watches, polls under way.
	// Add is called under mu and not once closed is set, so never beside Wait.
	work sync.WaitGroup
	// wake has room for one: there is something in dirty.
	wake chan struct{}

	mu     sync.Mutex
	closed bool
	total  int // of subscribers
	spaces map[protocol.SpaceID]*space
	dirty  []*space // have a version to tell, in the order they came
}

// NewHub makes a Hub, which watches nothing until somebody subscribes.
func NewHub(o Options) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hub{
		opts:   o.withDefaults(),
		ctx:    ctx,
		cancel: cancel,
		wake:   make(chan struct{}, 1),
		spaces: map[protocol.SpaceID]*space{},
	}
	h.work.Go(h.dispatch)
	return h
}

// Notify tells the hub of a commit of this process. It costs the same whatever
// the number of subscribers, and waits for none of them.
func (h *Hub) Notify(id protocol.SpaceID, version int64, concerns Concerns) {
	h.mu.Lock()
	s := h.spaces[id]
	h.mu.Unlock()
	if s != nil {
		s.committed(version, concerns)
	}
}

// Subscribe adds a listener to a space. It is told the version of the space as
// soon as it is known, and then of every change that concerns its audience. The caller
// closes the Subscription. Fails with ErrTooManyStreams or ErrClosed.
func (h *Hub) Subscribe(id protocol.SpaceID, audience string) (*Subscription, error) {
	s, err := h.enter(id)
	if err != nil {
		return nil, err
	}
	sub := &Subscription{space: s, audience: audience, mailbox: make(chan int64, 1)}
	s.add(sub)
	return sub, nil
}

// enter counts a subscriber in, and begins to watch the space if nobody does.
func (h *Hub) enter(id protocol.SpaceID) (*space, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	s, users := h.spaces[id], 0
	if s != nil {
		users = s.users
	}
	if err := h.opts.full(h.total, users); err != nil {
		return nil, err
	}
	if s == nil {
		s = h.watch(id)
	}
	s.linger.Stop()
	s.users++
	h.total++
	return s, nil
}

// watch adds a space; called under mu.
func (h *Hub) watch(id protocol.SpaceID) *space {
	s := &space{hub: h, id: id, restart: func() {}}
	s.ctx, s.cancel = context.WithCancel(h.ctx)
	s.linger = time.AfterFunc(h.opts.Linger, func() { h.retire(s) })
	s.poll = time.AfterFunc(h.opts.pollAfter(), func() { h.pollSpace(s) })
	h.spaces[id] = s
	h.work.Go(s.supervise)
	return s
}

// leave counts a subscriber out. A space that nobody listens to is watched a
// little longer: the one who left may be about to reconnect.
func (h *Hub) leave(s *space) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.users--
	h.total--
	if s.users == 0 && !h.closed {
		s.linger.Reset(h.opts.Linger)
	}
}

// retire ends the watch of a space, unless somebody came back meanwhile.
func (h *Hub) retire(s *space) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.users > 0 || h.closed || h.spaces[s.id] != s {
		return
	}
	delete(h.spaces, s.id)
	s.stop()
}

// pollSpace reads the head of a space whose watch is silent, and sets the timer
// for the next time.
func (h *Hub) pollSpace(s *space) {
	h.mu.Lock()
	if s.ctx.Err() != nil || h.closed {
		h.mu.Unlock()
		return
	}
	h.work.Add(1)
	h.mu.Unlock()
	defer h.work.Done()

	s.check()

	h.mu.Lock()
	defer h.mu.Unlock()
	if s.ctx.Err() == nil {
		s.poll.Reset(h.opts.pollAfter())
	}
}

// enqueue has the dispatcher tell the space's version.
func (h *Hub) enqueue(s *space) {
	h.mu.Lock()
	h.dirty = append(h.dirty, s)
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default: // it will find this one too
	}
}

// dispatch tells versions to subscribers, one space after the other, so that
// neither a commit nor a watch waits while thousands of mailboxes are filled.
// Versions that come quickly become one.
func (h *Hub) dispatch() {
	var dirty []*space
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
		}
		h.mu.Lock()
		dirty, h.dirty = h.dirty, dirty // the other one's memory is used again
		h.mu.Unlock()
		for _, s := range dirty {
			s.tell()
		}
		clear(dirty)
		dirty = dirty[:0]
	}
}

// Close ends every subscription and watch, and returns when no goroutine of the
// hub is left. It may be called more than once.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for _, s := range h.spaces {
		s.stop()
	}
	h.mu.Unlock()
	h.cancel()
	h.work.Wait()

	h.mu.Lock()
	spaces := h.spaces
	h.spaces = nil
	h.mu.Unlock()
	for _, s := range spaces {
		s.end()
	}
}
