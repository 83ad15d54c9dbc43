package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// clubLimit is how many spaces a user of a club may create.
const clubLimit = 3

// newClub is a service with the policy members, where a token is its user's name. The
// space hers has olga as its owner, will as a writer and rita as a reader.
func newClub(t testing.TB, change func(*handlers.Config)) *service {
	t.Helper()
	store := memory.New()
	for user, role := range map[string]members.Role{
		"olga": members.Owner, "will": members.Writer, "rita": members.Reader,
	} {
		err := store.Members().Put(t.Context(), members.Operator, "hers", members.Member{UserID: user, Role: role}, 0)
		if err != nil {
			t.Fatal(err)
		}
	}
	return newServiceOn(t, store, func(c *handlers.Config) {
		policy := members.New(store.Members(), members.Options{MaxSpaces: clubLimit, RoleLife: time.Hour})
		c.Dev, c.Authenticator, c.Policy, c.Members = false, guard{}, policy, policy
		c.Recheck = 10 * time.Millisecond
		if change != nil {
			change(c)
		}
	}, "hers", "new")
}

func membersPath(space, user string) string {
	path := "/api/spaces/" + url.PathEscape(space) + "/members"
	if user != "" {
		path += "/" + url.PathEscape(user)
	}
	return path
}

func roleBody(role string) string { return `{"role":"` + role + `"}` }

// wantAnswer has a service answer a user's request, and compares status and body.
func wantAnswer(t *testing.T, s *service, user, method, path, body string, status int, want string) {
	t.Helper()
	w := do(s, request(method, path, body, "Authorization", "token "+user))
	if w.Code != status {
		t.Errorf("%s: %s %s: status = %d, want %d: %s", user, method, path, w.Code, status, w.Body)
		return
	}
	if status >= 300 {
		if kind := problemOf(t, w)["kind"]; kind != want {
			t.Errorf("%s: %s %s: kind = %v, want %s", user, method, path, kind, want)
		}
	} else if got := w.Body.String(); got != want {
		t.Errorf("%s: %s %s: %s, want %s", user, method, path, got, want)
	}
}

func TestMembersOfASpace(t *testing.T) {
	t.Parallel()
	s := newClub(t, nil)
	mine := func(user string) string { return membersPath("new", user) }
	list := func(want string) string { return `{"members":[` + want + `],"next":null}` }
	const ann, bob = `{"userID":"ann","role":"owner"}`, `{"userID":"bob","role":"writer"}`

	wantAnswer(t, s, "ann", "PUT", mine("ann"), roleBody("writer"), 403, "forbidden")
	for range 2 { // whoever lost the answer sends it again
		wantAnswer(t, s, "ann", "PUT", mine("ann"), roleBody("owner"), 200, ann)
	}
	wantAnswer(t, s, "ann", "GET", mine(""), "", 200, list(ann))
	wantAnswer(t, s, "bob", "GET", mine(""), "", 403, "forbidden")
	wantAnswer(t, s, "bob", "GET", mine("bob"), "", 403, "forbidden")
	wantAnswer(t, s, "ann", "GET", mine("bob"), "", 404, "not_found")

	wantAnswer(t, s, "ann", "PUT", mine("bob"), roleBody("writer"), 200, bob)
	wantAnswer(t, s, "ann", "GET", mine(""), "", 200, list(ann+","+bob))
	wantAnswer(t, s, "ann", "GET", mine("bob"), "", 200, bob)
	wantAnswer(t, s, "bob", "GET", mine("bob"), "", 200, bob)
	wantAnswer(t, s, "bob", "GET", mine("ann"), "", 403, "forbidden")
	wantAnswer(t, s, "bob", "PUT", mine("bob"), roleBody("owner"), 403, "forbidden")
	wantAnswer(t, s, "bob", "PUT", mine("cid"), roleBody("reader"), 403, "forbidden")
	wantAnswer(t, s, "bob", "DELETE", mine("ann"), "", 403, "forbidden")

	wantAnswer(t, s, "ann", "DELETE", mine("ann"), "", 409, "last_owner")
	wantAnswer(t, s, "ann", "PUT", mine("ann"), roleBody("reader"), 409, "last_owner")
	wantAnswer(t, s, "bob", "DELETE", mine("bob"), "", 204, "")
	wantAnswer(t, s, "bob", "DELETE", mine("bob"), "", 403, "forbidden")
	wantAnswer(t, s, "ann", "DELETE", mine("bob"), "", 204, "")
	wantAnswer(t, s, "ann", "GET", mine(""), "", 200, list(ann))
}

