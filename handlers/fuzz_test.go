package handlers_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/handlers"
)

// FuzzHTTP is about the whole surface, on the real engine, open to everybody and to
// who is signed in: whatever is sent, there is no panic, no status of 500 and above,
// no redirect, no answer without its security headers and no success without a token.
func FuzzHTTP(f *testing.F) {
	const jsonType = "Content-Type: application/json\nAuthorization: token ann"
	for _, rows := range [][]badInput{envelope, ids, rejections, pulls, legacy} {
		for _, row := range rows {
			if len(row.body) < 1000 {
				f.Add("POST", row.path, "", jsonType, row.body)
			}
		}
	}
	f.Add("GET", pokePath, "space=x", "Authorization: token x", "")
	f.Add("GET", pokePath, "space=x&ticket=abc", "Origin: "+app, "")
	f.Add("GET", "/health", "", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")
	f.Add("GET", "/ready", "", "X-Cloud-Trace-Context: 105445aa7843bc8bf206b12000100000/1;o=1", "")
	f.Add("POST", ticketPath, "space=x", jsonType, "")
	f.Add("OPTIONS", "/api/replicache-push", "", "Origin: "+app+"\nAccess-Control-Request-Method: POST", "")
	f.Add("POST", initPath, "spaceID=a&space=a", "", "")
	f.Add("POST", "//api/../%2f", "a;b=%zz", "Content-Type: application/json; charset=utf-8; x=\"", "{}")
	f.Add("POST", pushPath, "", jsonType+"\nContent-Encoding: gzip\nAccept-Encoding: gzip;q=0", onePush)
	f.Add("POST", pullPath, "", jsonType+"\nAccept-Encoding: gzip\nX-Replicache-Requestid: 1", firstPull)
	f.Fuzz(func(t *testing.T, method, path, query, headers, body string) {
		if method == http.MethodGet && strings.Contains(path, "poke") {
			method = http.MethodHead // a stream would not end
		}
		path, more, _ := strings.Cut(path, "?")
		for name, change := range map[string]func(*handlers.Config){
			"open": nil,
			"authenticated": func(c *handlers.Config) {
				c.Dev, c.Origins = false, []string{app}
				c.Authenticator, c.Policy = guard{}, auth.Authenticated{}
			},
		} {
			s := newService(t, change)
			do(s, request("POST", pushPath, onePush, "Authorization", "token ann"))
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Method = method
			r.URL = &url.URL{Path: path, RawQuery: more + query}
			r.Header = parseHeaders(headers)
			w := do(s, r)
			checkAnswer(t, w)
			signedIn := strings.HasPrefix(r.Header.Get("Authorization"), "token ")
			if name == "authenticated" && w.Code == http.StatusOK && !signedIn && strings.Contains(path, "api") {
				t.Errorf("a request without a token is answered 200 %s", w.Body)
			}
			if t.Failed() {
				t.Fatalf("%s: %q %q?%q with %q: %d %s", name, method, path, r.URL.RawQuery, headers, w.Code, w.Body)
			}
		}
	})
}

// parseHeaders takes what net/http would take.
func parseHeaders(lines string) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(lines, "\n") {
		name, value, _ := strings.Cut(line, ":")
		control := func(r rune) bool { return r < ' ' || r == 0x7f }
		if name == "" || strings.ContainsFunc(line, control) {
			continue
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

// checkAnswer checks what must be so of every answer.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= 500 || w.Code < 200 || w.Code >= 300 && w.Code < 400 {
		t.Errorf("status is %d", w.Code)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer",
		"X-Frame-Options":        "DENY",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if c := w.Header().Get("Cache-Control"); !strings.Contains(c, "no-store") {
		t.Errorf("Cache-Control is %q, want no-store in it", c)
	}
	if w.Code >= 400 {
		problemOf(t, w)
	} else if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") &&
		w.Header().Get("Content-Encoding") == "" && !json.Valid(w.Body.Bytes()) {
		t.Errorf("the answer is no JSON: %s", w.Body)
	}
}

// FuzzMembers is about the routes of members, by the owner of a space: whatever is
// sent, the service answers, and the space keeps an owner.
func FuzzMembers(f *testing.F) {
	f.Add("GET", "/api/spaces/hers/members", "after=a&limit=1", "")
	f.Add("PUT", "/api/spaces/hers/members/olga", "", `{"role":"reader"}`)
	f.Add("PUT", "/api/spaces/hers/members/a%2Fb", "", `{"role":"owner"}`)
	f.Add("PUT", "/api/spaces/new/members/olga", "", `{"role":"owner"}`)
	f.Add("DELETE", "/api/spaces/hers/members/olga", "", "")
	f.Add("DELETE", "//api/spaces/%2e%2e/members/%zz/", "", "{")
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		s := newClub(t, nil)
		r := request(http.MethodPost, "/", body, "Authorization", "token olga")
		r.Method = method
		r.URL = &url.URL{Path: path, RawQuery: query}
		if plain, err := url.PathUnescape(path); err == nil {
			r.URL.Path, r.URL.RawPath = plain, path
		}
		w := do(s, r)
		if w.Code >= 500 || w.Code < 200 || w.Code >= 300 && w.Code < 400 {
			t.Errorf("%q %q?%q: %d %s", method, path, query, w.Code, w.Body)
		}
		list, err := s.store.Members().List(t.Context(), "hers", "", 10)
		if err != nil || !slices.ContainsFunc(list, func(m members.Member) bool { return m.Role == members.Owner }) {
			t.Errorf("members are %v (%v), want an owner", list, err)
		}
	})
}
