package server_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/gc"
	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/oidcprovider"
)

const (
	gcAccount  = "gc@project.iam.gserviceaccount.com"
	gcNumber   = "112233445566778899000"
	gcAudience = "https://service.example"
)

// google is a real provider in the place of Google's.
type google struct {
	*oidcprovider.Provider

	url string
}

func startGoogle(t *testing.T) *google {
	t.Helper()
	g := &google{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.ServeHTTP(w, r)
	}))
	g.url = "http://" + s.Listener.Addr().String()
	var err error
	if g.Provider, err = oidcprovider.New(g.url, time.Hour); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	return g
}

// token is one as Cloud Scheduler sends it, with some claims changed.
func (g *google) token(t *testing.T, change map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": g.url, "aud": gcAudience, "azp": gcNumber, "sub": gcNumber,
		"email": gcAccount, "email_verified": true,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, change)
	token, err := g.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token
}

func (g *google) env(more ...string) []string {
	return append(more, "REPLIFIRE_GC_ISSUER="+g.url, "REPLIFIRE_GC_AUDIENCE="+gcAudience)
}

// collect asks a service to collect and returns status, header and answer.
func collect(t *testing.T, base, method, authorization string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+"/api/gc", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

const nothingCollected = `{"spaces":0,"tombstones":0,"deleted":0,"more":false}`

// TestGCTokens shows all kinds of tokens to a service in which everybody is nobody in
// particular, and to one with sign-in: it makes no difference.
func TestGCTokens(t *testing.T) {
	t.Parallel()
	g, other := startGoogle(t), startGoogle(t)
	users := startIssuer(t)
	byEmail := []string{"REPLIFIRE_GC_INVOKER=" + gcAccount}
	signIn := []string{
		"REPLIFIRE_AUTH=oidc", "REPLIFIRE_OIDC_ISSUER=" + users.url, "REPLIFIRE_OIDC_AUDIENCE=replifire-test",
		"REPLIFIRE_POLICY=authenticated", "REPLIFIRE_GC_INVOKER=" + gcAccount,
	}
	start := func(env []string) string {
		return serve(t, newServer(t, inMemory(t, g.env(env...)...), chat.Mutators())).URL
	}
	services := map[string]string{
		"email": start(byEmail), "email, with sign-in": start(signIn),
		"number": start([]string{"REPLIFIRE_GC_INVOKER=" + gcNumber}),
	}
	type claims = map[string]any
	for name, tc := range map[string]struct {
		token           string
		byEmail, number int
	}{
		"good":           {g.token(t, nil), 200, 200},
		"no token":       {"", 401, 401},
		"no JWT":         {"Bearer x", 401, 401},
		"of a user":      {"Bearer " + users.token("ann"), 401, 401},
		"other issuer":   {other.token(t, nil), 401, 401},
		"wrong iss":      {g.token(t, claims{"iss": "https://accounts.google.com"}), 401, 401},
		"other key":      {other.token(t, claims{"iss": g.url}), 401, 401},
		"wrong aud":      {g.token(t, claims{"aud": "https://other.example"}), 401, 401},
		"one aud of two": {g.token(t, claims{"aud": []string{gcAudience, "https://other.example"}}), 401, 401},
		"expired":        {g.token(t, claims{"exp": time.Now().Add(-2 * time.Minute).Unix()}), 401, 401},
		"never expires":  {g.token(t, claims{"exp": nil}), 401, 401},
		"other account": {
			g.token(t, claims{"sub": "1", "email": "other@project.iam.gserviceaccount.com"}), 403, 403,
		},
		"unverified email": {g.token(t, claims{"email_verified": false}), 403, 200},
		"no email":         {g.token(t, claims{"email": nil}), 403, 200},
		"other sub":        {g.token(t, claims{"sub": "1"}), 200, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for service, base := range services {
				want := tc.byEmail
				if service == "number" {
					want = tc.number
				}
				status, header, body := collect(t, base, http.MethodPost, tc.token)
				if status != want || want == 200 && body != nothingCollected {
					t.Errorf("%s: %d %s, want %d", service, status, body, want)
				}
				challenge := header.Get("WWW-Authenticate")
				if (want == 401) != (challenge == "Bearer") {
					t.Errorf("%s: %d with the challenge %q", service, want, challenge)
				}
			}
		})
	}
}

