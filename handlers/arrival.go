package handlers

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// BodyGrace is how long a body may be silent, and what it has before its rate counts.
	BodyGrace = 30 * time.Second
	// leastBodyRate is how many bytes a second arrive at least, on average, after that.
	leastBodyRate = 16 << 10
	// bodyLife ends every body before Cloud Run does, which gives a request 60 minutes at
	// most, and the token of who sent it an hour.
	bodyLife = 50 * time.Minute
	// lingerTime is how long the rest of a refused body is read, and forgotten.
	lingerTime = 5 * time.Second
)

// errSlowBody is for a body that keeps what it holds from others.
var errSlowBody = refusal{http.StatusRequestTimeout, "request_timeout", fmt.Sprintf(
	"A body has %v, and a second more for each %d bytes that have arrived, up to %v. It must not be silent for %v.",
	BodyGrace, leastBodyRate, bodyLife, BodyGrace,
)}

// arrivals are the bodies for whose bytes somebody waits. A service that ends waits no longer.
type arrivals struct {
	stopped chan struct{} // closed by stop

	mu     sync.Mutex
	bodies map[*body]struct{} // guarded by mu; nil after stop
}

func newArrivals() arrivals {
	return arrivals{stopped: make(chan struct{}), bodies: map[*body]struct{}{}}
}

// StopReading answers the requests of which the body has not arrived with 503, those that
// come later too. Others go on.
func (h *Handler) StopReading() {
	a := &h.arrivals
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bodies == nil {
		return
	}
	for b := range a.bodies {
		b.wait(time.Unix(1, 0))
	}
	a.bodies = nil
	close(a.stopped)
}

// begin waits for bytes of a body until a time; false: nobody does any more.
func (a *arrivals) begin(b *body, until time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bodies == nil {
		return false
	}
	a.bodies[b] = struct{}{}
	b.wait(until)
	return true
}

// end reports false if it was not waited until bytes came. The connection may then be of no
// use but for an answer.
func (a *arrivals) end(b *body) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.bodies, b)
	return a.bodies != nil
}

// wait sets until when it is waited for bytes, where the server can do that. Without a body
// there is nothing to wait for, and net/http watches the connection meanwhile.
func (b *body) wait(until time.Time) {
	if b.x.r.Body != http.NoBody {
		_ = http.NewResponseController(b.x.w.ResponseWriter).SetReadDeadline(until)
	}
}

// receive reads what arrives. Only the time for which it waits counts: who may not send on,
// since others are served first, is not slow.
func (b *body) receive(p []byte) (int, error) {
	patience := BodyGrace + time.Duration(float64(b.size)/leastBodyRate*float64(time.Second)) - b.waited
	now := time.Now()
	patience = min(patience, BodyGrace, b.until.Sub(now))
	if patience <= 0 {
		return 0, errSlowBody
	}
	if !b.x.h.arrivals.begin(b, now.Add(patience)) {
		return 0, errClosing
	}
	n, err := b.from.Read(p)
	b.waited += time.Since(now)
	if !b.x.h.arrivals.end(b) {
		return 0, errClosing
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, bodyError(err)
	}
	return n, err
}

// linger reads on after a refusal for which the connection is to be closed, for a while and
// no more than of a body that is taken. Some clients send all of a body before they look at
// the answer, which is lost if the connection breaks meanwhile: who has to get a new token
// would not know. It goes by the rates and places of bodies, and ends where there are none.
func (x *exchange) linger() {
	waits := x.r.Header.Get("Expect") != "" && x.body.size == 0 // for a word to send it
	x.body.release()
	if waits || http.NewResponseController(x.w).Flush() != nil {
		return
	}
	b, err := x.openBody()
	if err != nil {
		return
	}
	b.until = time.Now().Add(lingerTime)
	_, _ = io.CopyN(io.Discard, b, x.h.config.MaxBodyBytes) // whatever ends it, it is over
}
