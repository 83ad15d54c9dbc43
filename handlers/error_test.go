package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// secret is in the text of every error, and in no answer.
const secret = "projects/p/databases/d SECRET"

var errorTable = []struct {
	err    error
	status int
	kind   string
}{
	{auth.ErrUnauthenticated, 401, "unauthenticated"},
	{auth.ErrForbidden, 403, "forbidden"},
	{engine.ErrForbidden, 403, "forbidden"},
	{members.ErrLastOwner, 409, "last_owner"},
	{engine.ErrMutationGap, 409, "mutation_gap"},
	{engine.ErrOverloaded, 429, "overloaded"},
	{poke.ErrTooManyStreams, 429, "too_many_streams"},
	{engine.ErrClosed, 503, "unavailable"},
	{poke.ErrClosed, 503, "unavailable"},
	{engine.ErrUnavailable, 503, "unavailable"},
	{engine.ErrUnknownOutcome, 503, "unavailable"},
	{engine.ErrTemporary, 503, "unavailable"},
	{engine.ErrImporting, 503, "importing"},
	{engine.ErrConflict, 503, "unavailable"},
	{context.DeadlineExceeded, 503, "unavailable"},
	{context.Canceled, 503, "unavailable"}, // and the client is still there
	{engine.ErrCorrupt, 500, "internal"},
	{engine.ErrImpossible, 500, "internal"},
	{errors.New("whatever"), 500, "internal"},
	{fmt.Errorf("%w: %w", engine.ErrUnknownOutcome, context.Canceled), 503, "unavailable"},
}

// TestErrors has each error come from push, pull and reset.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range errorTable {
		t.Run(tc.err.Error(), func(t *testing.T) {
			t.Parallel()
			err := fmt.Errorf("%s: %w", secret, tc.err)
			h := newFake(t, failing(err), func(c *handlers.Config) { c.Dev = true })
			for _, r := range []*http.Request{
				request("POST", pushPath, onePush), request("POST", pullPath, firstPull), request("POST", initPath, ""),
			} {
				w := do(h, r)
				if w.Code != tc.status {
					t.Errorf("%s: status = %d, want %d", r.URL.Path, w.Code, tc.status)
				}
				if p := problemOf(t, w); p["kind"] != tc.kind {
					t.Errorf("%s: kind = %v, want %s", r.URL.Path, p["kind"], tc.kind)
				}
				if strings.Contains(w.Body.String(), "SECRET") {
					t.Errorf("%s: the answer tells internals: %s", r.URL.Path, w.Body)
				}
				if again := tc.status == 429 || tc.status == 503; again != (w.Header().Get("Retry-After") == "1") {
					t.Errorf("%s: Retry-After = %q with status %d", r.URL.Path, w.Header().Get("Retry-After"), tc.status)
				}
			}
		})
	}
}

func failing(err error) *fakeEngine {
	return &fakeEngine{
		push: func(context.Context, engine.Caller, *protocol.PushRequest) error { return err },
		pull: func(context.Context, engine.Caller, *protocol.PullRequest) (*protocol.PullResponse, error) {
			return nil, err
		},
		reset: func(context.Context, protocol.SpaceID) (engine.Head, error) { return engine.Head{}, err },
	}
}

// TestErrorResponses: what Replicache understands comes with 200, and only then.
func TestErrorResponses(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		`{"error":"ClientStateNotFound"}`: protocol.ClientStateNotFound(),
		`{"error":"VersionNotSupported","versionType":"schema"}`: fmt.Errorf("wrapped: %w",
			protocol.VersionNotSupported(protocol.VersionTypeSchema)),
	} {
		h := newFake(t, failing(err), nil)
		for path, body := range map[string]string{pushPath: onePush, pullPath: firstPull} {
			w := do(h, request("POST", path, body))
			if w.Code != http.StatusOK || w.Body.String() != want {
				t.Errorf("%s: %d %s, want 200 %s", path, w.Code, w.Body, want)
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/json" {
				t.Errorf("%s: Content-Type = %q", path, ct)
			}
		}
	}
}

