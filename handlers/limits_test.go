package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/limit"
	"github.com/replifire/replifire/memory"
	mutators "github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// refused checks that an answer is a refusal of a kind that says its limit.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, kind, limit string) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status = %d, want %d: %s", w.Code, status, w.Body)
	}
	p := problemOf(t, w)
	detail, _ := p["detail"].(string)
	if p["kind"] != kind || !strings.Contains(detail, limit) {
		t.Errorf("problem = %v %q, want %s and %q", p["kind"], detail, kind, limit)
	}
	if after := w.Header().Get("Retry-After"); (status == 429) != (after != "") {
		t.Errorf("Retry-After = %q with %d", after, status)
	}
}

// from is a pull of an address.
func from(address string) *http.Request {
	r := request("POST", pullPath, firstPull)
	r.RemoteAddr = address
	return r
}

// forwarded is a pull of "PEER < X-FORWARDED-FOR".
func forwarded(way string) *http.Request {
	peer, header, ok := strings.Cut(way, " < ")
	r := from(peer)
	if ok {
		r.Header.Set("X-Forwarded-For", header)
	}
	return r
}

func TestAddressRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *handlers.Config) { c.AddressRate = limit.Rate{PerSecond: 0.25, Burst: 3} })
		defer s.hub.Close()
		for i := range 3 {
			if w := do(s, from("192.0.2.1:1")); w.Code != 200 {
				t.Fatalf("request %d of 3: %d %s", i, w.Code, w.Body)
			}
		}
		w := do(s, from("192.0.2.1:2"))
		refused(t, w, 429, "rate_limited", "One address may send 0.25 requests a second, and 3 at once.")
		seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
		if err != nil || seconds != 4 {
			t.Errorf("Retry-After = %d (%v), want 4", seconds, err)
		}
		if w := do(s, from("192.0.2.2:1")); w.Code != 200 {
			t.Errorf("another address: %d", w.Code)
		}
		time.Sleep(4 * time.Second)
		if w := do(s, from("192.0.2.1:3")); w.Code != 200 {
			t.Errorf("after the time that was said: %d", w.Code)
		}
	})
}

