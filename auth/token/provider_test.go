package token_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	clientID     = "replifire"
	clientSecret = "secret of a test"
	redirectURI  = "http://localhost:9999/callback"
)

// provider is a real OpenID Connect provider on loopback, with a login form, whose
// keys can be rotated.
type provider struct {
	*storage.Storage

	issuer string
	client *http.Client

	mu   sync.Mutex
	keys []signingKey // the last one signs
}

// signingKey is a key as the provider's storage has it.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) Key() any                                    { return k.private }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// publicKey is what the provider publishes of a signingKey.
type publicKey struct{ signingKey }

func (k publicKey) Key() any                           { return k.private.Public() }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }

// SigningKey is op.Storage's.
func (p *provider) SigningKey(context.Context) (op.SigningKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[len(p.keys)-1], nil
}

// KeySet is op.Storage's.
func (p *provider) KeySet(context.Context) ([]op.Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var set []op.Key
	for _, k := range p.keys {
		set = append(set, publicKey{k})
	}
	return set, nil
}

// rotate makes a new key sign; those before it stay published if keep is set.
func (p *provider) rotate(t *testing.T, id string, keep bool) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !keep {
		p.keys = nil
	}
	p.keys = append(p.keys, signingKey{id, private})
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	var handler http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
	}))
	issuer := "http://" + server.Listener.Addr().String()
	p := &provider{
		Storage: storage.NewStorageWithClients(storage.NewUserStore(issuer), map[string]*storage.Client{
			clientID: storage.WebClient(clientID, clientSecret, redirectURI),
		}),
		issuer: issuer,
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	p.rotate(t, "first", false)
	handler = exampleop.SetupServer(issuer, p, nil, false, op.WithLogger(slog.New(slog.DiscardHandler)))
	server.Start()
	t.Cleanup(server.Close)
	return p
}

// login signs the user test-user2 in as a browser does, by the authorization code
// flow, and returns the ID token.
func (p *provider) login(t *testing.T) string {
	t.Helper()
	_, form := p.follow(t, p.issuer+"/auth?"+url.Values{
		"client_id":     {clientID},
		"redirect_uri":  {redirectURI},
		"response_type": {"code"},
		"scope":         {"openid profile email"},
		"state":         {"s"},
	}.Encode(), nil)
	id := form.Query().Get("authRequestID")
	_, at := p.follow(t, form.String(), url.Values{
		"id": {id}, "username": {"test-user2"}, "password": {"verysecure"},
	})
	code := at.Query().Get("code")
	if id == "" || code == "" {
		t.Fatalf("no login: request %q ended at %v", id, at)
	}
	body, _ := p.follow(t, p.issuer+"/oauth/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI},
	})
	var answer struct {
		IDToken string `json:"id_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.IDToken == "" {
		t.Fatalf("no ID token in %s: %v", body, err)
	}
	return answer.IDToken
}

// follow asks for an address, or posts a form to it, and follows redirects up to
// the application's address, which nobody serves.
func (p *provider) follow(t *testing.T, address string, form url.Values) ([]byte, *url.URL) {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
	}
	client := *p.client
	var arrived *url.URL
	client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), redirectURI) {
			arrived = req.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body, cmp.Or(arrived, resp.Request.URL)
}
