package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/protocol"
)

// pending is the body of a push of mutations of clients c0, c1 …, as Replicache writes it.
func pending(mutations ...string) string {
	return `{"profileID":"p","clientGroupID":"g1","mutations":[` + strings.Join(mutations, ",") +
		`],"pushVersion":1,"schemaVersion":""}`
}

// message is a mutation of client number client, with a content of a size.
func message(client, id, size int) string {
	return fmt.Sprintf(`{"timestamp":1.5,"id":%d,"name":"createMessage","args":{"id":"m%d-%d","from":"Jane",`+
		`"content":"%s","order":%[1]d},"clientID":"c%[2]d"}`, id, client, id, strings.Repeat("x", size))
}

// pushed pushes a body in chunks of which the length is not said.
func pushed(s *service, body string) *httptest.ResponseRecorder {
	r := request("POST", pushPath, "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1
	return do(s, r)
}

// applied is how many mutations of the clients are applied.
func (s *service) applied(t *testing.T, clients int) int {
	t.Helper()
	var ids []protocol.ClientID
	for i := range clients {
		ids = append(ids, protocol.ClientID(fmt.Sprint("c", i)))
	}
	n := 0
	for len(ids) > 0 {
		some := ids[:min(len(ids), 1000)]
		ids = ids[len(some):]
		found, err := s.engine.Applied(t.Context(), engine.Caller{Space: "default"}, "g1", some)
		if err != nil {
			t.Fatal(err)
		}
		for _, last := range found {
			n += int(last)
		}
	}
	return n
}

// TestBacklog: whatever it is too large in, and though no pull ever shortens it, each try of a
// backlog applies what the one before has left, in order, and only the last one is a success.
func TestBacklog(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		clients, n, size int
		maxBytes         int64
		maxMutations     int
		tries            int
	}{
		"nothing is too large":    {2, 10, 10, 1 << 20, 50, 1},
		"bytes":                   {2, 10, 1000, 3000, 50, 5},
		"mutations":               {2, 10, 10, 1 << 20, 3, 4},
		"clients":                 {2500, 2500, 0, 1 << 20, 0, 3},
		"one mutation at a time":  {1, 4, 2900, 3000, 50, 4},
		"a mutation for each try": {3, 5, 10, 1 << 20, 1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(c *handlers.Config) { c.MaxBodyBytes, c.MaxMutations = tc.maxBytes, tc.maxMutations })
			var list []string
			for i := range tc.n {
				list = append(list, message(i%tc.clients, i/tc.clients+1, tc.size))
			}
			body := pending(list...)
			before := 0
			for try := 1; ; try++ {
				w := pushed(s, body)
				now := s.applied(t, tc.clients)
				if now <= before {
					t.Fatalf("try %d has applied nothing: %d %s", try, w.Code, w.Body)
				}
				before = now
				if w.Code != 200 {
					refused(t, w, 429, "partly_applied", "Send all again to go on.")
					continue
				}
				if now != tc.n || try != tc.tries {
					t.Errorf("success after %d tries with %d of %d mutations, want %d tries", try, now, tc.n, tc.tries)
				}
				break
			}
			if w := pushed(s, body); w.Code != 200 || s.applied(t, tc.clients) != tc.n {
				t.Errorf("all of it again: %d %s", w.Code, w.Body)
			}
		})
	}
}

// TestBacklogOfBrokenBodies: what does not end, or is no push, changes nothing, however much of
// it could have been applied.
func TestBacklogOfBrokenBodies(t *testing.T) {
	t.Parallel()
	list := []string{message(0, 1, 10), message(0, 2, 10), message(0, 3, 10), message(0, 4, 10)}
	whole := pending(list...)
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"cut off in the first part":        {whole[:300], 400},
		"cut off behind it":                {whole[:len(whole)-200], 400},
		"cut off before the versions":      {strings.Split(whole, `,"pushVersion"`)[0], 400},
		"without its last character":       {whole[:len(whole)-1], 400},
		"no JSON behind the first part":    {strings.Replace(whole, `"id":4`, `"id":04`, 1), 400},
		"no UTF-8 behind the first part":   {strings.Replace(whole, `m0-4`, "m\xff", 1), 400},
		"no version":                       {strings.Replace(whole, `"pushVersion":1,`, ``, 1), 400},
		"a version that nobody knows":      {strings.Replace(whole, `"pushVersion":1`, `"pushVersion":7`, 1), 200},
		"no schema version":                {strings.Replace(whole, `,"schemaVersion":""`, ``, 1), 400},
		"something behind it":              {whole + "{}", 400},
		"mutations twice":                  {strings.Replace(whole, `"pushVersion"`, `"mutations":[],"pushVersion"`, 1), 400},
		"a mutation that is none, at once": {strings.Replace(whole, `"id":2`, `"id":"2"`, 1), 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(c *handlers.Config) { c.MaxMutations = 2 })
			if w := pushed(s, tc.body); w.Code != tc.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tc.status)
			}
			if head, err := s.engine.Head(t.Context(), "default"); err != nil || head.Version != 0 {
				t.Errorf("version %d, %v", head.Version, err)
			}
		})
	}
}