// What is asked for by others than clients is answered to anybody.
func TestRatesLeaveHealthAlone(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.AddressRate = limit.Rate{PerSecond: 1e-3, Burst: 1} })
	do(s, from("192.0.2.1:1"))
	for _, path := range []string{"/health", "/ready"} {
		if w := do(s, request("GET", path, "")); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	preflight := request("OPTIONS", pushPath, "", "Origin", "https://a.example", "Access-Control-Request-Method", "POST")
	if w := do(s, preflight); w.Code != 204 {
		t.Errorf("preflight: %d", w.Code)
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		proxies int
		a, b    string // the peer, and after " < " what it forwards
		same    bool
	}{
		"other port":                    {0, "192.0.2.1:1", "192.0.2.1:2", true},
		"other address":                 {0, "192.0.2.1:1", "192.0.2.2:1", false},
		"no proxy: the header says it":  {0, "192.0.2.1:1 < 192.0.2.8", "192.0.2.1:1", true},
		"IPv4 in IPv6":                  {0, "192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		"same network in IPv6":          {0, "[2001:db8::1]:1", "[2001:db8::ffff:2]:1", true},
		"other network in IPv6":         {0, "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		"zone":                          {0, "[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
		"behind one: others":            {1, "10.0.0.1:1 < 192.0.2.1", "10.0.0.1:1 < 192.0.2.2", false},
		"behind one: claims before it":  {1, "10.0.0.1:1 < 192.0.2.8, 192.0.2.1", "10.0.0.1:1 < x,192.0.2.1", true},
		"behind one: other proxies":     {1, "10.0.0.1:1 < 192.0.2.1", "10.0.0.2:1 < 192.0.2.1", true},
		"behind two: the last is ours":  {2, "10.0.0.1:1 < 192.0.2.1, 10.0.0.8", "10.0.0.1:1 < 192.0.2.1, 10.0.0.9", true},
		"behind two: the one before":    {2, "10.0.0.1:1 < 192.0.2.1, 10.0.0.8", "10.0.0.1:1 < 192.0.2.2, 10.0.0.8", false},
		"not behind one: all one":       {1, "192.0.2.1:1", "192.0.2.2:1", true},
		"behind one: broken are one":    {1, "10.0.0.1:1 < x", "10.0.0.1:1 < y", true},
		"behind two: one entry is none": {2, "10.0.0.1:1 < 192.0.2.1", "10.0.0.1:1 < 192.0.2.2", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(c *handlers.Config) {
				c.AddressRate, c.Proxies = limit.Rate{PerSecond: 1e-3, Burst: 1}, tc.proxies
			})
			if w := do(s, forwarded(tc.a)); w.Code != 200 {
				t.Fatalf("first: %d %s", w.Code, w.Body)
			}
			if w := do(s, forwarded(tc.b)); (w.Code == 429) != tc.same {
				t.Errorf("second: %d; counted as the same address: %v, want %v", w.Code, w.Code == 429, tc.same)
			}
		})
	}
	t.Run("header in two lines", func(t *testing.T) {
		t.Parallel()
		s := newService(t, func(c *handlers.Config) {
			c.AddressRate, c.Proxies = limit.Rate{PerSecond: 1e-3, Burst: 1}, 1
		})
		for i, want := range []int{200, 429} {
			r := forwarded(fmt.Sprint("10.0.0.1:1 < 192.0.2.", i))
			r.Header.Add("X-Forwarded-For", "192.0.2.100")
			if w := do(s, r); w.Code != want {
				t.Errorf("request %d: %d, want %d: the last line's last counts", i, w.Code, want)
			}
		}
	})
}

// TestSites: who has a large network of IPv6 cannot take a bucket for each address in it.
func TestSites(t *testing.T) {
	t.Parallel()
	ipv6 := func(site, network int) string { return fmt.Sprintf("[2001:db8:%x:%x::1]:1", site, network) }
	t.Run("requests", func(t *testing.T) {
		t.Parallel()
		s := newService(t, func(c *handlers.Config) { c.AddressRate = limit.Rate{PerSecond: 1e-3, Burst: 2} })
		for range 4 { // one network alone takes no more than its own share
			do(s, from(ipv6(1, 0)))
		}
		for i := range 6 {
			if w := do(s, from(ipv6(1, 1+i))); w.Code != 200 {
				t.Fatalf("network %d: %d %s", i, w.Code, w.Body)
			}
		}
		refused(t, do(s, from(ipv6(1, 9))), 429, "rate_limited",
			"One IPv6 network of 48 bits may send 0.004 requests a second, and 8 at once.")
		for _, other := range []string{ipv6(2, 9), "192.0.2.1:1"} {
			if w := do(s, from(other)); w.Code != 200 {
				t.Errorf("another site, %s: %d %s", other, w.Code, w.Body)
			}
		}
		for i := range 20 { // an address of IPv4 has no site
			if w := do(s, from(fmt.Sprintf("192.0.2.%d:1", 2+i))); w.Code != 200 {
				t.Errorf("address %d: %d %s", i, w.Code, w.Body)
			}
		}
	})
	t.Run("new spaces", func(t *testing.T) {
		t.Parallel()
		s := newService(t, func(c *handlers.Config) { c.AddressSpaces = limit.Rate{PerSecond: 1. / 3600, Burst: 1} })
		for i := range 4 {
			if w := pushTo(s, "", ipv6(1, i), fmt.Sprint("s", i)); w.Code != 200 {
				t.Fatalf("space %d: %d %s", i, w.Code, w.Body)
			}
		}
		refused(t, pushTo(s, "", ipv6(1, 9), "s9"), 429, "rate_limited",
			"One IPv6 network of 48 bits may create 4 spaces an hour, and 4 at once.")
	})
}

func TestUserRate(t *testing.T) {
	t.Parallel()
	rights := guard{map[string]bool{"ann read default": true, "bob read default": true}}
	s := newService(t, func(c *handlers.Config) {
		c.Authenticator, c.Policy, c.UserRate = rights, rights, limit.Rate{PerSecond: 1e-3, Burst: 2}
	})
	as := func(user string) *http.Request {
		return request("POST", pullPath, firstPull, "Authorization", "token "+user)
	}
	ticket := request("POST", "/api/replicache/poke-ticket", "{}", "Authorization", "token ann")
	if a, b := do(s, as("ann")), do(s, ticket); a.Code != 200 || b.Code != 200 {
		t.Fatalf("two requests of two: %d, %d", a.Code, b.Code)
	}
	refused(t, do(s, as("ann")), 429, "rate_limited", "One user may send 0.001 requests a second, and 2 at once.")
	// Group g1 is of nobody yet, as nobody has pushed.
	if w := do(s, as("bob")); w.Code != 200 {
		t.Errorf("another user: %d", w.Code)
	}
	// A right that is missing is no way around.
	refused(t, do(s, request("POST", pullPath+"?space=other", firstPull, "Authorization", "token ann")),
		429, "rate_limited", "One user")
}

// Who listens with a ticket is the user of the ticket.
func TestUserRateOfTickets(t *testing.T) {
	t.Parallel()
	rights := guard{map[string]bool{"ann read default": true}}
	s := newService(t, func(c *handlers.Config) {
		c.Authenticator, c.Policy, c.UserRate = rights, rights, limit.Rate{PerSecond: 1e-3, Burst: 1}
	})
	w := do(s, request("POST", "/api/replicache/poke-ticket", "{}", "Authorization", "token ann"))
	var answer struct{ Ticket string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Ticket == "" {
		t.Fatalf("ticket: %d %s", w.Code, w.Body)
	}
	r := request("GET", pokePath+"?ticket="+answer.Ticket, "")
	r.Header.Del("Authorization")
	refused(t, do(s, r), 429, "rate_limited", "One user")
}

func TestUserStreams(t *testing.T) {
	t.Parallel()
	rights := guard{map[string]bool{"ann read default": true, "bob read default": true}}
	s := newService(t, func(c *handlers.Config) {
		c.Authenticator, c.Policy, c.MaxUserStreams = rights, rights, 2
	})
	srv := serve(t, s)
	open := func(user string) *reply {
		r := newRequest(t, "GET", srv.URL+pokePath, "")
		r.Header.Set("Authorization", "token "+user)
		return send(t, r)
	}
	first, second := open("ann"), open("ann")
	if first.StatusCode != http.StatusOK || second.StatusCode != http.StatusOK {
		t.Fatalf("two streams of two: %d, %d", first.StatusCode, second.StatusCode)
	}
	third := open("ann")
	body := read(t, third.Body)
	if third.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "One user may have 2 poke streams") {
		t.Errorf("a third stream of two: %d %s", third.StatusCode, body)
	}
	if r := open("bob"); r.StatusCode != http.StatusOK {
		t.Errorf("another user's: %d", r.StatusCode)
	}
	// Its place is free soon after a stream is closed.
	_ = first.Body.Close()
	for open("ann").StatusCode != http.StatusOK {
		if t.Context().Err() != nil {
			t.Fatal("the place of a stream that was closed stays taken")
		}
		time.Sleep(time.Millisecond)
	}
}

// slowBody gives a piece, and the rest when it is told to.
type slowBody struct {
	first string
	asked chan struct{} // closed when the rest is asked for
	rest  chan string
	given bool
}

func newSlowBody(first string) *slowBody {
	return &slowBody{first: first, asked: make(chan struct{}), rest: make(chan string)}
}

func (b *slowBody) Read(p []byte) (int, error) {
	if !b.given {
		b.given = true
		return copy(p, b.first), nil
	}
	close(b.asked)
	return copy(p, <-b.rest), io.EOF
}

func (b *slowBody) Close() error { return nil }

// TestBodiesTogether: many bodies share an amount of memory, and what a request has
// taken comes back at its end, also when it is refused.
func TestBodiesTogether(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.MaxBodyBytes, c.MaxBodiesBytes = 3000, 3000 })
	slow := newSlowBody(onePush[:100])
	done := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		r := request("POST", pushPath, "")
		r.Body, r.ContentLength = slow, 2000
		done <- do(s, r)
	}()
	<-slow.asked
	refused(t, do(s, request("POST", pushPath, onePush)), 429, "overloaded", "3000 bytes together")
	slow.rest <- onePush[100:]
	if w := <-done; w.Code != 200 {
		t.Errorf("the push that was first: %d %s", w.Code, w.Body)
	}
	for i := range 100 { // each takes more than a hundredth
		body := mutation(2 + i)
		if i%2 == 1 {
			body = mutation(2+i-1) + "no JSON"
		}
		if w := do(s, request("POST", pushPath, body)); w.Code >= 429 {
			t.Fatalf("push %d, alone: %d %s", i, w.Code, w.Body)
		}
	}
}

