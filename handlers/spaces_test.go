package handlers_test

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/limit"
)

// pushTo is the first push of a user to a space, by a group and a client of its own.
func pushTo(s *service, user, address, space string) *httptest.ResponseRecorder {
	body := strings.NewReplacer("g1", "g-"+space+user, "c1", "c-"+space+user).Replace(onePush)
	r := request("POST", pushPath+"?space="+space, body)
	if user != "" {
		r.Header.Set("Authorization", "token "+user)
	}
	r.RemoteAddr = address
	return do(s, r)
}

func TestNewSpacesOfUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *handlers.Config) {
			c.Authenticator, c.Policy = guard{}, auth.Open{}
			c.UserSpaces = limit.Rate{PerSecond: 6. / 3600, Burst: 2}
		})
		defer s.hub.Close()
		for _, space := range []string{"a", "b"} {
			if w := pushTo(s, "ann", "192.0.2.1:1", space); w.Code != 200 {
				t.Fatalf("space %s of 2: %d %s", space, w.Code, w.Body)
			}
		}
		w := pushTo(s, "ann", "192.0.2.1:1", "c")
		refused(t, w, 429, "rate_limited", "One user may create 6 spaces an hour, and 2 at once.")
		if got := w.Header().Get("Retry-After"); got != "600" {
			t.Errorf("Retry-After = %s, want the 10 minutes until there is one", got)
		}
		if head, err := s.engine.Head(t.Context(), "c"); err != nil || head.Exists() {
			t.Errorf("the space that was refused exists: %v (%v)", head, err)
		}
		// What exists is written to, by whom and however often.
		for i := range 10 {
			if w := pushTo(s, "ann", "192.0.2.1:1", "a"); w.Code != 200 {
				t.Errorf("push %d to a space that exists: %d %s", i, w.Code, w.Body)
			}
		}
		if w := pushTo(s, "bob", "192.0.2.1:1", "c"); w.Code != 200 {
			t.Errorf("another user: %d %s", w.Code, w.Body)
		}
		if w := pushTo(s, "ann", "192.0.2.1:1", "c"); w.Code != 200 {
			t.Errorf("to what another user has created: %d %s", w.Code, w.Body)
		}
		time.Sleep(10 * time.Minute)
		if w := pushTo(s, "ann", "192.0.2.1:1", "d"); w.Code != 200 {
			t.Errorf("after the time that was said: %d %s", w.Code, w.Body)
		}
	})
}

func TestNewSpacesOfAddress(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) {
		c.AddressSpaces = limit.Rate{PerSecond: 0.5 / 3600, Burst: 3}
	})
	for i := range 3 {
		if w := pushTo(s, "", "192.0.2.1:1", strconv.Itoa(i)); w.Code != 200 {
			t.Fatalf("space %d of 3: %d %s", i, w.Code, w.Body)
		}
	}
	refused(t, pushTo(s, "", "192.0.2.1:2", "3"), 429, "rate_limited",
		"One address may create 0.5 spaces an hour, and 3 at once.")
	if w := pushTo(s, "", "192.0.2.2:1", "3"); w.Code != 200 {
		t.Errorf("another address: %d %s", w.Code, w.Body)
	}
	// Neither pulling nor emptying creates a space.
	for i := range 10 {
		space := "?space=absent" + strconv.Itoa(i)
		if w := do(s, request("POST", pullPath+space, firstPull)); w.Code != 200 {
			t.Errorf("pull: %d %s", w.Code, w.Body)
		}
		if w := do(s, request("POST", initPath+space, "")); w.Code != 200 {
			t.Errorf("init: %d %s", w.Code, w.Body)
		}
	}
	if w := pushTo(s, "", "192.0.2.2:1", "4"); w.Code != 200 {
		t.Errorf("the second space of another address: %d %s", w.Code, w.Body)
	}
}

// takeOwn has a user make a space their own.
func takeOwn(s *service, user, address, space string) *httptest.ResponseRecorder {
	r := request("PUT", membersPath(space, user), roleBody("owner"), "Authorization", "token "+user)
	r.RemoteAddr = address
	return do(s, r)
}

// TestOwnSpacesOfUser: making a space one's own has the rate that creating it by a push
// has, and it is the same one. At the limit a space that exists looks like one that does
// not.
func TestOwnSpacesOfUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newClub(t, func(c *handlers.Config) { c.UserSpaces = limit.Rate{PerSecond: 6. / 3600, Burst: 2} })
		defer s.hub.Close()
		if w := takeOwn(s, "ann", "192.0.2.1:1", "new"); w.Code != 200 {
			t.Fatalf("the first: %d %s", w.Code, w.Body)
		}
		if w := pushTo(s, "ann", "192.0.2.1:1", "new"); w.Code != 200 {
			t.Fatalf("the first push to it: %d %s", w.Code, w.Body)
		}
		for _, space := range []string{"absent", "hers"} {
			w := takeOwn(s, "ann", "192.0.2.1:1", space)
			refused(t, w, 429, "rate_limited", "One user may create 6 spaces an hour, and 2 at once.")
			if got := w.Header().Get("Retry-After"); got != "600" {
				t.Errorf("Retry-After = %s, want the 10 minutes until there is one", got)
			}
		}
		// What is one's own already is nothing new, nor is a change of its members.
		for range 5 {
			for user, role := range map[string]string{"ann": "owner", "bob": "reader"} {
				wantAnswer(t, s, "ann", "PUT", membersPath("new", user), roleBody(role), 200,
					`{"userID":"`+user+`","role":"`+role+`"}`)
			}
		}
		if w := takeOwn(s, "bob", "192.0.2.1:1", "b"); w.Code != 200 {
			t.Errorf("another user: %d %s", w.Code, w.Body)
		}
		time.Sleep(10 * time.Minute)
		if w := takeOwn(s, "ann", "192.0.2.1:1", "absent"); w.Code != 200 {
			t.Errorf("after the time that was said: %d %s", w.Code, w.Body)
		}
	})
}

// TestOwnSpacesOfAddress: however many users are there.
func TestOwnSpacesOfAddress(t *testing.T) {
	t.Parallel()
	s := newClub(t, func(c *handlers.Config) { c.AddressSpaces = limit.Rate{PerSecond: 0.5 / 3600, Burst: 3} })
	for i := range 3 {
		user := "user" + strconv.Itoa(i)
		if w := takeOwn(s, user, "192.0.2.1:1", user); w.Code != 200 {
			t.Fatalf("space %d of 3: %d %s", i, w.Code, w.Body)
		}
	}
	refused(t, takeOwn(s, "eve", "192.0.2.1:2", "e"), 429, "rate_limited",
		"One address may create 0.5 spaces an hour, and 3 at once.")
	if w := takeOwn(s, "eve", "192.0.2.2:1", "e"); w.Code != 200 {
		t.Errorf("another address: %d %s", w.Code, w.Body)
	}
}