// TestHugeMutation: a mutation that is too long for any push is rejected, and those around it
// are applied.
func TestHugeMutation(t *testing.T) {
	t.Parallel()
	args := `"args":{"id":"m0-2"`
	for name, huge := range map[string]string{
		"args":             message(0, 2, 500_000),
		"args, before all": hugeFirst(500_000),
		"name":             strings.Replace(message(0, 2, 10), "createMessage", strings.Repeat("n", 500_000), 1),
		"an unknown field": strings.Replace(message(0, 2, 10), args, `"x":"`+strings.Repeat("x", 500_000)+`",`+args, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(c *handlers.Config) { c.MaxBodyBytes = 100_000 })
			w := pushed(s, pending(message(0, 1, 10), huge, message(0, 3, 10)))
			if w.Code != 200 || s.applied(t, 1) != 3 {
				t.Fatalf("%d %s; %d mutations are acknowledged", w.Code, w.Body, s.applied(t, 1))
			}
			answer := do(s, request("POST", pullPath, firstPull)).Body.String()
			rejected := strings.Contains(answer, `"rejections":{"c0":[{"id":2,`) && strings.Contains(answer, "longer than")
			if !strings.Contains(answer, "m0-1") || !strings.Contains(answer, "m0-3") ||
				rejected != (name != "an unknown field") || strings.Contains(answer, "m0-2") == rejected {
				t.Errorf("a pull shows %s", answer)
			}
		})
	}
}

// hugeFirst is message 2 of client 0 with its arguments before all that identifies it.
func hugeFirst(size int) string {
	return `{"args":"` + strings.Repeat("x", size) + `","name":"createMessage","id":2,"clientID":"c0","timestamp":1}`
}

// TestGapBehindWhatIsApplied: a gap is one of the body's own, and no sign of lost data, where
// mutations of the client before it were left out.
func TestGapBehindWhatIsApplied(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.MaxMutations = 2 })
	if w := pushed(s, pending(message(0, 1, 1), message(0, 2, 1))); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, list := range [][]string{
		{message(0, 1, 1), message(0, 2, 1), message(0, 4, 1)}, // one too many: the first two are left out
		{message(0, 2, 1), message(0, 4, 1)},                   // all are kept
	} {
		if w := pushed(s, pending(list...)); w.Code != 409 {
			t.Errorf("%d mutations: %d %s, want 409", len(list), w.Code, w.Body)
		}
	}
}

// TestBacklogOfOthers: mutations of a foreign client are not taken for applied ones, and those
// of a foreign group are refused, at whatever length.
func TestBacklogOfOthers(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) {
		signedIn(c)
		c.MaxMutations = 2
	})
	as := func(user, group string, list ...string) *httptest.ResponseRecorder {
		body := strings.Replace(pending(list...), `"g1"`, `"`+group+`"`, 1)
		return do(s, request("POST", pushPath, body, "Authorization", "token "+user))
	}
	own := []string{message(0, 1, 1), message(0, 2, 1), message(0, 3, 1), message(0, 4, 1)}
	if w := as("ann", "g1", own[:2]...); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	refused(t, as("bob", "g2", own...), 403, "forbidden", "")
	refused(t, as("bob", "g1", own...), 403, "forbidden", "")
	refused(t, as("bob", "g1", own[0], own[1], own[0], own[0]), 403, "forbidden", "")
	refused(t, as("ann", "g2", own...), 403, "forbidden", "")
	if w := as("ann", "g1", own...); w.Code != 200 {
		t.Errorf("the one whose they are: %d %s", w.Code, w.Body)
	}
}

// TestBacklogAsksTheEngine: once for each client, and what it says is applied is not pushed.
func TestBacklogAsksTheEngine(t *testing.T) {
	t.Parallel()
	var asked []protocol.ClientID
	var got *protocol.PushRequest
	e := &fakeEngine{
		push: func(_ context.Context, _ engine.Caller, r *protocol.PushRequest) error { got = r; return nil },
		applied: func(
			_ engine.Caller, g protocol.ClientGroupID, ids []protocol.ClientID,
		) (map[protocol.ClientID]int64, error) {
			if g != "g1" {
				t.Errorf("asked for clients of %s", g)
			}
			asked = append(asked, ids...)
			return map[protocol.ClientID]int64{"c0": 2}, nil
		},
	}
	h := newFake(t, e, func(c *handlers.Config) { c.MaxMutations = 2 })
	w := do(h, request("POST", pushPath, pending(message(0, 1, 1), message(0, 2, 1), message(0, 3, 1), message(1, 1, 1))))
	if w.Code != 200 || len(asked) != 1 || asked[0] != "c0" {
		t.Errorf("%d %s, asked about %v", w.Code, w.Body, asked)
	}
	list := got.Mutations
	if len(list) != 2 || list[0].ID != 3 || list[1].ClientID != "c1" || len(got.Skipped) != 1 || !got.Skipped["c0"] {
		t.Errorf("pushed %+v", got)
	}
	failing := &fakeEngine{
		applied: func(engine.Caller, protocol.ClientGroupID, []protocol.ClientID) (map[protocol.ClientID]int64, error) {
			return nil, engine.ErrUnavailable
		},
	}
	h = newFake(t, failing, func(c *handlers.Config) { c.MaxMutations = 1 })
	if w := do(h, request("POST", pushPath, pending(message(0, 1, 1), message(0, 2, 1)))); w.Code != 503 {
		t.Errorf("without an answer: %d %s", w.Code, w.Body)
	}
}
