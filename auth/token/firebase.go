package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/replifire/replifire/auth"
)

const (
	// GoogleKeysURL has the public keys of Firebase's ID tokens.
	// Source: https://firebase.google.com/docs/auth/admin/verify-id-tokens, whose
	// address has certificates; this one has the same keys as a JWK set.
	GoogleKeysURL = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"

	firebaseIssuer = "https://securetoken.google.com/"
)

// FirebaseConfig says whose ID tokens to accept.
type FirebaseConfig struct {
	// ProjectID is the Firebase project's id. It must not be empty.
	ProjectID string
	// Tenant is the project's tenant whose tokens count, and no others. "": tokens of any
	// tenant are refused, since two tenants may have users of the same id.
	Tenant string
	// KeysURL has the project's keys as a JWK set: https, or http on this machine.
	// "" is GoogleKeysURL.
	KeysURL string
	// Client fetches the keys; nil is one of the default transport. Its redirects
	// and cookies are not used.
	Client *http.Client
	// Logger is told when keys cannot be had; nil is nobody.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Emulator accepts the unsigned tokens (alg "none") of the Firebase Auth emulator
	// and nothing else. Everybody can make such tokens: it is for development only.
	Emulator bool
}

// Firebase accepts the ID tokens of one Firebase project. It is safe for
// concurrent use.
type Firebase struct {
	payload func(ctx context.Context, token string) ([]byte, error)
	rules   rules
	keys    *keys
}

var _ auth.Authenticator = (*Firebase)(nil)

// NewFirebase returns an Authenticator for a project's ID tokens, or says what is
// wrong with the configuration. It makes no request. Close ends it.
func NewFirebase(c FirebaseConfig) (*Firebase, error) {
	if c.ProjectID == "" || strings.ContainsAny(c.ProjectID, "/ \t\r\n") {
		return nil, errors.New("the Firebase project's id is missing, or has a slash or a space")
	}
	address := cmp.Or(c.KeysURL, GoogleKeysURL)
	if err := checkURL(address); err != nil {
		return nil, fmt.Errorf("address of the Firebase keys: %w", err)
	}
	f := &Firebase{rules: firebaseRules(c.ProjectID, c.Tenant, clock(c.Now))}
	client := keyClient(c.Client)
	f.keys = newKeys(clock(c.Now), c.Logger, func(ctx context.Context) (fetched, error) {
		return fetchKeys(ctx, client, address)
	})
	f.payload = signed{f.keys, []jose.SignatureAlgorithm{jose.RS256}}.payload
	if c.Emulator {
		f.payload = unsignedPayload
	}
	return f, nil
}

// firebaseRules are those of Firebase's documentation for third-party JWT
// libraries (see GoogleKeysURL).
func firebaseRules(project, tenant string, now func() time.Time) rules {
	return rules{
		issuer:       firebaseIssuer + project,
		audience:     project,
		soleAudience: true,
		userClaim:    subject,
		issuedAt:     true,
		authTime:     true,
		tenants:      true,
		tenant:       tenant,
		now:          now,
	}
}

// Authenticate is auth.Authenticator's. It waits for the project's keys where there
// are none yet, for up to five seconds and as long as ctx lives.
func (f *Firebase) Authenticate(ctx context.Context, authorization string) (auth.Principal, error) {
	return authenticate(ctx, authorization, f.payload, f.rules)
}

// Close ends the fetch that may be under way and waits for it. Afterwards tokens
// are judged by the keys that are there.
func (f *Firebase) Close() { f.keys.close() }

func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}
