package handlers_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/poke"
)

var allMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodConnect, http.MethodOptions, http.MethodTrace, "PROPFIND", "get",
}

// TestRoutes asks every path by every method.
func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		dev   bool
		path  string
		body  string
		allow string
	}{
		{true, pushPath, onePush, "POST, OPTIONS"},
		{true, "/api/replicache-push", onePush, "POST, OPTIONS"},
		{true, pullPath, firstPull, "POST, OPTIONS"},
		{true, "/api/replicache-pull", firstPull, "POST, OPTIONS"},
		{true, initPath, "", "GET, POST, OPTIONS"},
		{true, "/health", "", "GET, HEAD, OPTIONS"},
		{true, "/ready", "", "GET, HEAD, OPTIONS"},
		{true, "/", "", "GET, HEAD, OPTIONS"},
		{true, "/assets/app.js", "", "GET, HEAD, OPTIONS"},
	} {
		for _, method := range allMethods {
			t.Run(method+" "+tc.path, func(t *testing.T) {
				t.Parallel()
				s := newService(t, func(c *handlers.Config) {
					c.Dev = tc.dev
					c.Page = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
				})
				want := http.StatusMethodNotAllowed
				switch {
				case method == http.MethodOptions:
					want = http.StatusNoContent
				case slices.Contains(strings.Split(tc.allow, ", "), method):
					want = http.StatusOK
				}
				w := do(s, request(method, tc.path, tc.body))
				if w.Code != want {
					t.Fatalf("status = %d, want %d: %s", w.Code, want, w.Body)
				}
				if got := w.Header().Get("Allow"); want != http.StatusOK && got != tc.allow {
					t.Errorf("Allow = %q, want %q", got, tc.allow)
				}
				if want == http.StatusMethodNotAllowed {
					problemOf(t, w)
				}
			})
		}
	}
}

func TestInitOutsideDevelopment(t *testing.T) {
	t.Parallel()
	rights := guard{map[string]bool{"boss admin default": true, "boss admin other": true, "joe write default": true}}
	for name, tc := range map[string]struct {
		method, path, token string
		want                int
	}{
		"admin":             {"POST", initPath, "token boss", 200},
		"admin, other":      {"POST", initPath + "?space=other", "token boss", 200},
		"admin, foreign":    {"POST", initPath + "?space=foreign", "token boss", 403},
		"admin by GET":      {"GET", initPath, "token boss", 405},
		"admin by HEAD":     {"HEAD", initPath, "token boss", 405},
		"writer":            {"POST", initPath, "token joe", 403},
		"nobody":            {"POST", initPath, "", 401},
		"nobody, bad space": {"POST", initPath + "?space=", "", 401},
		"admin, bad space":  {"POST", initPath + "?space=", "token boss", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(c *handlers.Config) { c.Dev, c.Authenticator, c.Policy = false, rights, rights })
			w := do(s, request(tc.method, tc.path, "", "Authorization", tc.token))
			if w.Code != tc.want {
				t.Errorf("status = %d, want %d: %s", w.Code, tc.want, w.Body)
			}
		})
	}
	t.Run("open policy", func(t *testing.T) {
		t.Parallel()
		s := newService(t, func(c *handlers.Config) { c.Dev = false })
		if w := do(s, request("POST", initPath, "")); w.Code != http.StatusForbidden {
			t.Errorf("status = %d, want 403: Open gives nobody the right", w.Code)
		}
	})
	t.Run("development needs a principal too", func(t *testing.T) {
		t.Parallel()
		s := newService(t, func(c *handlers.Config) { c.Authenticator = guard{} })
		if w := do(s, request("POST", initPath, "")); w.Code != http.StatusUnauthorized {
			t.Errorf("status = %d, want 401", w.Code)
		}
	})
}

// TestInitEmpties: the tutorial's reset, which leaves no entry and keeps the
// clients' mutation ids.
func TestInitEmpties(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		s := newService(t, nil)
		do(s, request("POST", pushPath, onePush))
		w := do(s, request(method, initPath, ""))
		if w.Code != http.StatusOK || w.Body.String() != "ok" {
			t.Fatalf("%s: %d %q, want 200 ok", method, w.Code, w.Body)
		}
		if ct := w.Header().Get("Content-Type"); ct != "text/plain; charset=utf-8" {
			t.Errorf("Content-Type = %q", ct)
		}
		pulled := do(s, request("POST", pullPath, firstPull)).Body.String()
		if !strings.Contains(pulled, `"patch":[{"op":"clear"}]`) || !strings.Contains(pulled, `"c1":1`) {
			t.Errorf("pull after %s: %s", method, pulled)
		}
	}
}

