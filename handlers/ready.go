package handlers

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// readyFor is how long an answer of the check is good. Anybody may ask, and each
// check may cost a read of the store.
const readyFor = time.Second

var errNotReady = refusal{http.StatusServiceUnavailable, "not_ready", "The service is not ready."}

// readiness remembers whether the service is ready.
type readiness struct {
	check func(ctx context.Context) error

	mu      sync.Mutex // held during a check: whoever else asks waits for it
	checked time.Time
	err     error
}

// now asks the check, or remembers what it said.
func (r *readiness) now(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < readyFor {
		return r.err
	}
	// The answer is for others too, so this request's end does not end the check.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ReadyTimeout)
	defer cancel()
	r.err = r.check(ctx)
	r.checked = time.Now()
	return r.err
}

// readiness says whether the service can do its work.
func (x *exchange) readiness() error {
	if err := x.h.ready.now(x.r.Context()); err != nil {
		return fmt.Errorf("%w %w", errNotReady, err)
	}
	return x.text("ok")
}