// A length that is only said takes no memory.
func TestBodiesTakeWhatArrives(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.MaxBodyBytes, c.MaxBodiesBytes = 8<<20, 8<<20 })
	for range 20 {
		slow := newSlowBody(onePush[:100])
		done := make(chan int, 1)
		go func() {
			r := request("POST", pushPath, "")
			r.Body, r.ContentLength = slow, 8<<20
			done <- do(s, r).Code
		}()
		<-slow.asked
		t.Cleanup(func() { slow.rest <- ""; <-done })
	}
	if w := do(s, request("POST", pushPath, onePush)); w.Code != 200 {
		t.Errorf("beside 20 announced bodies of 8 MiB: %d %s", w.Code, w.Body)
	}
}

// answering is an engine whose spaces have some kilobytes more than the cookie.
func answering(pulls *atomic.Int64, kilobytes int) *fakeEngine {
	return &fakeEngine{pull: func(context.Context, engine.Caller, *protocol.PullRequest) (*protocol.PullResponse, error) {
		pulls.Add(1)
		value, err := json.Marshal(strings.Repeat("x", 1000))
		return &protocol.PullResponse{
			Version: 1, Cookie: json.RawMessage(`{"order":1,"version":1,"epoch":"e"}`),
			Patch: iter.Seq2[protocol.PatchOperation, error](func(yield func(protocol.PatchOperation, error) bool) {
				for i := range kilobytes {
					if !yield(protocol.PatchOperation{Op: protocol.OpPut, Key: strconv.Itoa(i), Value: value}, nil) {
						return
					}
				}
			}),
		}, err
	}}
}

