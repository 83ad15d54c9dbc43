package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"time"

	"github.com/replifire/replifire/limit"
)

const (
	// firstRead is how much of a body is made room for before any of it is there: a
	// Content-Length is easily said.
	firstRead = 32 << 10
	// largeBody is the size beyond which a body is a large one: it takes one of the
	// user's few places, and waits for its turn to be decoded.
	largeBody = 256 << 10
	// heldBody is room for the buffers of a push.
	heldBody = 1 << 20
	// mostDebt is how long a body waits at the most for the bytes that were sent before
	// it. Two large bodies at once never owe as much.
	mostDebt = 5 * time.Second
)

// bodies are the limits of bodies at work.
type bodies struct {
	users, addresses          *limit.Buckets // of bytes
	userPlaces, addressPlaces *limit.Slots   // of large ones
	memory                    *limit.Budget  // of all
	largeMemory               *limit.Budget  // of large ones, who leave some for the others
	turns                     *limit.Turns   // of decoding a large body
}

func newBodies(l Limits) bodies {
	return bodies{
		users:         limit.NewBuckets(l.UserBytes, maxBuckets),
		addresses:     limit.NewBuckets(l.AddressBytes, maxBuckets),
		userPlaces:    limit.NewSlots(l.MaxUserBodies),
		addressPlaces: limit.NewSlots(l.MaxAddressBodies),
		memory:        limit.NewBudget(l.MaxBodiesBytes),
		largeMemory:   limit.NewBudget(largeShare(l)),
		turns:         limit.NewTurns(runtime.GOMAXPROCS(0) / 2),
	}
}

// largeShare is how much of the memory large bodies may take: the largest one fits.
func largeShare(l Limits) int64 {
	if l.MaxBodiesBytes == 0 {
		return 0
	}
	return max(l.MaxBodiesBytes/4*3, min(LeastBodiesBytes(l.MaxBodyBytes), l.MaxBodiesBytes))
}

// below reports whether a body of so many bytes could never be paid for.
func below(r limit.Rate, size int64) bool { return r.PerSecond > 0 && int64(r.Burst) < size }

// body is the body of a request, and what it holds of what all share.
type body struct {
	x      *exchange
	from   io.Reader
	size   int64         // of what has arrived
	read   bool          // to its end
	until  time.Time     // it may arrive
	waited time.Duration // for bytes to arrive

	taken int64  // of the memory of all
	large int64  // of that, of the memory of large ones; 0: it is none
	free  func() // gives back its places; nil if it has none
}

