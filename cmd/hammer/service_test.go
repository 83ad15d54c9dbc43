package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// swallowing passes everything on but the pushes that it picks: those it answers as
// the service does where all went well, and nobody else ever sees them.
func swallowing(next http.Handler, picks func(push []byte) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/push") {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		if picks(body) {
			_, _ = io.WriteString(w, "{}")
			return
		}
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		next.ServeHTTP(w, r)
	})
}

// variables is a getenv that knows nothing else.
func variables(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if value, ok := strings.CutPrefix(p, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// execute runs the program to its end.
func execute(t *testing.T, getenv func(string) string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return executeOn(t, nil, getenv, args...)
}

// executeOn runs it on a network in memory, or on the machine's, which is nil.
func executeOn(
	t *testing.T, n *memnet.Network, getenv func(string) string, args ...string,
) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := program{getenv: getenv, stdout: &out, stderr: &errs}
	if n != nil {
		p.dial = n.Dial
	}
	code = p.run(t.Context(), args)
	return code, out.String(), errs.String()
}

// latency has a client get some ten mutations confirmed in half a second.
const latency = 20 * time.Millisecond

// inBubble runs a subtest in a bubble of synctest, beside the others.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	})
}