// TestResponseLimit: what has begun is cut off, never ended well; what comes next is
// refused in words, and reads nothing.
func TestResponseLimit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kilobytes int
		limit     int64
		cut, ok   bool
	}{
		"below":                    {100, 200_000, false, true},
		"no limit":                 {100, 0, false, true},
		"above, when it has begun": {100, 80_000, true, false},
		"above, before it begins":  {100, 20_000, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pulls atomic.Int64
			h := newFake(t, answering(&pulls, tc.kilobytes), func(c *handlers.Config) { c.MaxResponseBytes = tc.limit })
			srv := serve(t, h)
			resp := send(t, newRequest(t, "POST", srv.URL+pullPath, firstPull))
			body, err := io.ReadAll(resp.Body)
			if tc.cut && (err == nil || json.Valid(body)) {
				t.Errorf("an answer above the limit ended well: %d bytes", len(body))
			}
			if tc.ok && (err != nil || !json.Valid(body)) {
				t.Errorf("an answer below the limit: %v", err)
			}
			w := do(h, request("POST", pullPath, firstPull))
			if tc.ok {
				if w.Code != 200 || pulls.Load() != 2 {
					t.Errorf("the second pull: %d after %d pulls of the engine", w.Code, pulls.Load())
				}
				return
			}
			refused(t, w, 413, "response_too_large", fmt.Sprintf("larger than %d bytes", tc.limit))
			if n := pulls.Load(); n != 1 {
				t.Errorf("the engine was asked %d times, want once", n)
			}
			other := send(t, newRequest(t, "POST", srv.URL+pullPath+"?space=other", firstPull))
			if _, _ = io.Copy(io.Discard, other.Body); pulls.Load() != 2 {
				t.Errorf("another space was refused too: %d", other.StatusCode)
			}
		})
	}
}