// openBody begins to read the request's body.
func (x *exchange) openBody() (*body, error) {
	b := &x.body
	b.x, b.from, b.until = x, x.r.Body, time.Now().Add(bodyLife)
	if x.r.ContentLength > largeBody {
		if err := b.enlarge(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// readBody reads a body that is not longer than it may be, into memory that grows with what
// has arrived.
func (x *exchange) readBody() ([]byte, error) {
	b, err := x.openBody()
	if err != nil {
		return nil, err
	}
	most := x.h.config.MaxBodyBytes
	// The server's own writer is needed to close the connection afterwards.
	b.from = http.MaxBytesReader(x.w.ResponseWriter, x.r.Body, most)
	var data []byte
	size := min(max(x.r.ContentLength, 0)+bytes.MinRead, firstRead)
	for {
		if len(data) == cap(data) {
			size = min(size, most+bytes.MinRead)
			if err := b.hold(size); err != nil {
				return nil, err
			}
			data = append(make([]byte, 0, size), data...)
			size *= 2
		}
		n, err := b.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Read reads what has arrived, and no faster than the user and the address may send.
func (b *body) Read(p []byte) (int, error) {
	// No more at once than the burst of a rate is.
	n, end := b.receive(p[:min(int64(len(p)), largeBody, b.x.h.config.MaxBodyBytes)])
	if end != nil && !errors.Is(end, io.EOF) {
		return n, end
	}
	b.size += int64(n)
	b.read = end != nil
	if b.size > largeBody {
		if err := b.enlarge(); err != nil {
			return n, err
		}
	}
	if err := b.pay(n); err != nil {
		return n, err
	}
	return n, end
}

// hold takes memory, so that the body has so many bytes in all, at least.
func (b *body) hold(size int64) error {
	if size <= b.taken {
		return nil
	}
	l := &b.x.h.limits.bodies
	if size > largeBody {
		if err := b.enlarge(); err != nil {
			return err
		}
	}
	if b.free != nil {
		if !l.largeMemory.Take(size - b.large) {
			return overloaded("large requests", largeShare(b.x.h.config.Limits))
		}
		b.large = size
	}
	if !l.memory.Take(size - b.taken) {
		return overloaded("requests", b.x.h.config.MaxBodiesBytes)
	}
	b.taken = size
	return nil
}

func overloaded(which string, most int64) error {
	return refusal{http.StatusTooManyRequests, "overloaded", fmt.Sprintf(
		"The bodies of all %s under way are %d bytes together, which is the limit.", which, most,
	)}
}

// enlarge takes a place for a large body, of the user and of the address, if it has none.
func (b *body) enlarge() error {
	if b.free != nil {
		return nil
	}
	l := &b.x.h.limits.bodies
	user, ok := func() {}, true
	if b.x.principal.UserID != "" {
		user, ok = l.userPlaces.Take(b.x.principal.UserID)
	}
	if !ok {
		return tooManyBodies("user", b.x.h.config.MaxUserBodies)
	}
	address, ok := l.addressPlaces.Take(b.x.address())
	if !ok {
		user()
		return tooManyBodies("address", b.x.h.config.MaxAddressBodies)
	}
	b.free = func() { user(); address() }
	return nil
}

func tooManyBodies(whose string, most int) error {
	return refusal{http.StatusTooManyRequests, "rate_limited", fmt.Sprintf(
		"One %s may send %d bodies of more than %d bytes at once.", whose, most, largeBody,
	)}
}

// pay counts n bytes that have arrived. Who has sent more than he may waits: nothing is
// read from him meanwhile.
func (b *body) pay(n int) error {
	l := &b.x.h.limits.bodies
	if user := b.x.principal.UserID; user != "" {
		if err := b.payTo(l.users, user, "user", n); err != nil {
			return err
		}
	}
	if l.addresses == nil {
		return nil
	}
	return b.payTo(l.addresses, b.x.address(), "address", n)
}

func (b *body) payTo(buckets *limit.Buckets, key, whose string, n int) error {
	if buckets == nil {
		return nil
	}
	rate := buckets.Rate()
	// At a low rate what has been read at once may take longer: who is alone goes on.
	most := max(mostDebt, time.Duration(float64(n)/rate.PerSecond*float64(time.Second))+time.Millisecond)
	wait, ok := buckets.Spend(key, n, most)
	if !ok {
		return throttled(int(math.Ceil((wait - most).Seconds())),
			"The bodies of one %s may have %s bytes a second, and %d at once.",
			whose, number(rate.PerSecond), rate.Burst)
	}
	return b.x.sleep(wait)
}

// sleep waits, or ends with the request.
func (x *exchange) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-x.h.arrivals.stopped:
		return errClosing
	case <-x.r.Context().Done():
		return context.Cause(x.r.Context())
	}
}

// inTurn is a body that is decoded while it is read. Of a large one that is done when it is
// its turn: at most half the processors do that, so that small requests, which most are,
// find one that is free. Who has waited longest comes first.
type inTurn struct {
	*body
	done func() // gives the turn back; nil if it has none
}

// Read gives the turn back until something has arrived.
func (t *inTurn) Read(p []byte) (int, error) {
	t.end()
	n, err := t.body.Read(p)
	if t.size <= largeBody || err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	done, late := t.x.h.limits.bodies.turns.Wait(t.x.r.Context())
	if late != nil {
		return n, late
	}
	t.done = done
	return n, err
}

func (t *inTurn) end() {
	if t.done != nil {
		t.done()
		t.done = nil
	}
}

// release gives back what the body has taken, and forgets it.
func (b *body) release() {
	if b.free != nil {
		b.free()
	}
	if b.x != nil {
		b.x.h.limits.bodies.largeMemory.Give(b.large)
		b.x.h.limits.bodies.memory.Give(b.taken)
	}
	*b = body{read: b.read}
}