// TestNoRedirects: a client repeats a redirected POST as a GET and believes that
// it was pushed (protocol.md §1.4).
func TestNoRedirects(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.Page = http.NotFoundHandler() })
	for _, path := range []string{
		pushPath + "/", "//api/replicache/push", "/api//replicache/push", "/api/replicache/push//", "/api/replicache//push/",
		"/api/./replicache/push", "/api/x/../replicache/push", "/api/replicache/push/..", "/api/", "/api", "//api", "/api/..",
		"/api/replicache", "/api/replicache/Push", "/api/init/", "/health/", "//", "/..", "/%2e%2e/",
		"/api%2Freplicache/push",
		"/api/replicache/poke/x",
	} {
		for _, method := range allMethods {
			w := do(s, request(method, "http://example.com"+path, onePush))
			if w.Code >= 300 && w.Code < 400 || w.Header().Get("Location") != "" {
				t.Errorf("%s %s: %d to %q", method, path, w.Code, w.Header().Get("Location"))
			}
		}
	}
	for _, path := range []string{pushPath + "/", "//api/replicache/push", "/api//replicache/push//"} {
		if w := do(s, request("POST", "http://example.com"+path, onePush)); w.Code != http.StatusOK {
			t.Errorf("POST %s: %d, want 200", path, w.Code)
		}
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for _, path := range []string{
		"/", "/api", "/api/", "/api/replicache", "/api/replicache/push/x", "/api/replicache/pus", "/healthz",
		"/api/../health", "/favicon.ico", gcPath,
	} {
		w := do(s, request("POST", path, onePush))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, w.Code)
			continue
		}
		problemOf(t, w)
	}
}

// TestPage: what is not the API goes to the page, and under the API nothing does.
func TestPage(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) {
		c.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			_, _ = io.WriteString(w, "page "+r.URL.Path)
		})
	})
	for path, want := range map[string]string{"/": "page /", "/app.js": "page /app.js", "/apix": "page /apix"} {
		w := do(s, request("GET", path, ""))
		if w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("GET %s: %d %q, want %q", path, w.Code, w.Body, want)
		}
		if got := w.Header().Get("Cache-Control"); got != "max-age=60" {
			t.Errorf("GET %s: Cache-Control = %q, want the page's", path, got)
		}
		if got := w.Header().Get("Content-Security-Policy"); got != "" {
			t.Errorf("GET %s: Content-Security-Policy = %q, want none", path, got)
		}
	}
	for _, path := range []string{"/api", "/api/x", "//api/x"} {
		if w := do(s, request("GET", "http://example.com"+path, "")); w.Code != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, w.Code)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for _, r := range []*http.Request{
		request("POST", pushPath, onePush), request("POST", pullPath, firstPull), request("POST", pushPath, "{"),
		request("GET", "/nothing", ""), request("PUT", pullPath, ""), request("OPTIONS", pullPath, ""),
		request("GET", "/health", ""), request("GET", "/ready", ""), request("POST", initPath, ""),
	} {
		w := do(s, r)
		for name, want := range map[string]string{
			"Cache-Control":             "no-store",
			"X-Content-Type-Options":    "nosniff",
			"Referrer-Policy":           "no-referrer",
			"X-Frame-Options":           "DENY",
			"Content-Security-Policy":   "default-src 'none'; frame-ancestors 'none'",
			"Strict-Transport-Security": "max-age=31536000",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s %s: %s = %q, want %q", r.Method, r.URL.Path, name, got, want)
			}
		}
		if id := w.Header().Get("X-Request-Id"); len(id) < 20 {
			t.Errorf("%s %s: X-Request-Id = %q", r.Method, r.URL.Path, id)
		}
	}
}

func TestRequestIDIsOurs(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	seen := map[string]bool{}
	for range 10 {
		w := do(s, request("GET", "/health", "", "X-Request-Id", "mine", "X-Replicache-RequestID", "mine"))
		id := w.Header().Get("X-Request-Id")
		if id == "mine" || seen[id] {
			t.Errorf("X-Request-Id = %q, want a new one of our own", id)
		}
		seen[id] = true
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	hub := poke.NewHub(poke.Options{})
	t.Cleanup(hub.Close)
	for name, tc := range map[string]struct {
		change func(*handlers.Config)
		ok     bool
	}{
		"good":              {func(*handlers.Config) {}, true},
		"origins":           {func(c *handlers.Config) { c.Origins = []string{app, "http://[::1]:5173"} }, true},
		"all, development":  {func(c *handlers.Config) { c.Origins, c.Dev = []string{"*"}, true }, true},
		"all":               {func(c *handlers.Config) { c.Origins = []string{"*"} }, false},
		"origin with path":  {func(c *handlers.Config) { c.Origins = []string{"https://a.example/"} }, false},
		"origin, no scheme": {func(c *handlers.Config) { c.Origins = []string{"a.example"} }, false},
		"origin null":       {func(c *handlers.Config) { c.Origins = []string{"null"} }, false},
		"origin in capitals": {
			func(c *handlers.Config) { c.Origins = []string{"https://A.example"} }, false,
		},
		"empty origin": {func(c *handlers.Config) { c.Origins = []string{""} }, false},
		"no engine":    {func(c *handlers.Config) { c.Engine = nil }, false},
		"no hub":       {func(c *handlers.Config) { c.Hub = nil }, false},
		"no auth":      {func(c *handlers.Config) { c.Authenticator = nil }, false},
		"no policy":    {func(c *handlers.Config) { c.Policy = nil }, false},
		"body limit":   {func(c *handlers.Config) { c.MaxBodyBytes = -1 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := handlers.Config{Engine: &fakeEngine{}, Hub: hub, Authenticator: guard{}, Policy: guard{}}
			tc.change(&c)
			if _, err := handlers.New(c); (err == nil) != tc.ok {
				t.Errorf("New: %v, want ok: %v", err, tc.ok)
			}
		})
	}
}
