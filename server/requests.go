package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/replifire/replifire/handlers"
)

// requests counts those under way, so that Close can wait for them also where
// the http.Server is somebody else's, as in the Functions Framework.
type requests struct {
	next *handlers.Handler

	mu     sync.Mutex
	active int
	idle   chan struct{} // nil until close; closed when active is 0
}

// ServeHTTP passes the request on, or refuses it once close was called: the
// client repeats it and meets another instance.
func (r *requests) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !r.enter() {
		r.next.ServeClosing(w, req)
		return
	}
	defer r.leave()
	r.next.ServeHTTP(w, req)
}

func (r *requests) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.idle != nil {
		return false
	}
	r.active++
	return true
}

func (r *requests) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--
	if r.active == 0 && r.idle != nil {
		close(r.idle)
	}
}

// close refuses new requests and waits for those under way, or for ctx. Of those whose body
// has not arrived after some time it waits for the answer only, which is 503.
func (r *requests) close(ctx context.Context, arrive time.Duration) {
	defer time.AfterFunc(arrive, r.next.StopReading).Stop()
	r.mu.Lock()
	if r.idle == nil {
		r.idle = make(chan struct{})
		if r.active == 0 {
			close(r.idle)
		}
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
