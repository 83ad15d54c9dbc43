package oidcprovider

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The one client, which authenticates by HTTP basic authentication, and the user
// whom the login form lets in.
const (
	ClientID     = "replifire"
	ClientSecret = "secret of a test"
	RedirectURI  = "http://localhost:9999/callback" // nobody serves it
	Username     = "test-user2"
	Password     = "verysecure"
	UserID       = "id2" // the claim sub
)

// Provider is a provider. Its methods are safe for concurrent use.
type Provider struct {
	*storage.Storage

	handler  http.Handler
	lifetime time.Duration

	mu   sync.Mutex
	keys []signingKey // the last one signs
}

var (
	_ op.Storage   = (*Provider)(nil)
	_ http.Handler = (*Provider)(nil)
)

// New returns a provider that is reached at issuer, an address of http on this
// machine. Its ID tokens end lifetime after they were made, which may be less than
// 0: a service that allows for clocks that differ accepts those for a while.
func New(issuer string, lifetime time.Duration) (*Provider, error) {
	p := &Provider{
		Storage: storage.NewStorageWithClients(storage.NewUserStore(issuer), map[string]*storage.Client{
			ClientID: storage.WebClient(ClientID, ClientSecret, RedirectURI),
		}),
		lifetime: lifetime,
	}
	if err := p.Rotate("first", false); err != nil {
		return nil, err
	}
	p.handler = exampleop.SetupServer(issuer, p, nil, false, op.WithLogger(slog.New(slog.DiscardHandler)))
	return p, nil
}

// ServeHTTP answers what browsers, clients and services ask.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// GetClientByClientID is op.Storage's.
func (p *Provider) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := p.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{c, p.lifetime}, nil
}

// client is a client whose ID tokens last as long as the provider says.
type client struct {
	op.Client

	lifetime time.Duration
}

// IDTokenLifetime is op.Client's.
func (c client) IDTokenLifetime() time.Duration { return c.lifetime }
