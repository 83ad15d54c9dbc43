package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/gc"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// statusClientGone is what the log says of a request whose client did not wait
// for the answer. Nobody receives it.
const statusClientGone = 499

// refusal is an answer that is not 200. It is an error, so that whatever refuses
// a request itself can say how.
type refusal struct {
	status int
	kind   string // for programs, stable
	detail string // for people, without anything internal
}

// Error is for the log.
func (r refusal) Error() string { return r.detail }

// later is a refusal of now: it says in how many seconds to come again.
type later struct {
	refusal
	seconds int
}

// Unwrap is the refusal.
func (l later) Unwrap() error { return l.refusal }

// What this package fails with itself.
var (
	errPanic = errors.New("panic, see the line before")
	// errClient: the connection broke, or the client is too slow.
	errClient = errors.New("client does not take the answer")
	// errTooSlow: it is, for so long that the answer's moment is over.
	errTooSlow = fmt.Errorf("%w within %v", errClient, AnswerLife)
	// errClosing: the service shuts down.
	errClosing = errors.New("shutting down")
)

// table says what the errors of the packages below become. The first match
// counts. Texts are for people who write clients, and tell them nothing of the
// server's insides.
var table = []struct {
	err error
	refusal
}{
	{auth.ErrUnauthenticated, refusal{http.StatusUnauthorized, "unauthenticated", "A valid token is needed."}},
	// It may wrap an error of a context, so it comes before those.
	{auth.ErrUnavailable, unavailable},
	{auth.ErrForbidden, refusal{http.StatusForbidden, "forbidden", "This is not allowed."}},
	{engine.ErrForbidden, refusal{http.StatusForbidden, "forbidden", "This is not allowed."}},
	{members.ErrLastOwner, refusal{
		http.StatusConflict, "last_owner", "The space would have no owner. Make somebody else an owner first.",
	}},
	{engine.ErrMutationGap, refusal{
		http.StatusConflict, "mutation_gap",
		"A mutation before the one that was sent is missing. Those before it are applied.",
	}},
	{engine.ErrOverloaded, refusal{http.StatusTooManyRequests, "overloaded", "Too much is waiting for this space."}},
	{gc.ErrBusy, refusal{http.StatusTooManyRequests, "overloaded", "A collection is under way on this instance."}},
	{poke.ErrTooManyStreams, refusal{http.StatusTooManyRequests, "too_many_streams", "Too many are listening."}},
	{engine.ErrImporting, refusal{
		http.StatusServiceUnavailable, "importing",
		"The space is being restored from a backup. Sending it again is safe.",
	}},
	{engine.ErrCorrupt, internal},
	{engine.ErrImpossible, internal},
	{engine.ErrClosed, unavailable},
	{poke.ErrClosed, unavailable},
	{gc.ErrClosed, unavailable},
	{engine.ErrUnavailable, unavailable},
	{engine.ErrUnknownOutcome, unavailable},
	{engine.ErrConflict, unavailable},
	{engine.ErrTemporary, unavailable},
	{errClosing, unavailable},
	{context.DeadlineExceeded, unavailable},
	{context.Canceled, refusal{statusClientGone, "client_gone", "The client has gone."}},
	{errClient, refusal{statusClientGone, "client_gone", "The client has gone."}},
}

var (
	internal = refusal{
		http.StatusInternalServerError, "internal",
		"Something is wrong with the server. The request id helps to find out what.",
	}
	unavailable = refusal{
		http.StatusServiceUnavailable, "unavailable",
		"The request could not be finished now. Sending it again is safe.",
	}
)

// refusalOf is what an error becomes.
func refusalOf(err error) refusal {
	if r, ok := errors.AsType[refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*protocol.DecodeError](err); ok {
		return refusal{http.StatusBadRequest, "bad_request", e.Error()}
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			return row.explained(err)
		}
	}
	return internal
}

// explained says which limit it was, if the error knows.
func (r refusal) explained(err error) refusal {
	if l, ok := errors.AsType[interface {
		error
		Limit() string
	}](err); ok {
		r.detail += " " + l.Limit()
	}
	return r
}

// bodyError says what an error of reading a request's body means.
func bodyError(err error) error {
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(e.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlowBody
	}
	return refusal{http.StatusBadRequest, "bad_request", "The body broke off, or is not framed as HTTP demands."}
}

func tooLarge(limit int64) error {
	return refusal{
		http.StatusRequestEntityTooLarge, "too_large",
		fmt.Sprintf("The body is larger than %d bytes.", limit),
	}
}

// clientError marks an error of writing to the client.
func clientError(err error) error { return fmt.Errorf("%w: %w", errClient, err) }

// problem is the JSON of RFC 9457.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Kind      string `json:"kind"`
	RequestID string `json:"requestId"`
}

// unread reports whether the connection is closed so that net/http does not read on: by
// itself it reads 256 KiB more of a body before it answers, to use the connection again.
// Who is too slow, or comes too late, would wait for that.
func (x *exchange) unread(status int) bool {
	if x.body.read || !x.w.http1 {
		return false
	}
	return x.r.ContentLength > largeBody || x.r.ContentLength < 0 && status == http.StatusTooManyRequests ||
		status == http.StatusRequestTimeout || errors.Is(x.err, errClosing)
}

// problem answers with a refusal, and says when to come again where that can help: in so
// many seconds, 0: soon.
func (x *exchange) problem(r refusal, seconds int) {
	h := x.w.Header()
	switch r.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(max(seconds, 1)))
	}
	title := http.StatusText(r.status)
	body, err := json.Marshal(problem{"about:blank", title, r.status, r.detail, r.kind, x.id})
	if err != nil {
		body = nil // cannot be: these are strings and a number
	}
	h.Set("Content-Type", "application/problem+json")
	h.Del("Content-Encoding")
	h.Del("Content-Length")
	unread := x.unread(r.status)
	if unread {
		h.Set("Connection", "close")
	}
	x.w.WriteHeader(r.status)
	_, _ = x.w.Write(body) // a client that has gone needs no answer
	if unread {
		x.linger()
	}
}
