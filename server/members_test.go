package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/tokentest"
	"github.com/replifire/replifire/server"
)

// issuer is an OpenID Connect issuer: its discovery, and tokentest's keys.
type issuer struct {
	url  string
	keys *tokentest.Server
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{keys: tokentest.Start(t)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": i.url, "jwks_uri": i.keys.URL(), "authorization_endpoint": i.url, "token_endpoint": i.url,
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	}))
	t.Cleanup(s.Close)
	i.url = s.URL
	return i
}

func (i *issuer) token(user string) string {
	claims := tokentest.Claims(user, time.Now())
	return i.keys.Mint(i.keys.Header(), tokentest.With(claims, "iss", i.url))
}

// settings are those of a service with the policy members.
func (i *issuer) settings(t *testing.T, env ...string) server.Settings {
	t.Helper()
	return settings(t, append(env, "REPLIFIRE_POLICY=members", "REPLIFIRE_AUTH=oidc", "REPLIFIRE_OIDC_ISSUER="+i.url,
		"REPLIFIRE_OIDC_AUDIENCE="+tokentest.Project, "REPLIFIRE_MAX_SPACES_PER_USER=2")...)
}

// ask makes a request of a user's and returns status and answer.
func (i *issuer) ask(t *testing.T, base, user, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+i.token(user))
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

const pullOfB = `{"pullVersion":1,"profileID":"p","clientGroupID":"b","schemaVersion":"","cookie":null}`

// TestMembersOnEveryInstance: what an owner does at one instance counts at once there
// and soon at the other one, too: how soon is tested where the clock can be moved.
func TestMembersOnEveryInstance(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	s := i.settings(t, "FIRESTORE_EMULATOR_HOST="+emulatortest.Host(t), "GOOGLE_CLOUD_PROJECT="+emulatortest.Project(t))
	here, there := serve(t, newServer(t, s, chat.Mutators())).URL, serve(t, newServer(t, s, chat.Mutators())).URL
	want := func(base, user, method, path, body string, status int) {
		t.Helper()
		if got, text := i.ask(t, base, user, method, path, body); got != status {
			t.Fatalf("%s %s by %s is answered %d %s, want %d", method, path, user, got, text, status)
		}
	}
	await := func(base string, status int) {
		t.Helper()
		began := time.Now()
		for {
			got, text := i.ask(t, base, "bob", "POST", "/api/replicache/pull?space=s", pullOfB)
			if got == status {
				return
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("after %v a pull is answered %d %s, want %d", time.Since(began), got, text, status)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	await(there, 403)
	want(here, "ann", "PUT", "/api/spaces/s/members/ann", `{"role":"owner"}`, 200)
	want(here, "bob", "PUT", "/api/spaces/s/members/bob", `{"role":"owner"}`, 403)
	want(here, "ann", "PUT", "/api/spaces/s/members/bob", `{"role":"reader"}`, 200)
	want(here, "bob", "POST", "/api/replicache/pull?space=s", pullOfB, 200)
	await(there, 200)
	want(here, "ann", "DELETE", "/api/spaces/s/members/bob", "", 204)
	want(here, "bob", "POST", "/api/replicache/pull?space=s", pullOfB, 403)
	await(there, 403)
	want(here, "ann", "POST", "/api/init?space=s", "", 200)
	want(here, "ann", "PUT", "/api/spaces/s2/members/ann", `{"role":"owner"}`, 200)
	want(there, "ann", "PUT", "/api/spaces/s3/members/ann", `{"role":"owner"}`, 403)
}

// TestMembersInMemory: the store of a laptop has members too.
func TestMembersInMemory(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	base := serve(t, newServer(t, i.settings(t, "REPLIFIRE_STORE=memory"), chat.Mutators())).URL
	for _, step := range []struct {
		user, method, path, body string
		want                     int
	}{
		{"ann", "POST", "/api/replicache/pull?space=s", pullOfB, 403},
		{"ann", "PUT", "/api/spaces/s/members/ann", `{"role":"owner"}`, 200},
		{"ann", "POST", "/api/replicache/pull?space=s", pullOfB, 200},
		{"bob", "POST", "/api/replicache/pull?space=s", pullOfB, 403},
	} {
		if got, text := i.ask(t, base, step.user, step.method, step.path, step.body); got != step.want {
			t.Errorf("%+v is answered %d %s", step, got, text)
		}
	}
}
