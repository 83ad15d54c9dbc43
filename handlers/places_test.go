package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/protocol"
)

// anybody is who "token <user>" says, and may do everything.
type anybody struct{ auth.Open }

func (anybody) Authenticate(_ context.Context, authorization string) (auth.Principal, error) {
	user, _ := strings.CutPrefix(authorization, "token ")
	return auth.Principal{UserID: user}, nil
}

// readingEngine answers pulls that read entries: each takes what it needs of time.
func readingEngine(read func(ctx context.Context) error) *fakeEngine {
	return &fakeEngine{pull: func(
		ctx context.Context, c engine.Caller, _ *protocol.PullRequest,
	) (*protocol.PullResponse, error) {
		if err := c.BeforeReading(ctx); err != nil {
			return nil, err
		}
		return &protocol.PullResponse{
			Version: 1, Cookie: json.RawMessage(`{"order":1}`),
			Patch: func(yield func(protocol.PatchOperation, error) bool) {
				if err := read(ctx); err != nil {
					yield(protocol.PatchOperation{}, err)
				}
			},
		}, nil
	}}
}

// pullers are those who pull from a handler, in a bubble.
type pullers struct {
	t    *testing.T
	h    http.Handler
	wait sync.WaitGroup

	mu      sync.Mutex
	answers map[int]int
}

// pull pulls as a user and from an address, "" are nobody's.
func (p *pullers) pull(user string, address int) {
	p.wait.Go(func() {
		r := request("POST", pullPath, firstPull)
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", address)
		if user != "" {
			r.Header.Set("Authorization", "token "+user)
		}
		w := do(p.h, r)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.answers[w.Code]++
		if w.Code != http.StatusOK {
			refused(p.t, w, 429, "overloaded", "large answers under way at once")
			if got := w.Header().Get("Retry-After"); got != "5" {
				p.t.Errorf("Retry-After = %q, want 5", got)
			}
		}
	})
}

// got are the answers so far.
func (p *pullers) got() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("200: %d, 429: %d", p.answers[200], p.answers[429])
}

// inBubble has pullers pull from a handler of an engine whose pulls read until they are let go
// on, one for each value that is sent.
func inBubble(t *testing.T, run func(t *testing.T, p *pullers, goOn chan<- error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan error, 1000)
		h := newFake(t, readingEngine(func(context.Context) error { return <-gate }), func(c *handlers.Config) {
			c.Authenticator, c.Policy = anybody{}, anybody{}
		})
		p := &pullers{t: t, h: h, answers: map[int]int{}}
		run(t, p, gate)
		close(gate)
		p.wait.Wait()
	})
}

// TestPlacesOfPulls: a user, an address and all have so many large answers under way; who
// finds no place waits 5 s for one, and nobody else does.
func TestPlacesOfPulls(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		most  int
		pull  func(p *pullers, i int) // the i-th of those who share the places
		other func(p *pullers)        // another one
	}{
		"of a user": {
			4, func(p *pullers, i int) { p.pull("ann", i) }, func(p *pullers) { p.pull("bob", 1) },
		},
		"of an address": {
			16, func(p *pullers, i int) { p.pull(fmt.Sprint("u", i/2), 1) }, func(p *pullers) { p.pull("u1", 2) },
		},
		"of who is not signed in": {
			16, func(p *pullers, _ int) { p.pull("", 1) }, func(p *pullers) { p.pull("", 2) },
		},
		"of all": {
			200, func(p *pullers, i int) { p.pull(fmt.Sprint("u", i), i) }, func(*pullers) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, p *pullers, goOn chan<- error) {
				t.Helper()
				for i := range tc.most + 2 {
					tc.pull(p, i)
					synctest.Wait() // they wait in this order
				}
				time.Sleep(4 * time.Second)
				if got := p.got(); got != "200: 0, 429: 0" {
					t.Errorf("after 4 s: %s, want that all read or wait", got)
				}
				goOn <- nil // one of the two who wait gets a place, before the 5 s are over
				time.Sleep(2 * time.Second)
				if got := p.got(); got != "200: 1, 429: 1" {
					t.Errorf("after 6 s, and one place that was given back: %s, want one each", got)
				}
				tc.other(p)
				goOn <- nil
				if got := p.got(); name != "of all" && got != "200: 2, 429: 1" {
					t.Errorf("beside another one's: %s, want that it is answered at once", got)
				}
			})
		})
	}
}

// revoked lets everybody do everything until rights are taken away.
type revoked struct {
	anybody
	now atomic.Bool
}

func (r *revoked) Allow(context.Context, auth.Principal, protocol.SpaceID, auth.Action) error {
	if r.now.Load() {
		return auth.ErrForbidden
	}
	return nil
}

