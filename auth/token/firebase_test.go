package token_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/token"
	"github.com/replifire/replifire/internal/tokentest"
)

// newFirebase returns an authenticator that trusts a key server. Zero fields of c
// are filled in.
func newFirebase(t testing.TB, s *tokentest.Server, c token.FirebaseConfig) *token.Firebase {
	t.Helper()
	c.ProjectID, c.KeysURL, c.Client = tokentest.Project, s.URL(), s.Client()
	f, err := token.NewFirebase(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestFirebaseAccepts(t *testing.T) {
	t.Parallel()
	s := tokentest.Start(t)
	f := newFirebase(t, s, token.FirebaseConfig{})
	now := time.Now()
	claims := tokentest.Claims("alice", now)
	edge := func(name string, d time.Duration) string {
		return s.Mint(nil, tokentest.With(claims, name, now.Add(d).Unix()))
	}
	good := s.Token("alice", now)
	for name, authorization := range map[string]string{
		"without a scheme":         good,
		"Bearer":                   "Bearer " + good,
		"bearer":                   "bearer " + good,
		"BEARER and spaces":        "  BEARER   " + good + " ",
		"expired within the skew":  edge("exp", -50*time.Second),
		"iat within the skew":      edge("iat", 50*time.Second),
		"authTime within the skew": edge("auth_time", 50*time.Second),
		"audience in an array":     s.Mint(nil, tokentest.With(claims, "aud", []string{tokentest.Project})),
		"signed, with a jku":       s.Mint(map[string]any{"jku": s.URL() + "?jku"}, claims),
		"deep claims":              s.Mint(nil, tokentest.With(claims, "x", map[string]any{"sub": 1})),
	} {
		p, err := f.Authenticate(t.Context(), authorization)
		if err != nil || p.UserID != "alice" {
			t.Errorf("%s: Authenticate = %q, %v; want alice", name, p.UserID, err)
		}
	}
	if got := s.Fetches(); got != 1 {
		t.Errorf("keys were fetched %d times, want 1", got)
	}
}

func TestFirebasePrincipal(t *testing.T) {
	t.Parallel()
	s := tokentest.Start(t)
	f := newFirebase(t, s, token.FirebaseConfig{})
	now := time.Now()
	user := strings.Repeat("ü", token.MaxUserID)
	p, err := f.Authenticate(t.Context(), s.Token(user, now))
	if err != nil {
		t.Fatal(err)
	}
	if p.UserID != user {
		t.Errorf("UserID = %q, want %q", p.UserID, user)
	}
	if want := now.Add(time.Hour + token.Skew).Unix(); p.Expires.Unix() != want {
		t.Errorf("Expires = %v, want %d", p.Expires, want)
	}
	var claims struct{ Sub, Iss string }
	if err := json.Unmarshal(p.Claims, &claims); err != nil || claims.Sub != user || claims.Iss != tokentest.Issuer {
		t.Errorf("Claims = %s, %v", p.Claims, err)
	}
}

func TestFirebaseRefuses(t *testing.T) {
	t.Parallel()
	s := tokentest.Start(t)
	f := newFirebase(t, s, token.FirebaseConfig{})
	now := time.Now()
	if _, err := f.Authenticate(t.Context(), s.Token("alice", now)); err != nil {
		t.Fatal(err)
	}
	cases := s.Bad("alice", now)
	if len(cases) < 45 {
		t.Fatalf("only %d bad tokens", len(cases))
	}
	for _, tc := range cases {
		p, err := f.Authenticate(t.Context(), tc.Token)
		if !errors.Is(err, auth.ErrUnauthenticated) || errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: Authenticate = %+v, %v; want ErrUnauthenticated", tc.Name, p, err)
			continue
		}
		quotesNothing(t, tc.Token, err)
	}
	// The first fetch, and one for the key id that nobody knows. None for jku and x5u.
	if got := s.Fetches(); got != 2 {
		t.Errorf("keys were fetched %d times, want 2", got)
	}
}

// quotesNothing fails when an error has a part of a token in it.
func quotesNothing(t *testing.T, token string, err error) {
	t.Helper()
	for part := range strings.FieldsFuncSeq(token, func(r rune) bool { return r == '.' || r == ' ' }) {
		if len(part) > 6 && strings.Contains(err.Error(), part) {
			t.Errorf("error %q has %q of the token in it", err, part)
		}
	}
}

func TestFirebaseEmulator(t *testing.T) {
	t.Parallel()
	s := tokentest.Start(t)
	f := newFirebase(t, s, token.FirebaseConfig{Emulator: true})
	now := time.Now()
	claims := tokentest.Claims("alice", now)
	p, err := f.Authenticate(t.Context(), "Bearer "+tokentest.Unsigned(claims))
	if err != nil || p.UserID != "alice" {
		t.Errorf("Authenticate = %q, %v; want alice", p.UserID, err)
	}
	payload := strings.Split(tokentest.Unsigned(claims), ".")[1]
	for name, bad := range map[string]string{
		"signed":              s.Token("alice", now),
		"signed by a HMAC":    "eyJhbGciOiJIUzI1NiJ9." + payload + ".AAAA",
		"with a signature":    tokentest.Unsigned(claims) + "AAAA",
		"of another project":  tokentest.Unsigned(tokentest.With(claims, "aud", "another")),
		"of another issuer":   tokentest.Unsigned(tokentest.With(claims, "iss", "https://example.com")),
		"expired":             tokentest.Unsigned(tokentest.With(claims, "exp", now.Unix()-120)),
		"without a sub":       tokentest.Unsigned(tokentest.With(claims, "sub", nil)),
		"without a auth_time": tokentest.Unsigned(tokentest.With(claims, "auth_time", nil)),
		"RS256, cut":          "eyJhbGciOiJSUzI1NiJ9." + payload + ".",
		"header twice":        "eyJhbGciOiJub25lIiwiYWxnIjoibm9uZSJ9." + payload + ".",
		"nothing":             "..",
	} {
		if _, err := f.Authenticate(t.Context(), bad); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: Authenticate = %v, want ErrUnauthenticated", name, err)
		}
	}
	if got := s.Fetches(); got != 0 {
		t.Errorf("keys were fetched %d times, want 0", got)
	}
}

func TestNewFirebaseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]token.FirebaseConfig{
		"no project":            {},
		"a path for a project":  {ProjectID: "a/b"},
		"plain http":            {ProjectID: "p", KeysURL: "http://example.com/keys"},
		"a password in the URL": {ProjectID: "p", KeysURL: "https://a:b@example.com/keys"},
		"no URL":                {ProjectID: "p", KeysURL: "keys"},
		"another scheme":        {ProjectID: "p", KeysURL: "file:///etc/passwd"},
	} {
		if f, err := token.NewFirebase(c); err == nil {
			f.Close()
			t.Errorf("%s: NewFirebase succeeded", name)
		}
	}
	f, err := token.NewFirebase(token.FirebaseConfig{ProjectID: "p", Client: &http.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
