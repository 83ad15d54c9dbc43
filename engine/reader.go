package engine

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/replifire/replifire/protocol"
)

// reader answers the pulls of one space together. Pulls that arrive while a read of
// the store is under way share the next one, which begins after they have arrived and
// so shows whatever was acknowledged before. And it keeps the space's tail, so that
// a change is read at most once, or not at all where this process has made it.
type reader struct {
	engine *Engine
	id     protocol.SpaceID

	mu      sync.Mutex
	running bool    // a goroutine reads
	looks   []*look // what it will read next, one after the other
	tail    tail
	// checked is when the tail's head was last known to be the store's.
	checked time.Time
	// heard is the highest version that this process has learned of otherwise: from a
	// watch, by Head, or as that of its own commit, the last time at heardAt. It begins
	// anew with a later read that shows another history.
	heard   int64
	heardAt time.Time
	gone    bool // the engine has forgotten it: it keeps nothing more
}

// look is one read of the store for all who wait for it.
type look struct {
	groups  map[protocol.ClientGroupID]bool
	clients map[protocol.ClientID]bool
	names   int   // bytes of them, as in maxNames
	since   int64 // the least version of the cookies that were sent
	waiters int
	done    chan struct{}
	snap    Snapshot
	err     error
}

// reader finds the space's reader, or makes one.
func (e *Engine) reader(id protocol.SpaceID) *reader {
	if r, ok := e.readers.Get(id); ok {
		return r
	}
	r := &reader{engine: e, id: id, tail: tail{limit: e.opts.MaxTailBytes}}
	if other, ok, _ := e.readers.PeekOrAdd(id, r); ok {
		return other
	}
	return r
}

// forget is for readers that have not been used for long.
func (r *reader) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.engine.tailBytes.Add(-int64(r.tail.bytes))
	r.tail.drop()
	r.gone = true
}

// recent is the head of a tail that needs no check, by Options.PullMaxAge.
func (r *reader) recent() (Head, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := r.engine.opts.PullMaxAge
	fresh := age > 0 && r.tail.live && r.heard <= r.tail.head.Version && time.Since(r.checked) < age
	return r.tail.head, fresh
}

// since finds what has changed after a version in the tail, if that is of the same
// history as head and not behind it.
func (r *reader) since(head Head, version int64, group protocol.ClientGroupID) (recalled, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.tail.sameHistory(head) || r.tail.head.Version < head.Version {
		return recalled{}, false
	}
	return r.tail.since(version, group)
}

// look waits for a read that begins after the call and has docs in it.
func (r *reader) look(ctx context.Context, docs Documents, cookie protocol.Cookie) (Snapshot, error) {
	l, ok := r.join(docs, cookie)
	if !ok {
		return r.engine.snapshot(ctx, r.id, docs)
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if errors.Is(l.err, ErrCorrupt) && l.waiters > 1 {
		return r.engine.snapshot(ctx, r.id, docs) // it may be a neighbour's document
	}
	return l.snap, l.err
}

// join adds a pull to the next read that has room for it; false when the engine is closed,
// which waits for a reader and not for those who go on asking.
func (r *reader) join(docs Documents, cookie protocol.Cookie) (*look, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.engine.closing() || !r.running && !r.engine.start(r.run) {
		return nil, false
	}
	r.running = true
	if n := len(r.looks); n == 0 || !r.looks[n-1].add(docs) {
		l := newLook()
		l.add(docs)
		r.looks = append(r.looks, l)
	}
	l := r.looks[len(r.looks)-1]
	l.waiters++
	if cookie.Ours && (!r.tail.live || cookie.Epoch == r.tail.head.Epoch) {
		l.since = min(l.since, cookie.Version)
	}
	return l, true
}

func newLook() *look {
	return &look{
		groups: map[protocol.ClientGroupID]bool{}, clients: map[protocol.ClientID]bool{},
		since: math.MaxInt64, done: make(chan struct{}),
	}
}

// add takes in what a pull asks for; false if one request does not take so much.
func (l *look) add(docs Documents) bool {
	names := l.names
	for _, id := range docs.Groups {
		if !l.groups[id] {
			names += len(id) + nameBytes
		}
	}
	for _, id := range docs.Clients {
		if !l.clients[id] {
			names += len(id) + nameBytes
		}
	}
	if names > maxNames && l.waiters > 0 {
		return false
	}
	l.names = names
	for _, id := range docs.Groups {
		l.groups[id] = true
	}
	for _, id := range docs.Clients {
		l.clients[id] = true
	}
	return true
}

// run reads until nobody waits.
func (r *reader) run() {
	for l := r.take(); l != nil; l = r.take() {
		r.read(l)
		close(l.done)
	}
}

// take is the next look; after nil the reader runs no more.
func (r *reader) take() *look {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.looks) == 0 {
		r.looks, r.running = nil, false
		return nil
	}
	l := r.looks[0]
	r.looks = r.looks[1:]
	return l
}

