package token_test

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/oidcprovider"
)

const (
	clientID    = oidcprovider.ClientID
	redirectURI = oidcprovider.RedirectURI
)

// provider is a real OpenID Connect provider on loopback, with a login form.
type provider struct {
	*oidcprovider.Provider

	issuer string
	client *http.Client
}

func (p *provider) rotate(t *testing.T, id string, keep bool) {
	t.Helper()
	if err := p.Rotate(id, keep); err != nil {
		t.Fatal(err)
	}
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.ServeHTTP(w, r)
	}))
	p.issuer = "http://" + server.Listener.Addr().String()
	var err error
	if p.Provider, err = oidcprovider.New(p.issuer, time.Hour); err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	return p
}

// login signs the user in as a browser does, by the authorization code
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
		"id": {id}, "username": {oidcprovider.Username}, "password": {oidcprovider.Password},
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
		req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(oidcprovider.ClientSecret))
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
