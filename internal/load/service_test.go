package load_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/load"
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

// run runs a short load, which must work out whatever the verdict is.
func run(t testing.TB, c load.Config) load.Report {
	t.Helper()
	if c.Duration == 0 {
		c.Duration = 300 * time.Millisecond
	}
	report, err := load.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return report
}
