package abuse_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/tokentest"
)

// attacker sends what nobody should, from an address and as a user of its own, and
// judges the answers. Its methods are safe for concurrent use.
type attacker struct {
	t      *testing.T
	target string // host:port of the service
	size   size
	dialer net.Dialer
	client http.Client
	token  string
	began  time.Time
	want   []int // statuses without which it does not end

	mu      sync.Mutex
	answers answers
}

func newAttacker(t *testing.T, target string, n size, user string, address byte) *attacker {
	t.Helper()
	a := &attacker{
		t: t, target: target, size: n, answers: answers{},
		dialer: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, address)}},
		token:  bearer(user), began: time.Now(),
	}
	a.client.Transport = &http.Transport{DialContext: a.dialer.DialContext, MaxIdleConnsPerHost: workers}
	return a
}

func (a *attacker) url() string { return "http://" + a.target }

// bearer is the Authorization of a user.
func bearer(user string) string { return "Bearer " + unsigned(user) }

func unsigned(user string) string { return tokentest.Unsigned(tokentest.Claims(user, time.Now())) }

// repeat has workers do something again and again until ctx ends and the attacker has got
// what it wants, once at least each.
func (a *attacker) repeat(ctx context.Context, do func(ctx context.Context)) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			do(context.WithoutCancel(ctx))
			for ctx.Err() == nil || !a.content() {
				do(context.WithoutCancel(ctx))
			}
		})
	}
	all.Wait()
}

// content reports whether each status that it wants was answered, or will not be any more.
func (a *attacker) content() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	missing := slices.ContainsFunc(a.want, func(status int) bool { return a.answers[status] == 0 })
	return !missing || time.Since(a.began) > patience
}

// post sends a push, with a header of one more line if name is not "".
func (a *attacker) post(ctx context.Context, query, token string, body io.Reader, length int64, name, value string) {
	a.send(ctx, "push?"+query, token, body, length, name, value)
}

// send sends a push or a pull, as post does.
func (a *attacker) send(ctx context.Context, to, token string, body io.Reader, length int64, name, value string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url()+"/api/replicache/"+to, body)
	if err != nil {
		a.t.Error(err)
		return
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	if name != "" {
		req.Header.Set(name, value)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		a.count(0) // who is refused while still sending may see no more than a reset
		return
	}
	defer resp.Body.Close()
	a.judge(resp)
}

func (a *attacker) count(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[status]++
}

// aNumber is what the text of a refusal for a limit has.
var aNumber = regexp.MustCompile(`\d`)

// judge counts an answer. One of 500 or more is an error of the test, and so is a refusal
// that does not say why, and for a limit which. 431 is net/http's own, with a text.
func (a *attacker) judge(resp *http.Response) {
	a.count(resp.StatusCode)
	if resp.StatusCode < 400 || resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge {
		return
	}
	var problem struct{ Kind, Detail string }
	err := json.NewDecoder(resp.Body).Decode(&problem)
	isProblem := strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json")
	switch {
	case resp.StatusCode >= 500:
		a.t.Errorf("status %d, want a 4xx: %+v", resp.StatusCode, problem)
	case err != nil || !isProblem || problem.Kind == "" || problem.Detail == "":
		a.t.Errorf("status %d is no problem that says why: %+v (%v)", resp.StatusCode, problem, err)
	case limits[resp.StatusCode] && !aNumber.MatchString(problem.Detail):
		a.t.Errorf("status %d does not say what the limit is: %+v", resp.StatusCode, problem)
	}
}

// limits are the statuses of a limit that is a number.
var limits = map[int]bool{
	http.StatusRequestTimeout: true, http.StatusRequestEntityTooLarge: true, http.StatusTooManyRequests: true,
}
