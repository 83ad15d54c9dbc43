package apitest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/server"
)

// Service is the real service with the chat's mutators on the memory store, open to
// everybody, until the test is over.
func Service(t testing.TB) http.Handler {
	t.Helper()
	settings, err := server.ParseSettings(nil, func(name string) string {
		return map[string]string{"REPLIFIRE_STORE": server.StoreMemory}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	quiet := server.WithLogger(slog.New(slog.DiscardHandler))
	s, err := server.New(t.Context(), settings, chat.Mutators(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close the service: %v", err)
		}
	})
	return s.Handler()
}

// Serve serves a handler on a free port until the test is over, and returns its
// address, without a slash at its end.
func Serve(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