// TestRolesGiveRights: what each role may do, and that a change counts at once.
func TestRolesGiveRights(t *testing.T) {
	t.Parallel()
	for user, want := range map[string][]int{
		"olga": {200, 200, 200, 200, 200, 200},
		"will": {200, 200, 200, 200, 403, 403},
		"rita": {403, 200, 200, 200, 403, 403},
		"eve":  {403, 403, 403, 403, 403, 403},
		"":     {401, 401, 401, 401, 401, 401},
	} {
		s := newClub(t, nil)
		for i, try := range []struct{ method, path, body string }{
			{"POST", pushPath, onePush},
			{"POST", pullPath, firstPull},
			{"HEAD", pokePath, ""},
			{"POST", ticketPath, ""},
			{"POST", initPath, ""},
			{"GET", membersPath("hers", ""), ""},
		} {
			w := do(s, request(try.method, try.path+"?space=hers", try.body, "Authorization", "token "+user))
			if w.Code != want[i] {
				t.Errorf("%q: %s %s: %d, want %d: %s", user, try.method, try.path, w.Code, want[i], w.Body)
			}
		}
	}
}

// TestForeignAndAbsentSpacesLookAlike: to a stranger, to the byte, whatever he tries.
func TestForeignAndAbsentSpacesLookAlike(t *testing.T) {
	t.Parallel()
	s := newClub(t, nil)
	do(s, request("POST", pushPath+"?space=hers", onePush, "Authorization", "token olga"))
	if _, err := s.store.Commit(t.Context(), "old", firstCommit("old")); err != nil {
		t.Fatal(err) // data and no members, from before there was this policy
	}
	in := func(space string) []*http.Request {
		var list []*http.Request
		for _, try := range [][3]string{
			{"POST", pushPath + "?space=" + space, onePush},
			{"POST", pullPath + "?space=" + space, firstPull},
			{"GET", pokePath + "?space=" + space},
			{"HEAD", pokePath + "?space=" + space},
			{"POST", ticketPath + "?space=" + space},
			{"POST", initPath + "?space=" + space},
			{"GET", membersPath(space, "")},
			{"GET", membersPath(space, "eve")},
			{"GET", membersPath(space, "olga")},
			{"PUT", membersPath(space, "olga"), roleBody("reader")},
			{"PUT", membersPath(space, "eve"), roleBody("writer")},
			{"PUT", membersPath(space, "eve"), "{"},
			{"DELETE", membersPath(space, "eve")},
			{"DELETE", membersPath(space, "olga")},
			{"OPTIONS", membersPath(space, "eve")},
		} {
			list = append(list, request(try[0], try[1], try[2], "Authorization", "token eve", "Origin", app))
		}
		return list
	}
	same := func(absent, foreign *http.Request) {
		t.Helper()
		a, b := do(s, absent), do(s, foreign)
		if a.Code != b.Code || a.Code == http.StatusOK {
			t.Errorf("%s %s: %d, and %s: %d", absent.Method, absent.URL, a.Code, foreign.URL, b.Code)
		}
		bodies := []string{a.Body.String(), b.Body.String()}
		for i, id := range []string{a.Header().Get("X-Request-Id"), b.Header().Get("X-Request-Id")} {
			bodies[i] = strings.ReplaceAll(bodies[i], id, "ID")
		}
		a.Header().Del("X-Request-Id")
		b.Header().Del("X-Request-Id")
		if diff := cmp.Diff(a.Header(), b.Header()) + cmp.Diff(bodies[0], bodies[1]); diff != "" {
			t.Errorf("%s %s: answers differ (-absent +%s):\n%s", absent.Method, absent.URL, foreign.URL, diff)
		}
	}
	for _, foreign := range []string{"hers", "old"} {
		for i, r := range in(foreign) {
			same(in("absent")[i], r)
		}
	}
	// Making it one's own works where it is absent, so it is the same only at the limit.
	for i := range clubLimit {
		space := fmt.Sprint("s", i)
		wantAnswer(t, s, "eve", "PUT", membersPath(space, "eve"), roleBody("owner"), 200, `{"userID":"eve","role":"owner"}`)
	}
	own := func(space string) *http.Request {
		return request("PUT", membersPath(space, "eve"), roleBody("owner"), "Authorization", "token eve")
	}
	for _, foreign := range []string{"hers", "old"} {
		same(own("absent"), own(foreign))
	}
	w := do(s, own("absent"))
	p := problemOf(t, w)
	if w.Code != 403 || p["kind"] != "too_many_spaces" || !strings.Contains(p["detail"].(string), "3 spaces") {
		t.Errorf("at the limit: %d %v", w.Code, p)
	}
}