// TestResponseLimitIsOfAnAnswer: a cookie of another epoch, whose answer is everything, does
// not keep those out whose answer is small.
func TestResponseLimitIsOfAnAnswer(t *testing.T) {
	t.Parallel()
	const epoch = "AAAAAAAAAAAAAAAA"
	var pulls atomic.Int64
	large, small := answering(&pulls, 10), answering(&pulls, 1)
	h := newFake(t, &fakeEngine{pull: func(
		ctx context.Context, c engine.Caller, req *protocol.PullRequest,
	) (*protocol.PullResponse, error) {
		if req.Cookie.Ours && req.Cookie.Epoch == epoch {
			return small.pull(ctx, c, req)
		}
		return large.pull(ctx, c, req)
	}}, func(c *handlers.Config) { c.MaxResponseBytes = 5000 })
	pull := func(cookie string) string {
		return strings.Replace(firstPull, `"cookie":null`, `"cookie":`+cookie, 1)
	}
	good := pull(`{"order":2,"version":2,"epoch":"` + epoch + `"}`)
	for _, cookie := range []string{`{"order":2,"version":2,"epoch":"BBBBBBBBBBBBBBBB"}`, "null", "2"} {
		refused(t, do(h, request("POST", pullPath, pull(cookie))), 413, "response_too_large", "5000")
		if w := do(h, request("POST", pullPath, good)); w.Code != 200 {
			t.Errorf("after a pull with %s, one whose answer is small: %d %s", cookie, w.Code, w.Body)
		}
	}
}

