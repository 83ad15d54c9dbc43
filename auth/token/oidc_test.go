package token_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/token"
	"github.com/replifire/replifire/internal/oidcprovider"
	"github.com/replifire/replifire/internal/tokentest"
)

func newOIDC(t *testing.T, c token.OIDCConfig) *token.OIDC {
	t.Helper()
	if c.Client == nil {
		c.Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	o, err := token.NewOIDC(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func TestOIDCWithARealProvider(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	o := newOIDC(t, token.OIDCConfig{Issuer: p.issuer, Audience: clientID})
	first := p.login(t)
	for _, authorization := range []string{first, "Bearer " + first} {
		got, err := o.Authenticate(t.Context(), authorization)
		if err != nil || got.UserID != oidcprovider.UserID {
			t.Fatalf("Authenticate = %q, %v; want id2", got.UserID, err)
		}
		if got.Expires.Before(time.Now()) || !json.Valid(got.Claims) {
			t.Errorf("Principal = %+v", got)
		}
	}
	p.rotate(t, "second", true)
	second := p.login(t)
	for name, authorization := range map[string]string{"after rotation": second, "from before": first} {
		if got, err := o.Authenticate(t.Context(), authorization); err != nil || got.UserID != oidcprovider.UserID {
			t.Errorf("%s: Authenticate = %q, %v; want id2", name, got.UserID, err)
		}
	}
	cut := second[:len(second)-8] + "AAAAAAAA"
	if _, err := o.Authenticate(t.Context(), cut); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("Authenticate with a bad signature = %v, want ErrUnauthenticated", err)
	}
}

func TestOIDCOfAnotherClientOrProvider(t *testing.T) {
	t.Parallel()
	p, other := startProvider(t), startProvider(t)
	good := p.login(t)
	for name, o := range map[string]*token.OIDC{
		"another audience": newOIDC(t, token.OIDCConfig{Issuer: p.issuer, Audience: "another"}),
		"another issuer":   newOIDC(t, token.OIDCConfig{Issuer: other.issuer, Audience: clientID}),
		"no such claim":    newOIDC(t, token.OIDCConfig{Issuer: p.issuer, Audience: clientID, UserClaim: "none"}),
		"claim of another type": newOIDC(t, token.OIDCConfig{
			Issuer: p.issuer, Audience: clientID, UserClaim: "aud",
		}),
		"another algorithm": newOIDC(t, token.OIDCConfig{
			Issuer: p.issuer, Audience: clientID, Algorithms: []string{"ES256", "RS512"},
		}),
		"expired": newOIDC(t, token.OIDCConfig{
			Issuer: p.issuer, Audience: clientID, Now: func() time.Time { return time.Now().Add(48 * time.Hour) },
		}),
	} {
		if got, err := o.Authenticate(t.Context(), good); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: Authenticate = %q, %v; want ErrUnauthenticated", name, got.UserID, err)
		}
	}
}

// issuer is a tokentest server behind a discovery document that a test decides,
// for what no real provider does.
type issuer struct {
	*tokentest.Server

	url string
}

// startIssuer starts an issuer whose document has members changed; %s in them is
// its address.
func startIssuer(t *testing.T, change map[string]string) *issuer {
	t.Helper()
	i := &issuer{Server: tokentest.Start(t)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		document := map[string]string{"issuer": i.url, "jwks_uri": i.URL()}
		for name, value := range change {
			document[name] = strings.ReplaceAll(value, "%s", i.url)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document)
	}))
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

// oidc accepts the issuer's tokens.
func (i *issuer) oidc(t *testing.T, claim string) *token.OIDC {
	t.Helper()
	return newOIDC(t, token.OIDCConfig{
		Issuer: i.url, Audience: tokentest.Project, UserClaim: claim, Client: i.Client(),
	})
}

func TestOIDCClaims(t *testing.T) {
	t.Parallel()
	i := startIssuer(t, nil)
	now := time.Now()
	claims := tokentest.With(tokentest.Claims("alice", now), "iss", i.url)
	with := func(name string, value any) string { return i.Mint(nil, tokentest.With(claims, name, value)) }
	for _, tc := range []struct {
		name, token, claim string
		want               error
	}{
		{"plain", i.Mint(nil, claims), "", nil},
		{"audience among others", with("aud", []string{"x", tokentest.Project}), "", nil},
		{"no auth_time", with("auth_time", nil), "", nil},
		{"nbf in the past", with("nbf", now.Unix()-5), "", nil},
		{"nbf in the future", with("nbf", now.Unix()+120), "", auth.ErrUnauthenticated},
		{"iat in the future", with("iat", now.Unix()+120), "", auth.ErrUnauthenticated},
		{"no exp", with("exp", nil), "", auth.ErrUnauthenticated},
		{"expired", with("exp", now.Unix()-120), "", auth.ErrUnauthenticated},
		{"no aud", with("aud", nil), "", auth.ErrUnauthenticated},
		{"another issuer", with("iss", i.url+"/"), "", auth.ErrUnauthenticated},
		{"another claim", with("uid", "alice"), "uid", nil},
		{"another claim that is empty", with("uid", ""), "uid", auth.ErrUnauthenticated},
		{"another claim's lookalike", with("UID", "alice"), "uid", auth.ErrUnauthenticated},
	} {
		got, err := i.oidc(t, tc.claim).Authenticate(t.Context(), tc.token)
		if !errors.Is(err, tc.want) || (err == nil && got.UserID != "alice") {
			t.Errorf("%s: Authenticate = %q, %v; want %v", tc.name, got.UserID, err, tc.want)
		}
	}
}