// TestDecodeErrorOfEngine: a request whose fault only the engine sees.
func TestDecodeErrorOfEngine(t *testing.T) {
	t.Parallel()
	h := newFake(t, failing(&protocol.DecodeError{Field: "cookie", Reason: "is too large"}), nil)
	w := do(h, request("POST", pullPath, firstPull))
	if p := problemOf(t, w); w.Code != 400 || p["detail"] != "cookie is too large" {
		t.Errorf("%d %v, want 400 with the field", w.Code, p)
	}
}

// TestClientGone: whatever the answer, it is no success.
func TestClientGone(t *testing.T) {
	t.Parallel()
	h := newFake(t, failing(context.Canceled), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w := do(h, request("POST", pushPath, onePush).WithContext(ctx)); w.Code != 499 {
		t.Errorf("status = %d, want 499", w.Code)
	}
}

func TestAuthErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("key server: " + secret)
	h := newFake(t, failing(nil), func(c *handlers.Config) { c.Authenticator = failingAuth{broken} })
	w := do(h, request("POST", pushPath, onePush))
	if w.Code != 500 || strings.Contains(w.Body.String(), "SECRET") {
		t.Errorf("an authenticator that cannot tell: %d %s, want 500", w.Code, w.Body)
	}
}

type failingAuth struct{ err error }

func (f failingAuth) Authenticate(context.Context, string) (auth.Principal, error) {
	return auth.Principal{}, f.err
}

func TestPanics(t *testing.T) {
	t.Parallel()
	var lines logLines
	e := &fakeEngine{push: func(context.Context, engine.Caller, *protocol.PushRequest) error { panic(secret) }}
	h := newFake(t, e, func(c *handlers.Config) { c.Logger = lines.logger("p") })
	w := do(h, request("POST", pushPath, onePush))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "SECRET") {
		t.Errorf("%d %s, want 500 without internals", w.Code, w.Body)
	}
	id := problemOf(t, w)["requestId"]
	records := lines.all(t)
	if len(records) != 2 {
		t.Fatalf("%d lines in the log, want one for the panic and one for the request: %v", len(records), records)
	}
	stack, _ := records[0]["stack"].(string)
	if records[0]["severity"] != "ERROR" || records[0]["request_id"] != id || !strings.Contains(stack, "error_test.go") {
		t.Errorf("line of the panic: %v", records[0])
	}
}

// TestAbortHandlerPanic: the panic that net/http knows passes through.
func TestAbortHandlerPanic(t *testing.T) {
	t.Parallel()
	var lines logLines
	e := &fakeEngine{push: func(context.Context, engine.Caller, *protocol.PushRequest) error {
		panic(http.ErrAbortHandler)
	}}
	h := newFake(t, e, func(c *handlers.Config) { c.Logger = lines.logger("p") })
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // it is the very value
				t.Errorf("recovered %v, want http.ErrAbortHandler", p)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), request("POST", pushPath, onePush))
	}()
	if records := lines.all(t); len(records) != 1 {
		t.Errorf("%d lines in the log, want 1", len(records))
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	var calls int
	err := errors.New(secret)
	h := newFake(t, failing(nil), func(c *handlers.Config) {
		c.Ready = func(ctx context.Context) error {
			calls++
			if _, ok := ctx.Deadline(); !ok {
				t.Error("the check has no deadline")
			}
			return err
		}
	})
	for range 20 {
		w := do(h, request("GET", "/ready", ""))
		if w.Code != 503 || strings.Contains(w.Body.String(), "SECRET") {
			t.Errorf("%d %s, want 503", w.Code, w.Body)
		}
		problemOf(t, w)
		if w := do(h, request("GET", "/health", "")); w.Code != 200 || w.Body.String() != "ok" {
			t.Errorf("health = %d %q, want 200 ok", w.Code, w.Body)
		}
	}
	if calls > 10 {
		t.Errorf("%d checks for 20 requests, want one a second", calls)
	}
}
