package load_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/internal/load"
	"github.com/replifire/replifire/internal/memnet"
)

// answer is what a handler answered, to be changed on its way.
type answer struct {
	status int
	body   []byte
}

// proxy changes what goes to a service and comes back; streams pass through.
type proxy struct {
	next http.Handler
	// skip, if not nil, says that a request does not reach the service, which would
	// have answered so.
	skip func(r *http.Request, body []byte) (*answer, bool)
	// request and response, if not nil, change bodies.
	request  func(r *http.Request, body []byte) []byte
	response func(r *http.Request, a *answer)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		p.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	a := p.answer(r, body)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func (p *proxy) answer(r *http.Request, body []byte) *answer {
	if p.skip != nil {
		if a, ok := p.skip(r, body); ok {
			return a
		}
	}
	if p.request != nil {
		body = p.request(r, body)
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	rec := httptest.NewRecorder()
	p.next.ServeHTTP(rec, r)
	a := &answer{rec.Code, rec.Body.Bytes()}
	if p.response != nil {
		p.response(r, a)
	}
	return a
}

func isPush(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/push") }
func isPull(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/pull") }

// run runs a short load against instances of a service, which must work out whatever the
// verdict is. It must be called in a bubble of synctest.
func run(t testing.TB, c load.Config, instances ...http.Handler) load.Report {
	t.Helper()
	network := memnet.Network{Latency: 20 * time.Millisecond}
	c.Dial = network.Dial
	for i, h := range instances {
		slash := "/"[:i%2] // makes no difference
		c.URLs = append(c.URLs, network.Serve(t, h)+slash)
	}
	if c.Duration == 0 {
		c.Duration = 300 * time.Millisecond
	}
	report, err := load.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return report
}

// inBubble runs a subtest in a bubble of synctest, beside the others.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	})
}
