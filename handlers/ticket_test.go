package handlers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/protocol"
)

const ticketPath = "/api/replicache/poke-ticket"

// byName takes the Authorization header for the user's id.
type byName struct{ life time.Duration }

func (a byName) Authenticate(_ context.Context, authorization string) (auth.Principal, error) {
	if authorization == "" {
		return auth.Principal{}, fmt.Errorf("no token: %w", auth.ErrUnauthenticated)
	}
	p := auth.Principal{UserID: authorization}
	if a.life > 0 {
		p.Expires = time.Now().Add(a.life)
	}
	return p, nil
}

// onlyFor is a policy that gives one user one space, until it is revoked.
type onlyFor struct {
	user    string
	space   protocol.SpaceID
	revoked *atomic.Bool
}

func (o onlyFor) Allow(_ context.Context, p auth.Principal, s protocol.SpaceID, _ auth.Action) error {
	if p.UserID != o.user || s != o.space || o.revoked.Load() {
		return fmt.Errorf("not theirs: %w", auth.ErrForbidden)
	}
	return nil
}

// guarded is a service on the network where ann may use the space hers.
func guarded(t *testing.T, life time.Duration) (at string, revoked *atomic.Bool) {
	t.Helper()
	revoked = &atomic.Bool{}
	s := newService(t, func(c *handlers.Config) {
		c.Dev = false
		c.Authenticator = byName{life}
		c.Policy = onlyFor{"ann", "hers", revoked}
		c.Recheck = 10 * time.Millisecond
	}, "hers")
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL, revoked
}

// ticketReply is an answer whose body is closed at the end of the test.
type ticketReply struct {
	StatusCode int
	Body       io.Reader
}

func ask(t *testing.T, method, at, authorization, contentType string) ticketReply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return ticketReply{resp.StatusCode, resp.Body}
}

func issue(t *testing.T, base string) string {
	t.Helper()
	resp := ask(t, http.MethodPost, base+ticketPath+"?space=hers", "ann", "application/json")
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
		"another user":    {http.MethodPost, "?space=hers", "bob", "application/json", http.StatusForbidden},
		"another space":   {http.MethodPost, "?space=his", "ann", "application/json", http.StatusForbidden},
		"no JSON":         {http.MethodPost, "?space=hers", "ann", "text/plain", http.StatusUnsupportedMediaType},
		"by GET":          {http.MethodGet, "?space=hers", "ann", "application/json", http.StatusMethodNotAllowed},
		"impossible name": {http.MethodPost, "?space=", "ann", "application/json", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp := ask(t, test.method, base+ticketPath+test.query, test.authorization, test.contentType)
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
		"beside token":  {"?space=hers&ticket=" + ticket, "ann", http.StatusBadRequest},
		"no space name": {"?space=&ticket=" + ticket, "", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp := ask(t, http.MethodHead, base+pokePath+test.query, test.authorization, "")
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
	resp := ask(t, http.MethodPost, base+pullPath+mine, "", "application/json")
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a pull with a ticket is answered %d, want 401", resp.StatusCode)
	}
	revoked.Store(true)
	resp = ask(t, http.MethodHead, base+pokePath+mine, "", "")
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("after the right was lost the ticket is answered %d, want 403", resp.StatusCode)
	}
}

// TestStreamEndsWithTheRight: also one that was opened in good order.
func TestStreamEndsWithTheRight(t *testing.T) {
	t.Parallel()
	base, revoked := guarded(t, 0)
	resp := ask(t, http.MethodGet, base+pokePath+"?space=hers&ticket="+url.QueryEscape(issue(t, base)), "", "")
	awaitBye(t, resp, func() { revoked.Store(true) })
}

func TestStreamEndsWithTheToken(t *testing.T) {
	t.Parallel()
	base, _ := guarded(t, 300*time.Millisecond)
	resp := ask(t, http.MethodGet, base+pokePath+"?space=hers", "ann", "")
	awaitBye(t, resp, func() {})
}

// awaitBye reads a stream to its end, which must be in good order, and calls open
// once it has begun.
func awaitBye(t *testing.T, resp ticketReply, open func()) {
	t.Helper()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status is %d", resp.StatusCode)
	}
	lines := bufio.NewScanner(resp.Body)
	bye := false
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "retry: 1000") {
			open()
		}
		bye = bye || lines.Text() == "event: bye"
	}
	if err := lines.Err(); err != nil || !bye {
		t.Errorf("the stream ended with %v, bye: %t", err, bye)
	}
}
