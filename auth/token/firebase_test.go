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

// TestFirebaseTenant: users of two tenants may have the same id, so only the tokens of one
// are accepted, or of none.
func TestFirebaseTenant(t *testing.T) {
	t.Parallel()
	s := tokentest.Start(t)
	now := time.Now()
	of := func(firebase any) string {
		return s.Mint(nil, tokentest.With(tokentest.Claims("alice", now), "firebase", firebase))
	}
	tenant := func(name any) string { return of(map[string]any{"sign_in_provider": "password", "tenant": name}) }
	none := newFirebase(t, s, token.FirebaseConfig{})
	one := newFirebase(t, s, token.FirebaseConfig{Tenant: "tenant-a"})
	for name, tc := range map[string]struct {
		token     string
		none, one bool // whether it is accepted
	}{
		"of no tenant":           {s.Token("alice", now), true, false},
		"tenant is null":         {tenant(nil), true, false},
		"no claim of Firebase's": {of(nil), true, false},
		"of the tenant":          {tenant("tenant-a"), false, true},
		"of another one":         {tenant("tenant-b"), false, false},
		"in capitals":            {tenant("Tenant-a"), false, false},
		"tenant is empty":        {tenant(""), false, false},
		"tenant is a list":       {tenant([]string{"tenant-a"}), false, false},
		"tenant is a number":     {tenant(1), false, false},
		"a text of Firebase's":   {of("tenant-a"), false, false},
		"named beside it": {
			s.Mint(nil, tokentest.With(tokentest.Claims("alice", now), "tenant", "tenant-a")), true, false,
		},
	} {
		for setting, f := range map[string]*token.Firebase{"none": none, "one": one} {
			want := map[string]bool{"none": tc.none, "one": tc.one}[setting]
			p, err := f.Authenticate(t.Context(), tc.token)
			if want != (err == nil && p.UserID == "alice") || !want && !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("%s, where %s is set: %q, %v; accepted: want %v", name, setting, p.UserID, err, want)
			}
		}
	}
	for _, f := range []*token.Firebase{none, one} {
		_, err := f.Authenticate(t.Context(), tenant("tenant-b"))
		if err == nil || !strings.Contains(err.Error(), "REPLIFIRE_FIREBASE_TENANT") {
			t.Errorf("the refusal is %v, and does not name the setting", err)
		}
	}
}

// TestOtherSubjects: what a parser would take for the same text, or nobody can tell apart,
// is no user's id. What is there is told apart to the bit.
func TestOtherSubjects(t *testing.T) {
	t.Parallel()
	s := tokentest.Start(t)
	f := newFirebase(t, s, token.FirebaseConfig{})
	payload, err := json.Marshal(tokentest.Claims("SUBJECT", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	header, err := json.Marshal(s.Header())
	if err != nil {
		t.Fatal(err)
	}
	for sub, want := range map[string]string{ // in JSON, and who that is; "": nobody
		`a`: "a", `a\ud83d\ude00`: "a😀", "a😀": "a😀", `A`: "A", "\u00e9": "é", "e\u0301": "e\u0301", "a b": "a b",
		`a\ud800`: "", `a\ud801`: "", `a\udc00`: "", `\ud800a`: "", `a\ufffd`: "", "a\ufffd": "", "a\xff": "", "a\xc3": "",
		"\xed\xa0\x80": "", `a\u0000`: "", `a\n`: "", `a\u001b`: "", "a\u007f": "", "a\u0085": "",
	} {
		token := s.MintRaw(string(header), strings.ReplaceAll(string(payload), "SUBJECT", sub))
		p, err := f.Authenticate(t.Context(), token)
		if p.UserID != want || (err == nil) != (want != "") {
			t.Errorf("sub %q is user %q, %v; want %q", sub, p.UserID, err, want)
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
		"of a tenant":         tokentest.Unsigned(tokentest.With(claims, "firebase", map[string]any{"tenant": "t"})),
		"half a character":    tokentest.Unsigned(tokentest.With(claims, "sub", "a\ufffd")),
		"a logout token":      "eyJhbGciOiJub25lIiwidHlwIjoibG9nb3V0K2p3dCJ9." + payload + ".",
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