func firstCommit(space protocol.SpaceID) engine.Commit {
	now := time.Now()
	return commitOf(engine.Head{}, engine.Head{
		Version: 1, Epoch: "e", Nonce: "n of " + string(space), CreatedAt: now, UpdatedAt: now,
	})
}

// TestForeignSpaceIsNotTaken: neither one with members, nor one with data only.
func TestForeignSpaceIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newClub(t, nil)
	if _, err := s.store.Commit(t.Context(), "old", firstCommit("old")); err != nil {
		t.Fatal(err)
	}
	for _, space := range []string{"hers", "old"} {
		for _, user := range []string{"eve", "rita"} {
			wantAnswer(t, s, user, "PUT", membersPath(space, user), roleBody("owner"), 403, "forbidden")
		}
	}
	list, err := s.store.Members().List(t.Context(), "old", "", 9)
	if err != nil || len(list) > 0 {
		t.Errorf("members of old are %v (%v)", list, err)
	}
}

func TestMembersRefusals(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", protocol.MaxIDBytes+1)
	const owner = `{"role":"owner"}`
	hers := func(user string) string { return membersPath("hers", user) }
	for name, tc := range map[string]struct {
		user, method, path, contentType, body string
		want                                  int
	}{
		"type before token":      {"", "PUT", hers("x"), "text/plain", owner, 415},
		"size before token":      {"", "PUT", hers("x"), "application/json", strings.Repeat(" ", 1001), 413},
		"token before ids":       {"", "PUT", membersPath(long, "x"), "application/json", owner, 401},
		"GET needs a token":      {"", "GET", hers(""), "", "", 401},
		"DELETE needs a token":   {"", "DELETE", hers("x"), "", "", 401},
		"long space":             {"olga", "GET", membersPath(long, ""), "", "", 400},
		"long user":              {"olga", "GET", hers(long), "", "", 400},
		"space is no UTF-8":      {"olga", "GET", "/api/spaces/%ff/members", "", "", 400},
		"user is no UTF-8":       {"olga", "DELETE", hers("") + "/%ff", "", "", 400},
		"policy before body":     {"will", "PUT", hers("x"), "application/json", "{", 403},
		"policy before query":    {"will", "GET", hers("") + "?limit=x", "", "", 403},
		"no body":                {"olga", "PUT", hers("x"), "application/json", "", 400},
		"no JSON":                {"olga", "PUT", hers("x"), "application/json", "{", 400},
		"null":                   {"olga", "PUT", hers("x"), "application/json", "null", 400},
		"no role":                {"olga", "PUT", hers("x"), "application/json", "{}", 400},
		"unknown role":           {"olga", "PUT", hers("x"), "application/json", `{"role":"admin"}`, 400},
		"empty role":             {"olga", "PUT", hers("x"), "application/json", `{"role":""}`, 400},
		"role is a number":       {"olga", "PUT", hers("x"), "application/json", `{"role":1}`, 400},
		"role is an object":      {"olga", "PUT", hers("x"), "application/json", `{"role":{}}`, 400},
		"role twice":             {"olga", "PUT", hers("x"), "application/json", `{"role":"reader","role":"owner"}`, 400},
		"role in capitals":       {"olga", "PUT", hers("x"), "application/json", `{"Role":"reader"}`, 400},
		"more than the role":     {"olga", "PUT", hers("x"), "application/json", `{"role":"reader","x":1}`, 400},
		"something behind":       {"olga", "PUT", hers("x"), "application/json", `{"role":"reader"}{}`, 400},
		"limit is no number":     {"olga", "GET", hers("") + "?limit=x", "", "", 400},
		"limit 0":                {"olga", "GET", hers("") + "?limit=0", "", "", 400},
		"limit 501":              {"olga", "GET", hers("") + "?limit=501", "", "", 400},
		"limit twice":            {"olga", "GET", hers("") + "?limit=1&limit=1", "", "", 400},
		"after is too long":      {"olga", "GET", hers("") + "?after=" + long, "", "", 400},
		"broken query":           {"olga", "GET", hers("") + "?after=%zz", "", "", 400},
		"method":                 {"olga", "POST", hers("x"), "application/json", owner, 405},
		"method on all":          {"olga", "PUT", hers(""), "application/json", owner, 405},
		"deeper":                 {"olga", "GET", hers("x") + "/y", "", "", 404},
		"no members":             {"olga", "GET", "/api/spaces/hers", "", "", 404},
		"no space":               {"olga", "GET", "/api/spaces//members", "", "", 404},
		"another word":           {"olga", "GET", "/api/spaces/hers/owners", "", "", 404},
		"slashes escaped":        {"olga", "GET", "/api%2Fspaces%2Fhers%2Fmembers", "", "", 404},
		"space in query ignored": {"olga", "GET", hers("") + "?space=other", "", "", 200},
		"slash at the end":       {"olga", "GET", hers("") + "/", "", "", 200},
		"HEAD":                   {"olga", "HEAD", hers("will"), "", "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newClub(t, func(c *handlers.Config) { c.MaxBodyBytes = 1000 })
			w := do(s, request(tc.method, tc.path, tc.body, "Authorization", "token "+tc.user, "Content-Type", tc.contentType))
			if w.Code != tc.want {
				t.Fatalf("status = %d, want %d: %s", w.Code, tc.want, w.Body)
			}
			if tc.want != http.StatusOK {
				problemOf(t, w)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control = %q", got)
			}
			list, err := s.store.Members().List(t.Context(), "hers", "", 9)
			if err != nil || len(list) != 3 {
				t.Errorf("members are %v (%v), want those of before", list, err)
			}
		})
	}
}

