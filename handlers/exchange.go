package handlers

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/engine"
)

// exchange is one request and its answer.
type exchange struct {
	h     *Handler
	w     *writer
	r     *http.Request
	id    string // random, ours
	began time.Time
	trace trace
	// outer is the request's context as it came, without what NewLogger adds.
	outer context.Context //nolint:containedctx // lives as long as the request

	// caller and principal are complete once admit, identify or admitListener has
	// succeeded.
	caller    engine.Caller
	principal auth.Principal
	// body is the request's, and what it has taken of what all share.
	body body
	// route is where the path leads to, nil if nowhere, and named what it names, where that
	// is members of a space.
	route *route
	named membership
	// err is why the request was refused or cut off.
	err error
}

func (h *Handler) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{
		h:     h,
		w:     &writer{ResponseWriter: w, http1: r.ProtoMajor == 1},
		id:    rand.Text(),
		began: time.Now(),
		trace: traceOf(r.Header),
		outer: r.Context(),
	}
	x.r = r.WithContext(withExchange(r.Context(), logged{requestID: x.id, trace: x.trace}))
	return x
}

// finish answers with an error, if there is one.
func (x *exchange) finish(err error) {
	if err == nil {
		return
	}
	x.err = err
	if x.w.begun() {
		x.w.abort()
		return
	}
	a := refusalOf(err)
	if a.status == statusClientGone && x.r.Context().Err() == nil && !errors.Is(err, errClient) {
		a = unavailable // something was cancelled, but not by the client
	}
	l, _ := errors.AsType[later](err)
	x.problem(a, l.seconds)
}

// rescue turns a panic into an answer of 500, or cuts the connection.
func (x *exchange) rescue() {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // the way to cut a connection, and net/http expects it
	}
	x.h.config.Logger.ErrorContext(x.r.Context(), "panic in a handler",
		slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	x.finish(errPanic)
}

// text answers 200 with a plain text.
func (x *exchange) text(s string) error {
	return x.answer("text/plain; charset=utf-8", []byte(s))
}

// json answers 200 with JSON.
func (x *exchange) json(body []byte) error {
	return x.answer("application/json", body)
}

func (x *exchange) answer(contentType string, body []byte) error {
	x.w.Header().Set("Content-Type", contentType)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(http.StatusOK)
	if _, err := x.w.Write(body); err != nil {
		return clientError(err)
	}
	return nil
}
