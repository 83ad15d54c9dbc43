package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newService is the real service on the memory store.
func newService(t *testing.T) http.Handler {
	t.Helper()
	settings, err := server.ParseSettings(nil, variables("REPLIFIRE_STORE=memory"))
	if err != nil {
		t.Fatal(err)
	}
	quiet := server.WithLogger(slog.New(slog.DiscardHandler))
	s, err := server.New(t.Context(), settings, chat.Mutators(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s.Handler()
}

// serve serves a handler until the test is over.
func serve(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

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
	var out, errs bytes.Buffer
	code = run(t.Context(), args, getenv, &out, &errs)
	return code, out.String(), errs.String()
}
