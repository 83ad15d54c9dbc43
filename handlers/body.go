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
	return max(l.MaxBodiesBytes/4*3, min(l.MaxBodyBytes+bytes.MinRead, l.MaxBodiesBytes))
}

// below reports whether a body of so many bytes could never be paid for.
func below(r limit.Rate, size int64) bool { return r.PerSecond > 0 && int64(r.Burst) < size }

// body is the body of a request, and what it holds of what all share.
type body struct {
	x     *exchange
	data  []byte
	taken int64  // of the memory of all
	large int64  // of that, of the memory of large ones; 0: it is none
	free  func() // gives back its places; nil if it has none
	read  bool   // to its end
}

// readBody reads the request's body, into memory that grows with what has arrived, and
// no faster than the user and the address may send.
func (x *exchange) readBody() ([]byte, error) {
	b := &x.body
	b.x = x
	most := x.h.config.MaxBodyBytes
	if x.r.ContentLength > largeBody {
		if err := b.enlarge(); err != nil {
			return nil, err
		}
	}
	// The server's own writer is needed to close the connection afterwards.
	limited := http.MaxBytesReader(x.w.ResponseWriter, x.r.Body, most)
	size := min(max(x.r.ContentLength, 0)+bytes.MinRead, firstRead)
	for {
		if len(b.data) == cap(b.data) {
			if err := b.grow(min(size, most+bytes.MinRead)); err != nil {
				return nil, err
			}
			size *= 2
		}
		end := min(cap(b.data), len(b.data)+largeBody)
		n, err := limited.Read(b.data[len(b.data):end])
		b.data = b.data[:len(b.data)+n]
		if errors.Is(err, io.EOF) {
			b.read = true
			return b.data, b.pay(n)
		}
		if err != nil {
			return nil, x.bodyError(err)
		}
		if err := b.pay(n); err != nil {
			return nil, err
		}
	}
}

// grow makes room for a body of so many bytes.
func (b *body) grow(size int64) error {
	if size > largeBody && b.free == nil {
		if err := b.enlarge(); err != nil {
			return err
		}
	}
	if b.free != nil {
		if !b.x.h.limits.bodies.largeMemory.Take(size - b.large) {
			return overloaded("large requests", largeShare(b.x.h.config.Limits))
		}
		b.large = size
	}
	if !b.x.h.limits.bodies.memory.Take(size - b.taken) {
		return overloaded("requests", b.x.h.config.MaxBodiesBytes)
	}
	b.taken = size
	b.data = append(make([]byte, 0, size), b.data...)
	return nil
}

func overloaded(which string, most int64) error {
	return refusal{http.StatusTooManyRequests, "overloaded", fmt.Sprintf(
		"The bodies of all %s under way are %d bytes together, which is the limit.", which, most,
	)}
}

// enlarge takes a place for a large body, of the user and of the address.
func (b *body) enlarge() error {
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
	wait, ok := buckets.Spend(key, n, mostDebt)
	if !ok {
		rate := buckets.Rate()
		return throttled(int(math.Ceil((wait - mostDebt).Seconds())),
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
	case <-x.r.Context().Done():
		return context.Cause(x.r.Context())
	}
}

// awaitTurn waits until a body of n bytes may be decoded, if it is large: at most half
// the processors do that, so that small requests, which most are, find one that is free.
// Who has waited longest comes first. The caller gives its turn back by done.
func (x *exchange) awaitTurn(n int) (done func(), err error) {
	if n <= largeBody {
		return func() {}, nil
	}
	return x.h.limits.bodies.turns.Wait(x.r.Context())
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
