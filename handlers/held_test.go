package handlers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/gc"
	"github.com/replifire/replifire/handlers"
)

// mortal is guard with tokens that end.
type mortal struct {
	guard
	end time.Time
}

func (m mortal) Authenticate(ctx context.Context, authorization string) (auth.Principal, error) {
	p, err := m.guard.Authenticate(ctx, authorization)
	p.Expires = m.end
	return p, err
}

// tokenLife is that of the tokens of the tests below, counted from their beginning.
const tokenLife = time.Minute

// held are requests with bodies of eve, who is an owner of hers. Each is sent but for the
// end of its body; the statuses are what it is answered once that comes.
var held = map[string]struct {
	method, path, body string
	unchanged          int
	demoted, removed   int // eve is a reader, or nobody, by then
}{
	"push":       {"POST", pushPath + "?space=hers", onePush, 200, 403, 403},
	"pull":       {"POST", pullPath + "?space=hers", firstPull, 200, 200, 403},
	"renewal":    {"PUT", membersPath("hers", "eve"), roleBody("owner"), 200, 403, 403},
	"own role":   {"PUT", membersPath("hers", "eve"), roleBody("reader"), 200, 403, 403},
	"new owner":  {"PUT", membersPath("hers", "mallory"), roleBody("owner"), 200, 403, 403},
	"last owner": {"PUT", membersPath("hers", "olga"), roleBody("reader"), 200, 403, 403},
	"new space":  {"PUT", membersPath("new", "eve"), roleBody("owner"), 200, 200, 200},
}

// hold sends a request but for the end of its body, in a bubble. end sends that, too.
func hold(h http.Handler, r *http.Request, body string) (end func() *httptest.ResponseRecorder) {
	half := len(body) / 2
	slow := newSlowBody(body[:half])
	r.Body, r.ContentLength = slow, int64(len(body))
	done := make(chan *httptest.ResponseRecorder, 1)
	go func() { done <- do(h, r) }()
	synctest.Wait()
	return func() *httptest.ResponseRecorder {
		select {
		case slow.rest <- body[half:]:
		default: // it was refused before
		}
		return <-done
	}
}

// TestHeldBodies: a request is served only if its sender may still do that when its body
// is there, and by a token that has not ended meanwhile.
func TestHeldBodies(t *testing.T) {
	t.Parallel()
	for name, route := range held {
		for change, want := range map[string]int{
			"nothing happens": route.unchanged, "demoted": route.demoted, "removed": route.removed, "token ended": 401,
		} {
			t.Run(name+", "+change, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newClub(t, func(c *handlers.Config) { c.Authenticator = mortal{end: time.Now().Add(tokenLife)} })
					defer s.hub.Close()
					wantAnswer(t, s, "olga", "PUT", membersPath("hers", "eve"), roleBody("owner"), 200,
						`{"userID":"eve","role":"owner"}`)
					end := hold(s, request(route.method, route.path, "", "Authorization", "token eve"), route.body)
					switch change {
					case "demoted":
						wantAnswer(t, s, "olga", "PUT", membersPath("hers", "eve"), roleBody("reader"), 200,
							`{"userID":"eve","role":"reader"}`)
					case "removed":
						wantAnswer(t, s, "olga", "DELETE", membersPath("hers", "eve"), "", 204, "")
					case "token ended":
						time.Sleep(tokenLife)
					}
					before := rolesOf(t, s)
					w := end()
					if w.Code != want {
						t.Errorf("answered %d, want %d: %s", w.Code, want, w.Body)
					}
					if want != 200 {
						problemOf(t, w)
						if after := rolesOf(t, s); after != before {
							t.Errorf("the members of hers are %s, and were %s", after, before)
						}
						wantEmpty(t, s)
					}
				})
			})
		}
	}
}

func rolesOf(t *testing.T, s *service) string {
	t.Helper()
	list, err := s.store.Members().List(t.Context(), "hers", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, m := range list {
		all.WriteString(m.UserID + " " + string(m.Role) + ", ")
	}
	return all.String()
}

func wantEmpty(t *testing.T, s *service) {
	t.Helper()
	snap, err := s.store.Snapshot(t.Context(), "hers", engine.Documents{Head: true})
	if err != nil || snap.Head().Exists() {
		t.Errorf("hers is at %+v (%v), want that nothing is written", snap.Head(), err)
	}
}

// TestHeldBodyOfARememberedOwner: the owner was removed at another instance, and this one
// does not know it yet. Members are changed by what is true, not by what is remembered.
func TestHeldBodyOfARememberedOwner(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"renewal", "own role", "new owner", "last owner"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newClub(t, nil)
				defer s.hub.Close()
				wantAnswer(t, s, "olga", "PUT", membersPath("hers", "eve"), roleBody("owner"), 200,
					`{"userID":"eve","role":"owner"}`)
				route := held[name]
				end := hold(s, request(route.method, route.path, "", "Authorization", "token eve"), route.body)
				if err := s.store.Members().Delete(t.Context(), members.Operator, "hers", "eve"); err != nil {
					t.Fatal(err)
				}
				before := rolesOf(t, s)
				if w := end(); w.Code != http.StatusForbidden || rolesOf(t, s) != before {
					t.Errorf("answered %d, and the members are %s, and were %s", w.Code, rolesOf(t, s), before)
				}
				wantAnswer(t, s, "eve", "POST", initPath+"?space=hers", "", 403, "forbidden")
				// What was found out counts at once.
				wantAnswer(t, s, "eve", "POST", pullPath+"?space=hers", firstPull, 403, "forbidden")
			})
		})
	}
}

// TestHeldBodyOfGC: the token of the job ends too.
func TestHeldBodyOfGC(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newFake(t, &fakeEngine{}, func(c *handlers.Config) {
			c.GC = &handlers.GC{
				Authenticator: mortal{end: time.Now().Add(tokenLife)}, Account: "gc",
				Run: func(context.Context) (gc.Result, error) { t.Error("a run was begun"); return gc.Result{}, nil },
			}
		})
		end := hold(h, request("POST", gcPath, "", "Authorization", "token gc"), "{}")
		time.Sleep(tokenLife)
		if w := end(); w.Code != http.StatusUnauthorized {
			t.Errorf("answered %d %s, want 401", w.Code, w.Body)
		}
	})
}
