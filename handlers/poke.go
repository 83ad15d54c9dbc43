package handlers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/poke"
)

const (
	// retry is when a client comes back whose stream broke.
	retry = time.Second
	// spread is over what time those come back whose streams were ended together.
	spread = 5 * time.Second
	// maxMargin is how long before the request's deadline a stream ends at the most.
	maxMargin = 10 * time.Second
	// recheckTimeout bounds one question to the policy about a stream.
	recheckTimeout = 10 * time.Second
)

// poke streams the versions of a space as server-sent events, in the goroutine
// that net/http has for the request anyway.
func (x *exchange) poke() error {
	if err := x.admitListener(); err != nil {
		return err
	}
	if x.r.Method == http.MethodHead {
		x.eventHeaders()
		x.w.WriteHeader(http.StatusOK)
		return nil
	}
	release, err := x.takeStream()
	if err != nil {
		return err
	}
	defer release()
	sub, err := x.h.config.Hub.Subscribe(x.caller.Space, engine.AudienceOf(x.caller.Space, x.principal.UserID))
	if err != nil {
		return err
	}
	defer sub.Close()
	s := events{w: x.w}
	if err := x.openEvents(&s); err != nil {
		return err
	}
	return x.stream(&s, sub)
}

// eventHeaders also tell proxies to pass everything on as it comes.
func (x *exchange) eventHeaders() {
	h := x.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
}

// openEvents begins the answer, if there is a way to flush it.
func (x *exchange) openEvents(s *events) error {
	x.eventHeaders()
	if err := http.NewResponseController(x.w).Flush(); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf("poke stream: %w", err)
		}
		return clientError(err)
	}
	return s.send("retry: %d\n\n", retry.Milliseconds())
}

// stream passes on what the subscription receives, until the stream's time is
// over, the hub is closed or the client leaves.
func (x *exchange) stream(s *events, sub *poke.Subscription) error {
	end := time.NewTimer(x.streamLife())
	defer end.Stop()
	beat := time.NewTimer(x.h.config.Heartbeat)
	defer beat.Stop()
	recheck := time.NewTicker(x.h.config.Recheck)
	defer recheck.Stop()
	for {
		var err error
		select {
		case version, ok := <-sub.C():
			if !ok {
				return s.bye()
			}
			err = s.send("event: poke\ndata: {\"version\": %d}\nid: %d\n\n", version, version)
		case <-beat.C:
			err = s.send(":\n\n")
		case <-recheck.C:
			if !x.mayStay() {
				return s.bye()
			}
			continue
		case <-end.C:
			return s.bye()
		case <-x.r.Context().Done():
			return x.left()
		}
		if err != nil {
			return err
		}
		beat.Reset(x.h.config.Heartbeat)
	}
}

// mayStay reports whether the listener still has the right to the space. Where the
// policy cannot tell now, the stream goes on: nothing of the space is in a poke,
// and the pull that follows is refused if need be.
func (x *exchange) mayStay() bool {
	ctx, cancel := context.WithTimeout(x.r.Context(), recheckTimeout)
	defer cancel()
	err := x.stillAllowed(ctx, auth.Read)
	return !errors.Is(err, auth.ErrForbidden) && !errors.Is(err, auth.ErrUnauthenticated)
}

// left: that a client leaves is how most streams end, and no error.
func (x *exchange) left() error {
	if err := x.r.Context().Err(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// streamLife is how long this stream may last: no longer than the token it was
// opened with, and to well before the request's own deadline, if there is one, at
// which the platform would cut it off.
func (x *exchange) streamLife() time.Duration {
	life := x.h.config.StreamLife
	life -= rand.N(life/10 + 1) //nolint:gosec // spreads load, protects nothing
	if deadline, ok := x.r.Context().Deadline(); ok {
		left := time.Until(deadline)
		life = min(life, left-min(maxMargin, left/10))
	}
	if !x.principal.Expires.IsZero() {
		life = min(life, time.Until(x.principal.Expires))
	}
	return life
}

// events writes server-sent events. The writer's deadline makes each either
// arrive or end the stream.
type events struct {
	w *writer
}

func (s *events) send(format string, args ...any) error {
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return clientError(err)
	}
	if err := s.w.FlushError(); err != nil {
		return clientError(err)
	}
	return nil
}

// bye ends the stream in good order: the client is to come back, and not at the
// same moment as all the others.
func (s *events) bye() error {
	pause := retry + rand.N(spread) //nolint:gosec // spreads load, protects nothing
	return s.send("event: bye\ndata: {}\nretry: %d\n\n", pause.Milliseconds())
}