func TestGCMethods(t *testing.T) {
	t.Parallel()
	g := startGoogle(t)
	with := serve(t, newServer(t, inMemory(t, g.env("REPLIFIRE_GC_INVOKER="+gcAccount)...), chat.Mutators())).URL
	without := serve(t, newServer(t, inMemory(t), chat.Mutators())).URL
	for _, method := range []string{"GET", "PUT", "DELETE", "HEAD", "POST"} {
		if status, _, body := collect(t, without, method, g.token(t, nil)); status != http.StatusNotFound {
			t.Errorf("%s without an invoker: %d %s, want 404", method, status, body)
		}
		if method == "POST" {
			continue
		}
		status, header, body := collect(t, with, method, g.token(t, nil))
		if status != http.StatusMethodNotAllowed || header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("%s: %d %s, Allow %q", method, status, body, header.Get("Allow"))
		}
	}
}

// TestGCIssuerIsDown: the token may be good, and another one would be no better.
func TestGCIssuerIsDown(t *testing.T) {
	t.Parallel()
	g := startGoogle(t)
	token := g.token(t, nil)
	s := inMemory(t, "REPLIFIRE_GC_INVOKER="+gcAccount, "REPLIFIRE_GC_AUDIENCE="+gcAudience,
		"REPLIFIRE_GC_ISSUER=http://127.0.0.1:1")
	base := serve(t, newServer(t, s, chat.Mutators())).URL
	if status, _, body := collect(t, base, "POST", token); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s, want 503", status, body)
	}
}

// TestGCOnFirestore: a run that has no time says so; one of another instance does it
// all, clients sync on, and the next one finds nothing.
func TestGCOnFirestore(t *testing.T) {
	t.Parallel()
	g := startGoogle(t)
	env := g.env("REPLIFIRE_GC_INVOKER="+gcAccount, "REPLIFIRE_GC_RETENTION=0s", "REPLIFIRE_DEV=true",
		"FIRESTORE_EMULATOR_HOST="+emulatortest.Host(t), "GOOGLE_CLOUD_PROJECT="+emulatortest.Project(t))
	instance := func(more ...string) string {
		s := settings(t, append(env, more...)...)
		return serve(t, newServer(t, s, chat.Mutators())).URL
	}
	hasty, patient := instance("REPLIFIRE_GC_TIMEOUT=1ns"), instance()
	c := serve(t, newServer(t, settings(t, env...), chat.Mutators()))
	pushOK(t, c, createMessage(1, "m1"), createMessage(2, "m2"))
	pushOK(t, c, apitest.Mutation{ID: 3, Name: "deleteMessage", Args: map[string]any{"id": "m1"}})

	for _, step := range []struct{ base, want string }{
		{hasty, `{"spaces":0,"tombstones":0,"deleted":0,"more":true}`},
		{patient, `{"spaces":1,"tombstones":1,"deleted":1,"more":false}`},
		{patient, `{"spaces":1,"tombstones":0,"deleted":0,"more":false}`},
		{hasty, `{"spaces":0,"tombstones":0,"deleted":0,"more":true}`},
	} {
		if status, _, body := collect(t, step.base, "POST", g.token(t, nil)); status != 200 || body != step.want {
			t.Errorf("%d %s, want %s", status, body, step.want)
		}
	}
	pushOK(t, c, createMessage(4, "m3"))
	if v := c.Pull(t); len(v.Entries) != 2 || v.LastMutationIDChanges["c"] != 4 {
		t.Errorf("pull shows %+v", v)
	}
}

func pushOK(t *testing.T, c *apitest.Client, mutations ...apitest.Mutation) {
	t.Helper()
	if status, body := c.Push(t, mutations...); status != http.StatusOK {
		t.Fatalf("push is answered %d %s", status, body)
	}
}

// TestGCAfterClose: a service that shuts down begins no collection.
func TestGCAfterClose(t *testing.T) {
	t.Parallel()
	g := startGoogle(t)
	s := inMemory(t, g.env("REPLIFIRE_GC_INVOKER="+gcAccount)...)
	srv := newServer(t, s, chat.Mutators())
	base := serve(t, srv).URL
	if err := srv.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := srv.Collector().Run(t.Context()); !errors.Is(err, gc.ErrClosed) {
		t.Errorf("a collection after Close: %v, want ErrClosed", err)
	}
	if status, _, body := collect(t, base, "POST", g.token(t, nil)); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s, want 503", status, body)
	}
}
