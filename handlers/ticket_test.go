package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/protocol"
)

const ticketPath = "/api/replicache/poke-ticket"

// fading is a guard whose rights can be revoked and whose tokens may end.
type fading struct {
	guard

	revoked *atomic.Bool
	life    time.Duration // of each token; 0: for ever
}

func (f fading) Authenticate(ctx context.Context, authorization string) (auth.Principal, error) {
	p, err := f.guard.Authenticate(ctx, authorization)
	if f.life > 0 {
		p.Expires = time.Now().Add(f.life)
	}
	return p, err
}

func (f fading) Allow(ctx context.Context, p auth.Principal, s protocol.SpaceID, a auth.Action) error {
	if f.revoked.Load() {
		return auth.ErrForbidden
	}
	return f.guard.Allow(ctx, p, s, a)
}

// guarded is a service on the network where ann may read the space hers.
func guarded(t *testing.T, life time.Duration) (at string, revoked *atomic.Bool) {
	t.Helper()
	f := fading{guard{map[string]bool{"ann read hers": true}}, &atomic.Bool{}, life}
	s := newService(t, func(c *handlers.Config) {
		c.Dev = false
		c.Authenticator, c.Policy = f, f
		c.Recheck = 10 * time.Millisecond
	}, "hers")
	return serve(t, s).URL, f.revoked
}

// by is a request that shows a token; "" is none.
func by(t *testing.T, token, method, at string) *http.Request {
	t.Helper()
	r := newRequest(t, method, at, "")
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	return r
}

func issue(t *testing.T, base string) string {
	t.Helper()
	resp := send(t, by(t, "token ann", "POST", base+ticketPath+"?space=hers"))
	var body struct {
		Ticket  string    `json:"ticket"`
		Expires time.Time `json:"expires"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	if left := time.Until(body.Expires); left <= 0 || left > time.Minute {
		t.Errorf("the ticket lasts %v, want up to a minute", left)
	}
	return body.Ticket
}

func TestTicketIsForWhoMayListen(t *testing.T) {
	t.Parallel()
	base, _ := guarded(t, 0)
	for name, test := range map[string]struct {
		method, query, authorization, contentType string
		want                                      int
	}{
		"no token":        {http.MethodPost, "?space=hers", "", "application/json", http.StatusUnauthorized},
		"another user":    {http.MethodPost, "?space=hers", "token bob", "application/json", http.StatusForbidden},
		"another space":   {http.MethodPost, "?space=his", "token ann", "application/json", http.StatusForbidden},
		"no JSON":         {http.MethodPost, "?space=hers", "token ann", "text/plain", http.StatusUnsupportedMediaType},
		"by GET":          {http.MethodGet, "?space=hers", "token ann", "application/json", http.StatusMethodNotAllowed},
		"impossible name": {http.MethodPost, "?space=", "token ann", "application/json", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := by(t, test.authorization, test.method, base+ticketPath+test.query)
			r.Header.Set("Content-Type", test.contentType)
			resp := send(t, r)
			if resp.StatusCode != test.want {
				t.Errorf("status is %d, want %d", resp.StatusCode, test.want)
			}
		})
	}
}

func TestTicketOpensItsStreamOnly(t *testing.T) {
	t.Parallel()
	base, _ := guarded(t, 0)
	ticket := url.QueryEscape(issue(t, base))
	for name, test := range map[string]struct {
		query, authorization string
		want                 int
	}{
		"its space":     {"?space=hers&ticket=" + ticket, "", http.StatusOK},
		"another space": {"?space=his&ticket=" + ticket, "", http.StatusUnauthorized},
		"changed":       {"?space=hers&ticket=x" + ticket, "", http.StatusUnauthorized},
		"empty":         {"?space=hers&ticket=", "", http.StatusUnauthorized},
		"twice":         {"?space=hers&ticket=" + ticket + "&ticket=" + ticket, "", http.StatusBadRequest},
		"beside token":  {"?space=hers&ticket=" + ticket, "token ann", http.StatusBadRequest},
		"no space name": {"?space=&ticket=" + ticket, "", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp := send(t, by(t, test.authorization, http.MethodHead, base+pokePath+test.query))
			if resp.StatusCode != test.want {
				t.Errorf("status is %d, want %d", resp.StatusCode, test.want)
			}
		})
	}
}

func TestTicketIsForListeningOnlyAndAsLongAsTheRight(t *testing.T) {
	t.Parallel()
	base, revoked := guarded(t, 0)
	ticket := url.QueryEscape(issue(t, base))
	mine := "?space=hers&ticket=" + ticket
	resp := send(t, by(t, "", http.MethodPost, base+pullPath+mine))
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a pull with a ticket is answered %d, want 401", resp.StatusCode)
	}
	revoked.Store(true)
	resp = send(t, by(t, "", http.MethodHead, base+pokePath+mine))
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("after the right was lost the ticket is answered %d, want 403", resp.StatusCode)
	}
}

// TestStreamEndsWithTheRight: also one that was opened in good order.
func TestStreamEndsWithTheRight(t *testing.T) {
	t.Parallel()
	base, revoked := guarded(t, 0)
	stream, _ := listen(t, base+pokePath+"?space=hers&ticket="+url.QueryEscape(issue(t, base)))
	stream.want("retry: 1000", pokeEvent(0))
	revoked.Store(true)
	awaitBye(t, stream)
}

func TestStreamEndsWithTheToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := fading{guard{map[string]bool{"ann read hers": true}}, &atomic.Bool{}, 10 * time.Second}
		s := newService(t, func(c *handlers.Config) { c.Authenticator, c.Policy = f, f }, "hers")
		began, w := time.Now(), httptest.NewRecorder()
		s.ServeHTTP(w, request("GET", pokePath+"?space=hers", "", "Authorization", "token ann"))
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("the stream lasted %v, want as long as the token, 10 s", d)
		}
		awaitBye(t, sse{t, bufio.NewReader(w.Body)})
	})
}

// TestTicketEndsWithTheToken: the stream that it opened ended then, and the next one
// would end at once, again and again.
func TestTicketEndsWithTheToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := fading{guard{map[string]bool{"ann read hers": true}}, &atomic.Bool{}, 10 * time.Second}
		s := newService(t, func(c *handlers.Config) { c.Authenticator, c.Policy = f, f }, "hers")
		var body struct{ Ticket string }
		w := do(s, request("POST", ticketPath+"?space=hers", "", "Authorization", "token ann"))
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		opens := func() int {
			at := pokePath + "?space=hers&ticket=" + url.QueryEscape(body.Ticket)
			return do(s, httptest.NewRequest(http.MethodHead, at, http.NoBody)).Code
		}
		if got := opens(); got != http.StatusOK {
			t.Errorf("at first the ticket is answered %d, want 200", got)
		}
		time.Sleep(11 * time.Second)
		if got := opens(); got != http.StatusUnauthorized {
			t.Errorf("after the token's end the ticket is answered %d, want 401", got)
		}
	})
}

// awaitBye reads a stream to its end, which must be in good order.
func awaitBye(t *testing.T, stream sse) {
	t.Helper()
	last := ""
	for block := stream.next(); block != ""; block = stream.next() {
		last = block
	}
	if !isBye(last) {
		t.Errorf("the stream ended with %q, want a bye", last)
	}
}
