package token_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/token"
	"github.com/replifire/replifire/internal/tokentest"
)

func TestKeyServerAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	var followed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for name, answer := range map[string]http.HandlerFunc{
		"moved":          http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP,
		"moved for ever": http.RedirectHandler(elsewhere.URL, http.StatusPermanentRedirect).ServeHTTP,
		"not found":      http.NotFound,
		"no content":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"2 MiB":          body(strings.Repeat(" ", 2<<20) + keySet(t)),
		"empty":          body(""),
		"no JSON":        body("<html>"),
		"an array":       body("[]"),
		"no keys":        body("{}"),
		"keys twice":     body(`{"keys":[],"keys":[]}`),
		"a secret":       body(`{"keys":[{"kty":"oct","kid":"key-0","k":"AAAA"}]}`),
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"keys":`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tokentest.Start(t)
			s.Answer(answer)
			f := newFirebase(t, s, token.FirebaseConfig{})
			_, err := f.Authenticate(t.Context(), s.Token("alice", time.Now()))
			if !errors.Is(err, auth.ErrUnavailable) {
				t.Errorf("Authenticate = %v, want ErrUnavailable", err)
			}
			if s.Fetches() == 0 {
				t.Error("the key server was not asked")
			}
		})
	}
	t.Cleanup(func() {
		if n := followed.Load(); n != 0 {
			t.Errorf("%d redirects were followed", n)
		}
	})
}

// keySet is what a new key server answers: all of them begin with the same key.
func keySet(t *testing.T) string {
	t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/keys", http.NoBody)
	tokentest.Start(t).ServeHTTP(answer, request)
	return answer.Body.String()
}

// TestKeysThatAreLeftOut changes the one key of a key server.
func TestKeysThatAreLeftOut(t *testing.T) {
	t.Parallel()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(keySet(t)), &set); err != nil {
		t.Fatal(err)
	}
	key := set.Keys[0]
	for _, tc := range []struct {
		name string
		key  map[string]any
		want error
	}{
		{"as it was", key, nil},
		{"without an alg and a use", tokentest.With(tokentest.With(key, "alg", nil), "use", nil), nil},
		{"for encryption", tokentest.With(key, "use", "enc"), auth.ErrUnavailable},
		{"without an id", tokentest.With(key, "kid", nil), auth.ErrUnavailable},
		{"for another algorithm", tokentest.With(key, "alg", "PS256"), auth.ErrUnauthenticated},
		{"of 1,024 bits", tokentest.With(key, "n", strings.Repeat("q", 171)), auth.ErrUnavailable},
		{"of an unknown kind", tokentest.With(key, "kty", "new"), auth.ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := tokentest.Start(t)
			s.Answer(func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{"kty": "new"}, tc.key}})
			})
			f := newFirebase(t, s, token.FirebaseConfig{})
			if _, err := f.Authenticate(t.Context(), s.Token("alice", time.Now())); !errors.Is(err, tc.want) {
				t.Errorf("Authenticate = %v, want %v", err, tc.want)
			}
		})
	}
}
