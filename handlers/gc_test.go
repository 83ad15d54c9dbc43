package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/gc"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

const gcPath = "/api/gc"

// newGC makes a handler that lets "token gc" collect, by run. Its users are nobody.
func newGC(t *testing.T, run func(context.Context) (gc.Result, error)) *handlers.Handler {
	t.Helper()
	return newFake(t, &fakeEngine{}, func(c *handlers.Config) {
		c.GC = &handlers.GC{Authenticator: guard{}, Account: "gc", Run: run}
	})
}

func TestGC(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		token, body string
		want        int
	}{
		"good":          {"token gc", "", 200},
		"with a body":   {"token gc", `{"retention":0}`, 200},
		"no token":      {"", "", 401},
		"other account": {"token joe", "", 403},
		"huge body":     {"token gc", strings.Repeat("x", handlers.DefaultMaxBodyBytes+1), 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			h := newGC(t, func(ctx context.Context) (gc.Result, error) {
				runs++
				return gc.Result{Spaces: 4, Tombstones: 3, Deleted: 2, More: true}, ctx.Err()
			})
			w := do(h, request("POST", gcPath, tc.body, "Authorization", tc.token, "Content-Type", "application/octet-stream"))
			if w.Code != tc.want {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, tc.want)
			}
			if (runs == 1) != (tc.want == 200) {
				t.Errorf("%d runs were begun", runs)
			}
			if tc.want != 200 {
				problemOf(t, w)
				return
			}
			if got := w.Body.String(); got != `{"spaces":4,"tombstones":3,"deleted":2,"more":true}` {
				t.Errorf("answer %s", got)
			}
		})
	}
}

// TestGCAsksFirst: who is not allowed makes the server read nothing.
func TestGCAsksFirst(t *testing.T) {
	t.Parallel()
	h := newGC(t, func(context.Context) (gc.Result, error) { t.Error("a run was begun"); return gc.Result{}, nil })
	for _, token := range []string{"", "token joe"} {
		r := request("POST", gcPath, "x", "Authorization", token)
		body := &countedBody{}
		r.Body = body
		if w := do(h, r); w.Code == http.StatusOK || body.reads > 0 {
			t.Errorf("%q: %d after %d reads", token, w.Code, body.reads)
		}
	}
}

type countedBody struct{ reads int }

func (b *countedBody) Read([]byte) (int, error) { b.reads++; return 0, http.ErrBodyReadAfterClose }
func (b *countedBody) Close() error             { return nil }

// TestGCErrors: a job that failed must not look like one that did not.
func TestGCErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err    error
		status int
		kind   string
	}{
		"busy":        {gc.ErrBusy, 429, "overloaded"},
		"closed":      {gc.ErrClosed, 503, "unavailable"},
		"unavailable": {engine.ErrUnavailable, 503, "unavailable"},
		"corrupt":     {engine.ErrCorrupt, 500, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newGC(t, func(context.Context) (gc.Result, error) {
				return gc.Result{Spaces: 1}, fmt.Errorf("gc: %s: %w", secret, tc.err)
			})
			w := do(h, request("POST", gcPath, "", "Authorization", "token gc"))
			if p := problemOf(t, w); w.Code != tc.status || p["kind"] != tc.kind || strings.Contains(w.Body.String(), "SECRET") {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tc.status, tc.kind)
			}
		})
	}
}

// TestGCTwoAtOnce: the second of two requests is told to come again.
func TestGCTwoAtOnce(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	begun, release := make(chan struct{}), make(chan struct{})
	c := gc.New(slowEngine{s.engine, begun, release}, gc.Options{Limit: time.Hour, Logger: quiet})
	do(s, request("POST", pushPath, onePush))
	h := newGC(t, c.Run)
	first := make(chan int, 1)
	go func() { first <- do(h, request("POST", gcPath, "", "Authorization", "token gc")).Code }()
	<-begun
	w := do(h, request("POST", gcPath, "", "Authorization", "token gc"))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("the second: %d %s, want 429", w.Code, w.Body)
	}
	close(release)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first: %d, want 200", code)
	}
}

// slowEngine has Collect say that it has begun, and wait.
type slowEngine struct {
	gc.Engine

	begun, release chan struct{}
}

func (e slowEngine) Collect(
	ctx context.Context, s protocol.SpaceID, before time.Time,
) (engine.Collected, error) {
	close(e.begun)
	<-e.release
	return e.Engine.Collect(ctx, s, before)
}

func TestGCConfig(t *testing.T) {
	t.Parallel()
	hub := poke.NewHub(poke.Options{})
	t.Cleanup(hub.Close)
	run := func(context.Context) (gc.Result, error) { return gc.Result{}, nil }
	for name, g := range map[string]handlers.GC{
		"no authenticator": {Account: "a", Run: run},
		"no account":       {Authenticator: auth.None{}, Run: run},
		"no run":           {Authenticator: auth.None{}, Account: "a"},
	} {
		c := handlers.Config{Engine: &fakeEngine{}, Hub: hub, Authenticator: guard{}, Policy: guard{}, GC: &g}
		if _, err := handlers.New(c); err == nil {
			t.Errorf("%s: New succeeds", name)
		}
	}
}
