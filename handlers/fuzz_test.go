package handlers_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/replifire/replifire/auth/members"
)

// FuzzHTTP is about the whole surface, on the real engine: whatever is sent, there
// is no panic, no status of 500 and above, and no redirect.
func FuzzHTTP(f *testing.F) {
	for _, rows := range [][]badInput{envelope, ids, rejections, pulls, legacy} {
		for _, row := range rows {
			if len(row.body) < 1000 {
				f.Add("POST", row.path, "", "application/json", "", row.body)
			}
		}
	}
	f.Add("GET", pokePath, "space=x", "", "token x", "")
	f.Add("OPTIONS", "/api/replicache-push", "", "", "", "")
	f.Add("POST", initPath, "spaceID=a&space=a", "", "", "")
	f.Add("POST", "//api/../%2f", "a;b=%zz", "application/json; charset=utf-8; x=\"", "Bearer", "{}")
	f.Fuzz(func(t *testing.T, method, path, query, contentType, authorization, body string) {
		if method == http.MethodGet && strings.Contains(path, "poke") {
			method = http.MethodHead // a stream would not end
		}
		s := newService(t, nil)
		do(s, request("POST", pushPath, onePush))
		path, more, _ := strings.Cut(path, "?")
		r := request(http.MethodPost, "/", body, "Content-Type", contentType, "Authorization", authorization)
		r.Method = method
		r.URL = &url.URL{Path: path, RawQuery: more + query}
		w := do(s, r)
		if w.Code >= 500 || w.Code < 200 || w.Code >= 300 && w.Code < 400 {
			t.Errorf("%q %q?%q: %d %s", method, path, query, w.Code, w.Body)
		}
		if w.Code == http.StatusOK {
			return
		}
		if ct := w.Header().Get("Content-Type"); w.Code != http.StatusNoContent && ct != "application/problem+json" {
			t.Errorf("%q %q: status %d with Content-Type %q", method, path, w.Code, ct)
		}
	})
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
		r := request(http.MethodPost, "/", body, "Authorization", "olga")
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