func (r *reader) read(l *look) {
	docs := Documents{
		Head:    true,
		Groups:  slices.Sorted(maps.Keys(l.groups)),
		Clients: slices.Sorted(maps.Keys(l.clients)),
	}
	r.mu.Lock()
	before := r.tail.head
	r.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.engine.ctx, r.engine.opts.StoreTimeout)
	defer cancel()
	if l.snap, l.err = r.engine.snapshot(ctx, r.id, docs); l.err != nil {
		return
	}
	defer r.engine.limitTails()
	for done := false; !done; {
		after, ok := r.follow(before, l.snap.Head(), l.since, began)
		if !ok {
			return
		}
		entries, clients, err := readChanges(ctx, l.snap, after, r.engine.opts.MaxTailBytes)
		done = r.extend(l.snap.Head(), after, entries, clients, err, began)
	}
}

// follow compares the tail with a head that was read, and says after which version
// the changes are to be read; false: none need be.
func (r *reader) follow(before, head Head, since int64, began time.Time) (after int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.account(r.tail.bytes)
	t := &r.tail
	switch {
	case !head.Exists() || r.gone:
		t.drop()
		r.unhear(head, began)
		return 0, false
	case !t.sameHistory(head) || head.Version < before.Version:
		r.leave(before, head)
		t.reset(head, head.Version)
		r.unhear(head, began)
	case head.Floor > t.head.Version:
		// Tombstones of what the tail has not seen may be gone: going on would
		// leave a hole.
		t.reset(head, head.Version)
	}
	back := since < t.from && since > t.beyond && since >= head.Floor && head.Version-since <= maxTailVersions
	switch {
	case back:
		return since, true
	case head.Version <= t.head.Version:
		r.checked = began
		return 0, false
	case head.Version-t.head.Version > maxTailVersions:
		t.reset(head, head.Version)
		r.checked = began
		return 0, false
	default:
		return t.head.Version, true
	}
}

// leave forgets what depends on a history that the space has left; before is the tail's head
// when the read of head began.
func (r *reader) leave(before, head Head) {
	if !before.Exists() || !head.contradicts(before.Version, before.Name()) {
		return
	}
	r.engine.groups.Purge() // some may not have been made yet, or by somebody else
	r.engine.opts.Logger.WarnContext(r.engine.ctx, "space has gone back to an earlier state: its clients start afresh",
		"space", r.id, "seen_version", before.Version, "version", head.Version)
}

// extend takes in the changes that were read, unless the tail has gone on by itself
// meanwhile. Changes that could not be read leave an empty tail and no hole. False: they
// are too many as far back as that, and it is to be gone on without.
func (r *reader) extend(
	head Head, after int64, entries []Entry, clients []Client, err error, began time.Time,
) (done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.account(r.tail.bytes)
	t := &r.tail
	switch {
	case r.gone || t.live && t.head.Version > head.Version:
		return true
	case errors.Is(err, errTooMuch) && after < t.from && t.sameHistory(head):
		t.beyond = after
		return false
	case err != nil:
		t.reset(head, head.Version)
		return true
	case !t.live || after < t.from || t.head.Version < after:
		t.reset(head, after)
	}
	t.add(head, entries, clients)
	if after < t.from { // it was too much after all, and is not to be read again
		t.beyond = max(t.beyond, after)
	}
	r.checked = began
	return true
}

// account tells the engine how the tail has grown; called under mu, with the bytes of
// before.
func (r *reader) account(before int) { r.engine.tailBytes.Add(int64(r.tail.bytes - before)) }

// committed takes in a commit of this process that has become durable.
func (r *reader) committed(c Commit, head Head, sent time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.account(r.tail.bytes)
	r.hear(head)
	t := &r.tail
	switch {
	case r.gone || !t.live || t.head.Version >= head.Version && t.head.Epoch == head.Epoch:
		return
	case t.head.Nonce != c.Prev.Nonce:
		return // others have committed in between: the next read finds out
	case c.Next.Epoch != c.Prev.Epoch:
		t.reset(head, head.Version)
	default:
		t.add(head, c.Entries, c.Clients)
	}
	r.checked = sent
}

// hear notes a head that the tail may not have got to yet; called under mu.
func (r *reader) hear(head Head) {
	r.heard, r.heardAt = max(r.heard, head.Version), time.Now()
}

// unhear forgets what was heard before a read began that shows another history; called
// under mu.
func (r *reader) unhear(head Head, began time.Time) {
	if r.heardAt.Before(began) {
		r.heard = head.Version
	}
}

// fed gives a commit to the space's reader, if it has one, and keeps all tails
// together within their limit.
func (e *Engine) fed(id protocol.SpaceID, c Commit, head Head, sent time.Time) {
	if r, ok := e.readers.Peek(id); ok {
		r.committed(c, head, sent)
	}
	e.limitTails()
}

// limitTails forgets the readers that have not been used for longest.
func (e *Engine) limitTails() {
	for e.tailBytes.Load() > e.opts.MaxMemoryBytes {
		if _, _, ok := e.readers.RemoveOldest(); !ok {
			return
		}
	}
}