// TestOIDCKinds: an issuer signs other things too, by the same key and for the same
// audience. What tells of a logout must not sign anybody in.
func TestOIDCKinds(t *testing.T) {
	t.Parallel()
	i := startIssuer(t, nil)
	claims := tokentest.With(tokentest.Claims("alice", time.Now()), "iss", i.url)
	logout := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	refused := auth.ErrUnauthenticated
	for name, tc := range map[string]struct {
		typ    any
		events any
		want   error
	}{
		"an ID token":             {"JWT", nil, nil},
		"of no type":              {nil, nil, nil},
		"in small letters":        {"jwt", nil, nil},
		"an access token":         {"at+jwt", nil, nil},
		"of its whole type":       {"application/at+jwt", nil, nil},
		"of the issuer's own":     {"id+jwt", nil, nil},
		"a logout token":          {"logout+jwt", logout, refused},
		"of its type only":        {"logout+jwt", nil, refused},
		"in capitals":             {"Application/Logout+JWT", nil, refused},
		"of no type, with events": {nil, logout, refused},
		"with events":             {"JWT", logout, refused},
		"events are a list":       {"JWT", []string{"http://schemas.openid.net/event/backchannel-logout"}, refused},
		"a security event":        {"secevent+jwt", nil, refused},
		"of an introspection":     {"token-introspection+jwt", nil, refused},
		"a number for a type":     {1, nil, refused},
	} {
		token := i.Mint(map[string]any{"typ": tc.typ}, tokentest.With(claims, "events", tc.events))
		got, err := i.oidc(t, "").Authenticate(t.Context(), token)
		if !errors.Is(err, tc.want) || err == nil && got.UserID != "alice" {
			t.Errorf("%s: Authenticate = %q, %v; want %v", name, got.UserID, err, tc.want)
		}
	}
	// One that people choose may be half a character, and so another one's.
	for _, uid := range []string{"a\ufffd", "a\x00"} {
		token := i.Mint(nil, tokentest.With(claims, "uid", uid))
		if got, err := i.oidc(t, "uid").Authenticate(t.Context(), token); !errors.Is(err, refused) {
			t.Errorf("uid %q: Authenticate = %q, %v; want %v", uid, got.UserID, err, refused)
		}
	}
}

func TestOIDCRefusesBadTokens(t *testing.T) {
	t.Parallel()
	i := startIssuer(t, nil)
	o := i.oidc(t, "")
	for _, tc := range i.Bad("alice", time.Now()) {
		if got, err := o.Authenticate(t.Context(), tc.Token); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: Authenticate = %q, %v; want ErrUnauthenticated", tc.Name, got.UserID, err)
		}
	}
}

func TestOIDCDiscoveryThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[string]string{
		"another issuer":        {"issuer": "https://example.com"},
		"a slash more":          {"issuer": "%s/"},
		"keys over plain http":  {"jwks_uri": "http://example.com/keys"},
		"keys from a file":      {"jwks_uri": "file:///etc/passwd"},
		"no keys":               {"jwks_uri": ""},
		"keys that are no keys": {"jwks_uri": "%s/keys"},
	} {
		i := startIssuer(t, change)
		claims := tokentest.With(tokentest.Claims("alice", time.Now()), "iss", i.url)
		o := newOIDC(t, token.OIDCConfig{
			Issuer: i.url, Audience: tokentest.Project, Client: &http.Client{Transport: loopbackOnly{t, i.Client()}},
		})
		_, err := o.Authenticate(t.Context(), i.Mint(nil, claims))
		if !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: Authenticate = %v, want ErrUnavailable", name, err)
		}
		if got := i.Fetches(); got != 0 {
			t.Errorf("%s: keys were fetched %d times, want 0", name, got)
		}
	}
}

// loopbackOnly is a transport that fails the test when it is to ask anybody else.
type loopbackOnly struct {
	t    *testing.T
	next *http.Client
}

// RoundTrip is http.RoundTripper's.
func (l loopbackOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Hostname() != "127.0.0.1" {
		l.t.Errorf("%v was asked", req.URL)
		return nil, errors.New("not on this machine")
	}
	return l.next.Transport.RoundTrip(req)
}

func TestNewOIDCRefuses(t *testing.T) {
	t.Parallel()
	good := token.OIDCConfig{Issuer: "https://example.com", Audience: "a"}
	for name, change := range map[string]func(*token.OIDCConfig){
		"no issuer":     func(c *token.OIDCConfig) { c.Issuer = "" },
		"plain http":    func(c *token.OIDCConfig) { c.Issuer = "http://example.com" },
		"a query":       func(c *token.OIDCConfig) { c.Issuer += "?a=b" },
		"a fragment":    func(c *token.OIDCConfig) { c.Issuer += "#a" },
		"no audience":   func(c *token.OIDCConfig) { c.Audience = "" },
		"none":          func(c *token.OIDCConfig) { c.Algorithms = []string{"RS256", "none"} },
		"HS256":         func(c *token.OIDCConfig) { c.Algorithms = []string{"HS256"} },
		"no such thing": func(c *token.OIDCConfig) { c.Algorithms = []string{"rs256"} },
	} {
		c := good
		change(&c)
		if o, err := token.NewOIDC(c); err == nil {
			o.Close()
			t.Errorf("%s: NewOIDC succeeded", name)
		}
	}
	o, err := token.NewOIDC(good)
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
}
