package handlers_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/handlers"
)

// TestServeClosing: whoever comes too late is told so like everybody else who is
// refused, in a form that a page of another origin can read.
func TestServeClosing(t *testing.T) {
	t.Parallel()
	readable := map[string]string{
		"Access-Control-Allow-Origin": app, "Access-Control-Expose-Headers": "X-Request-Id, Retry-After", "Vary": "Origin",
	}
	for name, tc := range map[string]struct {
		r      *http.Request
		status int
		kind   string
	}{
		"push":      {request("POST", pushPath, onePush, "Origin", app), 503, "unavailable"},
		"pull":      {request("POST", pullPath, firstPull, "Origin", app), 503, "unavailable"},
		"poke":      {request("GET", pokePath, "", "Origin", app), 503, "unavailable"},
		"ticket":    {request("POST", ticketPath, "", "Origin", app), 503, "unavailable"},
		"init":      {request("POST", initPath, "", "Origin", app), 503, "unavailable"},
		"health":    {request("GET", "/health", "", "Origin", app), 503, "unavailable"},
		"ready":     {request("GET", "/ready", "", "Origin", app), 503, "unavailable"},
		"no path":   {request("GET", "/api/x", "", "Origin", app), 404, "not_found"},
		"no method": {request("GET", pushPath, "", "Origin", app), 405, "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines logLines
			s := newService(t, func(c *handlers.Config) {
				c.Origins = []string{app}
				c.Logger = lines.logger("")
			})
			w := do(http.HandlerFunc(s.ServeClosing), tc.r)
			if w.Code != tc.status {
				t.Errorf("status = %d, want %d", w.Code, tc.status)
			}
			if p := problemOf(t, w); p["kind"] != tc.kind {
				t.Errorf("kind = %v, want %s", p["kind"], tc.kind)
			}
			if diff := cmp.Diff(readable, corsOf(w.Header())); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			for header, want := range map[string]string{
				"Connection": "close", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s = %q, want %q", header, got, want)
				}
			}
			if got := w.Header().Get("Retry-After"); (got == "1") != (tc.status == 503) {
				t.Errorf("Retry-After = %q with status %d", got, tc.status)
			}
			if n := len(lines.all(t)); n != 1 {
				t.Errorf("%d log lines, want 1", n)
			}
		})
	}
}

// TestServeClosingAnswersPreflights: or the page could not make the request that is
// told to come back.
func TestServeClosingAnswersPreflights(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.Origins = []string{app} })
	w := do(http.HandlerFunc(s.ServeClosing),
		request("OPTIONS", pushPath, "", "Origin", app, "Access-Control-Request-Method", "POST"))
	if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Methods") != "POST" {
		t.Errorf("a preflight is answered %d %v", w.Code, w.Header())
	}
}