// TestResponseLimitOfTheFuture: a forged cookie of a version that the space has yet to reach,
// whose answer is everything, does not keep those out who come to that version.
func TestResponseLimitOfTheFuture(t *testing.T) {
	t.Parallel()
	e := engine.New(memory.New(), mutators.NewRegistry(), engine.Options{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	write := func(key, value string) engine.Head {
		head, err := e.Write(t.Context(), "default", func(_ context.Context, tx mutators.WriteTransaction) error {
			return tx.Set(key, value)
		})
		if err != nil {
			t.Fatal(err)
		}
		return head
	}
	h := newFake(t, &fakeEngine{pull: func(
		ctx context.Context, _ engine.Caller, req *protocol.PullRequest,
	) (*protocol.PullResponse, error) {
		return e.Pull(ctx, engine.Caller{Space: "default"}, req)
	}}, func(c *handlers.Config) { c.MaxResponseBytes = 5000 })
	epoch := write("large", strings.Repeat("x", 10_000)).Epoch
	pull := func(version int) string {
		cookie := fmt.Sprintf(`"cookie":{"order":%d,"version":%[1]d,"epoch":%q}`, version, epoch)
		return strings.Replace(firstPull, `"cookie":null`, cookie, 1)
	}
	refused(t, do(h, request("POST", pullPath, pull(2))), 413, "response_too_large", "5000")
	write("small", "1")
	write("small", "2")
	for version := 1; version <= 2; version++ {
		if w := do(h, request("POST", pullPath, pull(version))); w.Code != 200 {
			t.Errorf("a cookie of version %d: %d %s", version, w.Code, w.Body)
		}
	}
	refused(t, do(h, request("POST", pullPath, pull(0))), 413, "response_too_large", "5000")
}

// TestResponseLimitIsOfThePatch: what an answer says of the asking group's clients keeps nobody
// else out, however much it is, and has a limit of its own.
func TestResponseLimitIsOfThePatch(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		clients, kilobytes int // of the first one's group, and of the space
		refusal            string
		others             int // the status of somebody else's pull
	}{
		"many clients":                 {5000, 1, "clients of this client group is larger than 50000 bytes", 200},
		"some of both":                 {1000, 40, "", 200},
		"many clients, large space":    {5000, 100, "clients of this client group is larger than 50000 bytes", 413},
		"some clients, large space":    {1000, 100, "answer is larger than 50000 bytes", 413},
		"just the space, just as much": {0, 45, "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pulls atomic.Int64
			space := answering(&pulls, tc.kilobytes)
			h := newFake(t, &fakeEngine{pull: func(
				ctx context.Context, c engine.Caller, req *protocol.PullRequest,
			) (*protocol.PullResponse, error) {
				resp, err := space.pull(ctx, c, req)
				if req.ClientGroupID == "many" {
					resp.Clients = manyClients(tc.clients)
				}
				return resp, err
			}}, func(c *handlers.Config) { c.MaxResponseBytes = 50_000 })
			srv := serve(t, h)
			pull := func(group string) (*reply, []byte, error) {
				resp := send(t, newRequest(t, "POST", srv.URL+pullPath, strings.Replace(firstPull, `"g1"`, `"`+group+`"`, 1)))
				body, err := io.ReadAll(resp.Body)
				return resp, body, err
			}
			for range 2 {
				resp, body, err := pull("many")
				cut := err != nil && !json.Valid(body)
				if whole := err == nil && resp.StatusCode == http.StatusOK; whole != (tc.refusal == "") ||
					!whole && !cut && !strings.Contains(string(body), tc.refusal) {
					t.Errorf("the group of many: %d, %d bytes, %v, want %q", resp.StatusCode, len(body), err, tc.refusal)
				}
			}
			resp, body, err := pull("other")
			if got := resp.StatusCode; tc.others == 200 && (got != 200 || err != nil || !json.Valid(body)) {
				t.Errorf("somebody else: %d, %d bytes, %v, want them answered", got, len(body), err)
			}
			if resp, _, _ := pull("other"); resp.StatusCode != tc.others {
				t.Errorf("somebody else again: %d, want %d", resp.StatusCode, tc.others)
			}
		})
	}
}

// manyClients have changed, 30 bytes each.
func manyClients(n int) iter.Seq2[protocol.ClientChange, error] {
	return func(yield func(protocol.ClientChange, error) bool) {
		for i := range n {
			if !yield(protocol.ClientChange{ID: protocol.ClientID(fmt.Sprintf("client-%016d", i)), LastMutationID: 1}, nil) {
				return
			}
		}
	}
}

// A space can become smaller.
func TestResponseLimitIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pulls atomic.Int64
		e := answering(&pulls, 10)
		h := newFake(t, e, func(c *handlers.Config) { c.MaxResponseBytes = 5000 })
		refused(t, do(h, request("POST", pullPath, firstPull)), 413, "response_too_large", "5000")
		e.pull = answering(&pulls, 1).pull
		refused(t, do(h, request("POST", pullPath, firstPull)), 413, "response_too_large", "5000")
		time.Sleep(time.Minute + time.Second)
		if w := do(h, request("POST", pullPath, firstPull)); w.Code != 200 {
			t.Errorf("after a minute: %d %s", w.Code, w.Body)
		}
	})
}

// TestOverloadSaysItsLimits: also those of the packages below.
func TestOverloadSaysItsLimits(t *testing.T) {
	t.Parallel()
	full := fmt.Errorf("push: %w", limited{engine.ErrOverloaded, "At most 7 pushes wait."})
	e := &fakeEngine{push: func(context.Context, engine.Caller, *protocol.PushRequest) error { return full }}
	h := newFake(t, e, nil)
	refused(t, do(h, request("POST", pushPath, onePush)), 429, "overloaded", "At most 7 pushes wait.")
}

type limited struct {
	error
	limit string
}

func (l limited) Limit() string { return l.limit }
func (l limited) Unwrap() error { return l.error }