// TestNoMembersWithoutThePolicy: the routes are there with it only.
func TestNoMembersWithoutThePolicy(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS"} {
		for _, path := range []string{membersPath("s", ""), membersPath("s", "ann")} {
			if w := do(s, request(method, path, roleBody("owner"))); w.Code != http.StatusNotFound {
				t.Errorf("%s %s: %d, want 404", method, path, w.Code)
			}
		}
	}
}

func TestMembersCORS(t *testing.T) {
	t.Parallel()
	s := newClub(t, func(c *handlers.Config) { c.Origins = []string{app} })
	for path, methods := range map[string]string{
		membersPath("hers", ""): "GET, HEAD", membersPath("hers", "ann"): "DELETE, GET, HEAD, PUT",
	} {
		want := map[string]string{
			"Access-Control-Allow-Origin":  app,
			"Access-Control-Allow-Methods": methods,
			"Access-Control-Allow-Headers": "content-type, authorization, x-replicache-requestid",
			"Access-Control-Max-Age":       "7200",
			"Vary":                         "Origin",
		}
		w := do(s, request("OPTIONS", path, "", "Origin", app, "Access-Control-Request-Method", "PUT"))
		if diff := cmp.Diff(want, corsOf(w.Header())); w.Code != 204 || diff != "" {
			t.Errorf("OPTIONS %s: %d (-want +got):\n%s", path, w.Code, diff)
		}
		w = do(s, request("OPTIONS", path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT"))
		if diff := cmp.Diff(map[string]string{"Vary": "Origin"}, corsOf(w.Header())); diff != "" {
			t.Errorf("OPTIONS %s from elsewhere (-want +got):\n%s", path, diff)
		}
		// A page can read an error too.
		w = do(s, request("GET", path, "", "Origin", app, "Authorization", "token eve"))
		if w.Code != 403 || w.Header().Get("Access-Control-Allow-Origin") != app {
			t.Errorf("GET %s: %d, %v", path, w.Code, corsOf(w.Header()))
		}
	}
}

func TestMembersPages(t *testing.T) {
	t.Parallel()
	s := newClub(t, nil)
	var want []string
	for i := range 130 {
		user := fmt.Sprintf("guest %03d&/", i)
		want = append(want, user)
		wantAnswer(t, s, "olga", "PUT", membersPath("hers", user), roleBody("reader"), 200,
			`{"userID":"guest `+fmt.Sprintf("%03d", i)+`\u0026/","role":"reader"}`)
	}
	want = append(want, "olga", "rita", "will")
	for limit, pages := range map[string]int{"": 2, "?limit=1": 133, "?limit=50": 3, "?limit=133": 1, "?limit=500": 1} {
		var got []string
		n := 0
		for next := ""; ; n++ {
			path := membersPath("hers", "") + limit
			if n > 0 {
				path += map[bool]string{true: "?", false: "&"}[limit == ""] + "after=" + url.QueryEscape(next)
			}
			var page struct {
				Members []members.Member
				Next    *string
			}
			w := do(s, request("GET", path, "", "Authorization", "token olga"))
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 || n > 200 {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
			for _, m := range page.Members {
				got = append(got, m.UserID)
			}
			if page.Next == nil {
				break
			}
			next = *page.Next
		}
		if !slices.Equal(got, want) || n+1 != pages {
			t.Errorf("%q: %d members on %d pages, want %d on %d", limit, len(got), n+1, len(want), pages)
		}
	}
}

// TestMaxMembers: at the limit one member more is refused in words; roles change, and who
// goes makes room.
func TestMaxMembers(t *testing.T) {
	t.Parallel()
	store := memory.New()
	policy := members.New(store.Members(), members.Options{MaxMembers: 2})
	s := newServiceOn(t, store, func(c *handlers.Config) {
		c.Dev, c.Authenticator, c.Policy, c.Members = false, guard{}, policy, policy
	})
	put := func(user, role string) { // that works
		t.Helper()
		wantAnswer(t, s, "ann", "PUT", membersPath("s", user), roleBody(role), 200,
			`{"userID":"`+user+`","role":"`+role+`"}`)
	}
	put("ann", "owner")
	put("bob", "reader")
	w := do(s, request("PUT", membersPath("s", "cid"), roleBody("reader"), "Authorization", "token ann"))
	refused(t, w, 409, "too_many_members", "A space may have 2 members, and this one has.")
	put("bob", "writer")
	wantAnswer(t, s, "bob", "DELETE", membersPath("s", "bob"), "", 204, "")
	put("cid", "reader")
}

// TestOddMembers: ids come through a path as they are.
func TestOddMembers(t *testing.T) {
	t.Parallel()
	s := newClub(t, nil)
	for i, id := range []string{
		"a/b", "auth0|1 2", "%2F", "..", "members", "é\n\x00", "?#&=+", strings.Repeat("/", 1024),
	} {
		creator := fmt.Sprint("user", i)
		wantAnswer(t, s, creator, "PUT", membersPath(id, creator), roleBody("owner"), 200,
			`{"userID":"`+creator+`","role":"owner"}`)
		w := do(s, request("PUT", membersPath(id, id), roleBody("reader"), "Authorization", "token "+creator))
		var m members.Member
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m.UserID != id {
			t.Errorf("%q: %d %s", id, w.Code, w.Body)
		}
		role, err := s.store.Members().Role(t.Context(), protocol.SpaceID(id), id)
		if err != nil || role != members.Reader {
			t.Errorf("role of %q is %q (%v)", id, role, err)
		}
		wantAnswer(t, s, creator, "DELETE", membersPath(id, id), "", 204, "")
	}
}

// TestRemovedMember: his push is refused at once, and his stream ends in good order.
func TestRemovedMember(t *testing.T) {
	t.Parallel()
	s := newClub(t, nil)
	server := serve(t, s)
	resp := send(t, by(t, "token will", "GET", server.URL+pokePath+"?space=hers"))
	stream := sse{t, bufio.NewReader(resp.Body)}
	stream.want("retry: 1000", pokeEvent(0))
	wantAnswer(t, s, "will", "POST", pushPath+"?space=hers", onePush, 200, "{}")
	wantAnswer(t, s, "olga", "DELETE", membersPath("hers", "will"), "", 204, "")
	next := strings.ReplaceAll(strings.ReplaceAll(onePush, `"id":1`, `"id":2`), "m1", "m2")
	wantAnswer(t, s, "will", "POST", pushPath+"?space=hers", next, 403, "forbidden")
	wantAnswer(t, s, "will", "POST", pullPath+"?space=hers", firstPull, 403, "forbidden")
	awaitBye(t, stream)
	snap, err := s.store.Snapshot(t.Context(), "hers", engine.Documents{Head: true})
	if err != nil || snap.Head().Version != 1 {
		t.Errorf("the space is at %+v (%v), want version 1", snap, err)
	}
}

// TestDirectoryTrouble: 503, never 403 and never the data.
func TestDirectoryTrouble(t *testing.T) {
	t.Parallel()
	s := newClub(t, func(c *handlers.Config) {
		c.Members = members.New(brokenDirectory{}, members.Options{})
		c.Policy = c.Members
	})
	for _, r := range []*http.Request{
		request("POST", pushPath+"?space=hers", onePush), request("POST", pullPath+"?space=hers", firstPull),
		request("GET", membersPath("hers", ""), ""), request("PUT", membersPath("hers", "olga"), roleBody("owner")),
		request("DELETE", membersPath("hers", "olga"), ""), request("GET", pokePath+"?space=hers", ""),
	} {
		r.Header.Set("Authorization", "token olga")
		w := do(s, r)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "SECRET") {
			t.Errorf("%s %s: %d %s, want 503", r.Method, r.URL, w.Code, w.Body)
		}
	}
}

type brokenDirectory struct{ members.Directory }

func (brokenDirectory) Role(context.Context, protocol.SpaceID, string) (members.Role, error) {
	return "", fmt.Errorf("%w: %w", engine.ErrUnavailable, errors.New(secret))
}

// TestMembersLog: the space is named, users are not.
func TestMembersLog(t *testing.T) {
	t.Parallel()
	var lines logLines
	s := newClub(t, func(c *handlers.Config) { c.Logger = lines.logger("p") })
	do(s, request("DELETE", membersPath("hers", "somebody"), "", "Authorization", "token olga"))
	do(s, request("PUT", membersPath("hers", "mallory"), roleBody("owner"), "Authorization", "token mallory"))
	do(s, request("GET", "/api/spaces/hers/%6Dembers/mallory", ""))
	for _, line := range lines.all(t) {
		text := fmt.Sprint(line)
		if !strings.Contains(text, "/api/spaces/hers/members/-") || strings.Contains(text, "somebody") ||
			strings.Contains(text, "mallory") {
			t.Errorf("the log says %s", text)
		}
	}
	if n := len(lines.all(t)); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
}