// TestRightIsLostWhileWaiting: who waits for a place is answered only if they still may read
// when they have got one.
func TestRightIsLostWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rights, gate := &revoked{}, make(chan error)
		h := newFake(t, readingEngine(func(context.Context) error { return <-gate }), func(c *handlers.Config) {
			c.Authenticator, c.Policy = rights, rights
		})
		answers := make(chan int, 5)
		for range 5 {
			go func() { answers <- do(h, request("POST", pullPath, firstPull, "Authorization", "token ann")).Code }()
			synctest.Wait() // four have places, the fifth waits
		}
		rights.now.Store(true)
		gate <- nil
		if first, second := <-answers, <-answers; first != 200 || second != 403 {
			t.Errorf("answers: %d, %d, want 200 for who had a place and 403 for who waited", first, second)
		}
		close(gate)
		for range 3 {
			<-answers
		}
	})
}

// TestPlacesComeBack: whatever becomes of a pull, its place is free afterwards.
func TestPlacesComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		result := errors.New("broken")
		h := newFake(t, readingEngine(func(context.Context) error {
			if result != nil && result.Error() == "panic" {
				panic("in a patch")
			}
			return result
		}), func(c *handlers.Config) { c.Authenticator, c.Policy = anybody{}, anybody{} })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for i := range 40 {
			r := request("POST", pullPath, firstPull, "Authorization", "token ann")
			switch i % 4 {
			case 0:
				result = errors.New("broken")
			case 1:
				result = errors.New("panic")
			case 2:
				result = nil
				r = r.WithContext(ctx)
			default:
				result = nil
			}
			w := do(h, r)
			if want := []int{500, 500, 499, 200}[i%4]; w.Code != want {
				t.Fatalf("pull %d: %d %s, want %d", i, w.Code, w.Body, want)
			}
		}
	})
}

// TestOfficeBehindAnAddress: a hundred people who begin at the same moment, each with an
// answer that takes half a second, all get it: they wait and are not refused.
func TestOfficeBehindAnAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newFake(t, readingEngine(func(context.Context) error {
			time.Sleep(500 * time.Millisecond)
			return nil
		}), func(c *handlers.Config) { c.Authenticator, c.Policy = anybody{}, anybody{} })
		p := &pullers{t: t, h: h, answers: map[int]int{}}
		for i := range 100 {
			p.pull(fmt.Sprint("u", i), 1)
		}
		p.wait.Wait()
		if got := p.got(); got != "200: 100, 429: 0" {
			t.Errorf("got %s", got)
		}
	})
}

// TestTabsAfterAPoke: a hundred tabs of an address that are told of a change at once, and
// find it in memory, need no places, however slowly they take their answers.
func TestTabsAfterAPoke(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	do(s, request("POST", pushPath, onePush))
	var first struct{ Cookie json.RawMessage }
	w := do(s, request("POST", pullPath, firstPull))
	if err := json.Unmarshal(w.Body.Bytes(), &first); err != nil {
		t.Fatal(err)
	}
	do(s, request("POST", pushPath, mutation(2)))
	next := strings.Replace(firstPull, `"cookie":null`, `"cookie":`+string(first.Cookie), 1)
	held := make(chan struct{})
	writing := make(chan struct{}, 1000)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			w := &holding{ResponseRecorder: httptest.NewRecorder(), writing: writing, held: held}
			s.ServeHTTP(w, request("POST", pullPath, next))
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "message/m2") {
				t.Errorf("pull: %d %s", w.Code, w.Body)
			}
		})
	}
	for range 100 {
		<-writing // all write at once
	}
	close(held)
	all.Wait()
}

// holding is an answer that is taken only when it is held no longer.
type holding struct {
	*httptest.ResponseRecorder
	writing chan<- struct{}
	held    <-chan struct{}
}

func (h *holding) Write(p []byte) (int, error) {
	h.writing <- struct{}{}
	<-h.held
	return h.ResponseRecorder.Write(p)
}

// TestBodyIsNotKeptForTheAnswer: a large body, of a pull whose answer takes long, takes none
// of what bodies share.
func TestBodyIsNotKeptForTheAnswer(t *testing.T) {
	t.Parallel()
	inRead := make(chan struct{})
	goOn := make(chan struct{})
	h := newFake(t, readingEngine(func(context.Context) error {
		inRead <- struct{}{}
		<-goOn
		return nil
	}), func(c *handlers.Config) {
		c.MaxBodyBytes, c.MaxBodiesBytes, c.MaxAddressBodies = 1<<20, 1<<20, 1
	})
	body := strings.Replace(firstPull, `"cookie":null`, `"cookie":{"order":1,"x":"`+strings.Repeat("x", 600_000)+`"}`, 1)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if w := do(h, request("POST", pullPath, body)); w.Code != http.StatusOK {
				t.Errorf("pull: %d %s", w.Code, w.Body)
			}
		})
		<-inRead
	}
	close(goOn)
	all.Wait()
}
