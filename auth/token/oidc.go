package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/replifire/replifire/auth"
)

// asymmetric are the algorithms that may be configured: those whose keys may be
// public.
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// OIDCConfig says which issuer's tokens to accept.
type OIDCConfig struct {
	// Issuer is the issuer's address, exactly as its tokens spell it: https, or http
	// on this machine.
	Issuer string
	// Audience is what a token's aud must be or contain: usually the client id.
	Audience string
	// SoleAudience refuses tokens that have other audiences too.
	SoleAudience bool
	// Algorithms are the JWS algorithms to accept: RS, PS and ES with 256, 384 or 512,
	// and EdDSA. None is RS256.
	Algorithms []string
	// UserClaim is the claim that is the user's id; "" is "sub". It must be one that
	// users cannot choose, never change and never share: an email address may not be.
	UserClaim string
	// Client fetches the configuration and the keys; nil is one of the default
	// transport. Its redirects and cookies are not used.
	Client *http.Client
	// Logger is told when keys cannot be had; nil is nobody.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// OIDC accepts the tokens of one OpenID Connect issuer. It is safe for concurrent
// use.
type OIDC struct {
	signed signed
	rules  rules
}

var _ auth.Authenticator = (*OIDC)(nil)

// NewOIDC returns an Authenticator for an issuer's tokens, or says what is wrong
// with the configuration. It makes no request: the issuer is asked for its keys'
// address when the first token comes. Close ends it.
func NewOIDC(c OIDCConfig) (*OIDC, error) {
	if err := checkIssuer(c.Issuer); err != nil {
		return nil, fmt.Errorf("address of the OpenID Connect issuer: %w", err)
	}
	if c.Audience == "" {
		return nil, errors.New("the OpenID Connect audience is missing: without it the tokens of any application would do")
	}
	algorithms, err := parseAlgorithms(c.Algorithms)
	if err != nil {
		return nil, err
	}
	d := &discovery{issuer: c.Issuer, client: keyClient(c.Client)}
	return &OIDC{
		signed: signed{newKeys(clock(c.Now), c.Logger, d.fetch), algorithms},
		rules: rules{
			issuer:       c.Issuer,
			audience:     c.Audience,
			soleAudience: c.SoleAudience,
			userClaim:    cmp.Or(c.UserClaim, subject),
			events:       true,
			now:          clock(c.Now),
		},
	}, nil
}

// Authenticate is auth.Authenticator's. It waits for the issuer's keys where there
// are none yet, for up to five seconds and as long as ctx lives.
func (o *OIDC) Authenticate(ctx context.Context, authorization string) (auth.Principal, error) {
	return authenticate(ctx, authorization, o.signed.payload, o.rules)
}

// Close ends the fetch that may be under way and waits for it. Afterwards tokens
// are judged by the keys that are there.
func (o *OIDC) Close() { o.signed.keys.close() }

func parseAlgorithms(names []string) ([]jose.SignatureAlgorithm, error) {
	if len(names) == 0 {
		return []jose.SignatureAlgorithm{jose.RS256}, nil
	}
	var list []jose.SignatureAlgorithm
	for _, name := range names {
		a := jose.SignatureAlgorithm(name)
		if !slices.Contains(asymmetric, a) {
			return nil, fmt.Errorf("algorithm %q is none of %q", name, asymmetric)
		}
		list = append(list, a)
	}
	return list, nil
}

func checkIssuer(issuer string) error {
	if err := checkURL(issuer); err != nil {
		return err
	}
	if u, err := url.Parse(issuer); err != nil || u.RawQuery != "" || strings.Contains(issuer, "#") {
		return errors.New("an issuer has no query and no fragment")
	}
	return nil
}

// discovery finds an issuer's keys by what it publishes of itself. Only one fetch
// is under way at a time, so it needs no lock.
type discovery struct {
	issuer  string
	client  *http.Client
	keysURL string // "" before the issuer has been asked, and after a failure
}

func (d *discovery) fetch(ctx context.Context) (fetched, error) {
	if d.keysURL == "" {
		address, err := d.discover(ctx)
		if err != nil {
			return fetched{}, err
		}
		d.keysURL = address
	}
	set, err := fetchKeys(ctx, d.client, d.keysURL)
	if err != nil {
		d.keysURL = "" // it may have moved
	}
	return set, err
}

// discover asks the issuer for the address of its keys. NewProvider checks that it
// is the issuer that answers.
func (d *discovery) discover(ctx context.Context) (string, error) {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, d.client), d.issuer)
	if err != nil {
		return "", fmt.Errorf("asking the OpenID Connect issuer for its configuration: %w", err)
	}
	var c struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := p.Claims(&c); err != nil {
		return "", fmt.Errorf("configuration of the OpenID Connect issuer: %w", err)
	}
	if err := checkURL(c.KeysURL); err != nil {
		return "", fmt.Errorf("address of the OpenID Connect issuer's keys: %w", err)
	}
	return c.KeysURL, nil
}
