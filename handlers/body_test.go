package handlers_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/limit"
)

const large = 300_000 // bytes of a body that is a large one

// signedIn has users with tokens, who may do everything.
func signedIn(c *handlers.Config) { c.Authenticator, c.Policy = guard{}, auth.Open{} }

// padded is a push of a user, of the body and white space up to so many bytes.
func padded(user, body string, size int) *http.Request {
	return request("POST", pushPath, body+strings.Repeat(" ", max(0, size-len(body))), "Authorization", "token "+user)
}

// underway has a user send a push that does not end, of a mutation of which so many bytes
// arrive at first. The test ends it.
func underway(
	t *testing.T, s http.Handler, user string, size, announced int64,
) (end func() *httptest.ResponseRecorder) {
	t.Helper()
	slow := newSlowBody("")
	done := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		r := padded(user, "", 0)
		begun := io.MultiReader(strings.NewReader(`{"mutations":[{"args":"`), io.LimitReader(blanks{}, size), slow)
		r.Body, r.ContentLength = io.NopCloser(begun), announced
		done <- do(s, r)
	}()
	<-slow.asked
	return func() *httptest.ResponseRecorder {
		slow.rest <- ""
		return <-done
	}
}

func TestLargeBodiesOfUser(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) {
		signedIn(c)
		c.MaxUserBodies, c.MaxAddressBodies = 2, 3
	})
	one := underway(t, s, "ann", 100, large)
	two := underway(t, s, "ann", 100, large)
	refused(t, do(s, padded("ann", onePush, large)), 429, "rate_limited",
		"One user may send 2 bodies of more than 262144 bytes at once.")
	r := padded("ann", onePush, large)
	r.ContentLength = -1
	refused(t, do(s, r), 429, "rate_limited", "One user may send 2 bodies")
	if w := do(s, padded("ann", onePush, large/2)); w.Code != 200 {
		t.Errorf("a body that is not large: %d %s", w.Code, w.Body)
	}
	if w := do(s, padded("bob", mutation(1), large)); w.Code == 429 {
		t.Errorf("another user: %d %s", w.Code, w.Body)
	}
	three := underway(t, s, "bob", 100, large)
	refused(t, do(s, padded("cyd", onePush, large)), 429, "rate_limited", "One address may send 3 bodies")
	for _, end := range []func() *httptest.ResponseRecorder{one, two, three} {
		if w := end(); w.Code != 400 {
			t.Errorf("a body of nothing: %d %s", w.Code, w.Body)
		}
	}
	if w := do(s, padded("ann", onePush, large)); w.Code != 200 {
		t.Errorf("after they have ended: %d %s", w.Code, w.Body)
	}
}

// Large bodies that do not end leave memory to those that are small.
func TestLargeBodiesLeaveMemory(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.MaxBodyBytes, c.MaxBodiesBytes = 1<<20, 4<<20 })
	for range 6 { // of 400,000 bytes, for which there is room for 512 KiB
		end := underway(t, s, "ann", 400_000, -1)
		t.Cleanup(func() { end() })
	}
	refused(t, do(s, padded("bob", onePush, large)), 429, "overloaded",
		"The bodies of all large requests under way are 3145728 bytes together")
	if w := do(s, padded("bob", onePush, large/2)); w.Code != 200 {
		t.Errorf("a body that is not large: %d %s", w.Code, w.Body)
	}
}

func TestBytesOfUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *handlers.Config) {
			signedIn(c)
			c.MaxBodyBytes = 5000
			c.UserBytes, c.AddressBytes = limit.Rate{PerSecond: 1000, Burst: 5000}, limit.Rate{PerSecond: 2000, Burst: 10_000}
		})
		defer s.hub.Close()
		send := func(user string) (*httptest.ResponseRecorder, time.Duration) {
			began := time.Now()
			w := do(s, padded(user, onePush, 5000))
			return w, time.Since(began)
		}
		for _, tc := range []struct {
			user string
			want time.Duration
		}{{"ann", 0}, {"ann", 5 * time.Second}, {"bob", 0}, {"cyd", 2500 * time.Millisecond}} {
			if w, took := send(tc.user); w.Code >= 429 || took != tc.want {
				t.Errorf("%s waited %v, want %v: %d %s", tc.user, took, tc.want, w.Code, w.Body)
			}
		}
		// Who would wait too long is refused, and told when to come again.
		results := make(chan *httptest.ResponseRecorder, 3)
		for range 3 {
			go func() {
				w, _ := send("flo")
				results <- w
			}()
		}
		var late []*httptest.ResponseRecorder
		for range 3 {
			if w := <-results; w.Code == 429 {
				late = append(late, w)
			}
		}
		if len(late) != 1 {
			t.Fatalf("%d of 3 were refused, want 1", len(late))
		}
		refused(t, late[0], 429, "rate_limited",
			"The bodies of one user may have 1000 bytes a second, and 5000 at once.")
		if got := late[0].Header().Get("Retry-After"); got != "5" {
			t.Errorf("Retry-After = %s, want 5", got)
		}
	})
}

// TestLongBodyAtALowRate: what is read of it at once may take longer to pay than anybody waits.
func TestLongBodyAtALowRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *handlers.Config) {
			signedIn(c)
			c.MaxBodyBytes, c.UserBytes = 10_000, limit.Rate{PerSecond: 1000, Burst: 10_000}
		})
		defer s.hub.Close()
		began := time.Now()
		w := do(s, padded("ann", onePush, 100_000))
		if took := time.Since(began).Round(time.Second); w.Code != 200 || took != 90*time.Second {
			t.Errorf("after %v: %d %s", took, w.Code, w.Body)
		}
	})
}

// The connection of a long body that is refused is closed. One that is short is read, and the
// connection used again.
func TestConnectionsOfRefusedBodies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		size, announced int64
		burst           int
		status          int
		closed          bool
	}{
		"too large, announced":  {2 << 20, 2 << 20, 9, 413, true},
		"too large, in chunks":  {2 << 20, -1, 9, 413, true},
		"too often, announced":  {1 << 20, 1 << 20, 1, 429, true},
		"too often, in chunks":  {1 << 20, -1, 1, 429, true},
		"too often, but short":  {1000, 1000, 1, 429, false},
		"no JSON, in chunks":    {1 << 19, -1, 9, 400, false},
		"no JSON, and no limit": {1000, 1000, 9, 400, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(c *handlers.Config) {
				c.MaxBodyBytes, c.AddressRate = 1<<20, limit.Rate{PerSecond: 1e-3, Burst: tc.burst}
			})
			srv := serve(t, s)
			if resp := send(t, newRequest(t, "POST", srv.URL+pullPath, firstPull)); resp.StatusCode != http.StatusOK {
				t.Fatalf("first of all: %d", resp.StatusCode)
			}
			r := newRequest(t, "POST", srv.URL+pullPath, "")
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(blanks{}, tc.size)), tc.announced
			client := http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tc.status || resp.Close != tc.closed {
				t.Errorf("status %d, connection closed: %v; want %d, %v", resp.StatusCode, resp.Close, tc.status, tc.closed)
			}
		})
	}
}

// TestRefusalReachesWhoSendsFirst: a client that looks at no answer before it has sent all of
// a large body sees why it is refused.
func TestRefusalReachesWhoSendsFirst(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.Authenticator, c.Policy = guard{}, auth.Open{} })
	srv := serve(t, s)
	for i := range 5 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		const size = 7 << 20 // more than the system keeps
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
			"Content-Length: %d\r\n\r\n", pushPath, size)
		if err == nil {
			_, err = io.CopyN(conn, blanks{}, size)
		}
		if err != nil {
			t.Fatalf("body %d is not taken: %v", i, err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
			t.Errorf("%v, %s", err, answer)
		}
	}
}

// blanks reads as white space, without an end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
