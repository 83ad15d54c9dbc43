package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/server"
	"github.com/replifire/replifire/web"
)

// settings are those of an environment.
func settings(t *testing.T, env ...string) server.Settings {
	t.Helper()
	s, err := server.ParseSettings(nil, environment(env...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inMemory are settings for a server on any free port.
func inMemory(t *testing.T, env ...string) server.Settings {
	t.Helper()
	return settings(t, append(env, "REPLIFIRE_STORE=memory", "PORT=0", "REPLIFIRE_HOST=127.0.0.1")...)
}

// quiet is for servers whose log nobody reads.
var quiet = server.WithLogger(slog.New(slog.DiscardHandler))

func newServer(t *testing.T, s server.Settings, m *mutate.Registry, o ...server.Option) *server.Server {
	t.Helper()
	srv, err := server.New(t.Context(), s, m, append([]server.Option{quiet}, o...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close(context.Background()) })
	return srv
}

// serve has an http.Server of the test's own serve a Server's handler.
func serve(t *testing.T, s *server.Server) *apitest.Client {
	t.Helper()
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	return &apitest.Client{URL: h.URL}
}

func createMessage(id int64, key string) apitest.Mutation {
	return apitest.Mutation{ID: id, Name: "createMessage", Args: apitest.Message(key, "hello")}
}

func TestSync(t *testing.T) {
	t.Parallel()
	stores := map[string]func(t *testing.T) server.Settings{
		"memory": func(t *testing.T) server.Settings { t.Helper(); return inMemory(t) },
		"firestore": func(t *testing.T) server.Settings {
			t.Helper()
			host := emulatortest.Host(t)
			return settings(t, "FIRESTORE_EMULATOR_HOST="+host, "GOOGLE_CLOUD_PROJECT="+emulatortest.Project(t))
		},
	}
	for name, settings := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, newServer(t, settings(t), chat.Mutators()))
			stream := c.Pokes(t.Context(), t)
			if status, body := c.Push(t, createMessage(1, "m1")); status != http.StatusOK {
				t.Fatalf("push answers %d %s", status, body)
			}
			stream.Await(t, `data: {"version": 1}`)
			v := c.Pull(t)
			if len(v.Entries) != 1 || v.Entries["message/m1"] == nil || v.LastMutationIDChanges["c"] != 1 {
				t.Errorf("pull shows %+v", v)
			}
			for _, path := range []string{"/health", "/ready"} {
				if status, body := c.Get(t, path); status != http.StatusOK {
					t.Errorf("%s answers %d %s", path, status, body)
				}
			}
		})
	}
}

// Commits of one instance reach the streams of another.
func TestPokesCrossInstances(t *testing.T) {
	t.Parallel()
	s := settings(t, "FIRESTORE_EMULATOR_HOST="+emulatortest.Host(t),
		"GOOGLE_CLOUD_PROJECT="+emulatortest.Project(t))
	a := serve(t, newServer(t, s, chat.Mutators()))
	b := serve(t, newServer(t, s, chat.Mutators()))
	stream := b.Pokes(t.Context(), t)
	for id := range int64(3) {
		if status, body := a.Push(t, createMessage(id+1, fmt.Sprint("m", id))); status != http.StatusOK {
			t.Fatalf("push answers %d %s", status, body)
		}
		stream.Await(t, fmt.Sprintf(`data: {"version": %d}`, id+1))
	}
	if v := b.Pull(t); len(v.Entries) != 3 {
		t.Errorf("the other instance shows %+v", v)
	}
}

func TestDevelopmentMode(t *testing.T) {
	t.Parallel()
	for _, dev := range []bool{true, false} {
		t.Run(fmt.Sprint("dev=", dev), func(t *testing.T) {
			t.Parallel()
			s := inMemory(t, fmt.Sprint("REPLIFIRE_DEV=", dev))
			c := serve(t, newServer(t, s, chat.Mutators()))

			// The chat page if it was built before this test, else an explanation.
			want := "/api/replicache/push"
			if _, built := web.Page(); built {
				want = `<div id="app">`
			}
			status, page := c.Get(t, "/")
			if got := status == http.StatusOK && strings.Contains(page, want); got != dev {
				t.Errorf("/ answers %d %s", status, page)
			}
			if status, _ := c.Get(t, "/favicon.ico"); status != http.StatusNotFound {
				t.Errorf("/favicon.ico answers %d, want 404", status)
			}
			status, _ = c.Get(t, "/api/init")
			if got := status == http.StatusOK; got != dev {
				t.Errorf("GET /api/init answers %d", status)
			}
			if got := allowedOrigin(t, c, "https://any.example") != ""; got != dev {
				t.Errorf("any origin may call: %t", got)
			}
		})
	}
}

// allowedOrigin is the origin that a preflight from an origin is told may call.
func allowedOrigin(t *testing.T, c *apitest.Client, origin string) string {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodOptions, c.URL+"/api/replicache/push", http.NoBody)
	req.RequestURI = ""
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", http.MethodPost)
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("Access-Control-Allow-Origin")
}

func TestOriginsAreExact(t *testing.T) {
	t.Parallel()
	c := serve(t, newServer(t, inMemory(t, "REPLIFIRE_ORIGINS=https://a.example,https://b.example"), chat.Mutators()))
	for origin, want := range map[string]bool{
		"https://a.example": true, "https://b.example": true, "https://c.example": false,
	} {
		if got := allowedOrigin(t, c, origin); (got == origin) != want {
			t.Errorf("%s is told %q", origin, got)
		}
	}
}

func TestSettingsReachTheService(t *testing.T) {
	t.Parallel()
	s := inMemory(t, "REPLIFIRE_MAX_BODY_BYTES=200", "REPLIFIRE_SCHEMA_VERSIONS=v9", "REPLIFIRE_HEARTBEAT=10ms")
	c := serve(t, newServer(t, s, chat.Mutators()))
	status, _ := c.Post(t, "/api/replicache/pull", strings.Repeat(" ", 201))
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("201 bytes are answered with %d", status)
	}
	_, body := c.Post(t, "/api/replicache/pull",
		`{"pullVersion":1,"profileID":"p","clientGroupID":"g","schemaVersion":"v8","cookie":null}`)
	if !strings.Contains(body, "VersionNotSupported") {
		t.Errorf("schema version v8 is answered with %s", body)
	}
	stream := c.Pokes(t.Context(), t)
	for range 3 {
		stream.Await(t, ":")
	}
}

const firstPull = `{"pullVersion":1,"profileID":"p","clientGroupID":"g","schemaVersion":"","cookie":null}`

// TestLimitsReachTheService: each by an answer that says it.
func TestLimitsReachTheService(t *testing.T) {
	t.Parallel()
	const (
		push = "/api/replicache/push"
		two  = `{"pushVersion":1,"clientGroupID":"g","profileID":"p","schemaVersion":"","mutations":[` +
			`{"clientID":"c","id":1,"name":"a","args":{},"timestamp":1},` +
			`{"clientID":"c","id":2,"name":"a","args":{},"timestamp":1}]}`
	)
	for name, tc := range map[string]struct {
		env, path, body, want string
		status                int
	}{
		"mutations": {"REPLIFIRE_MAX_MUTATIONS=1", push, two, "partly_applied", 429},
		"body":      {"REPLIFIRE_MAX_BODY_BYTES=100", push, two, "partly_applied", 429},
		"response":  {"REPLIFIRE_MAX_RESPONSE_BYTES=10", "/api/replicache/pull", firstPull, "larger than 10 bytes", 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, newServer(t, inMemory(t, tc.env), chat.Mutators()))
			if status, body := c.Post(t, tc.path, tc.body); status != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("answered with %d %s, want %d and %q", status, body, tc.status, tc.want)
			}
		})
	}
}

// TestMemoryOfBodiesReachesTheService: as many bodies as there is memory for are waited for,
// and one more is refused.
func TestMemoryOfBodiesReachesTheService(t *testing.T) {
	t.Parallel()
	s := inMemory(t, "REPLIFIRE_MAX_BODY_BYTES=1000", "REPLIFIRE_MAX_BODIES_BYTES=2000000",
		"REPLIFIRE_MAX_BODIES_PER_USER=0")
	srv := httptest.NewServer(newServer(t, s, chat.Mutators()).Handler())
	t.Cleanup(srv.Close)
	answers := make(chan string)
	for range 60 { // with 32 KiB each
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() {
			_, _ = fmt.Fprint(conn, "POST /api/replicache/push HTTP/1.1\r\nHost: x\r\n"+
				"Content-Type: application/json\r\nContent-Length: 300000\r\n\r\n{")
			answer, _ := io.ReadAll(conn) // the connection is closed after it, or by the test
			select {
			case answers <- string(answer):
			case <-t.Context().Done():
			}
		}()
	}
	if got := <-answers; !strings.Contains(got, "HTTP/1.1 429") || !strings.Contains(got, "1500000 bytes together") {
		t.Errorf("the first answer is %s", got)
	}
}

// TestRatesReachTheService: outside development, and by the address that the front
// end of Cloud Run has seen.
func TestRatesReachTheService(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  []string
		want []int // of requests with claims to come from different addresses
	}{
		"here":        {nil, []int{200, 429}},
		"development": {[]string{"REPLIFIRE_DEV=true"}, []int{200, 200}},
		"off":         {[]string{"REPLIFIRE_RATE_PER_ADDRESS=0"}, []int{200, 200}},
		"Cloud Run":   {[]string{"K_SERVICE=s", "REPLIFIRE_ALLOW_UNSAFE=true"}, []int{200, 200}},
		"one proxy":   {[]string{"REPLIFIRE_PROXIES=1"}, []int{200, 200}},
		"Cloud Run, said to have none": {
			[]string{"K_SERVICE=s", "REPLIFIRE_ALLOW_UNSAFE=true", "REPLIFIRE_PROXIES=0"}, []int{200, 429},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The first of a name counts.
			env := slices.Concat(tc.env, []string{"REPLIFIRE_RATE_PER_ADDRESS=0.001", "REPLIFIRE_BURST_PER_ADDRESS=1"})
			s := newServer(t, inMemory(t, env...), chat.Mutators())
			for i, want := range tc.want {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/replicache/pull",
					strings.NewReader(firstPull))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("X-Forwarded-For", fmt.Sprint("192.0.2.", i))
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, r)
				if w.Code != want {
					t.Errorf("request %d: %d %s, want %d", i, w.Code, w.Body, want)
				}
			}
		})
	}
}

// A store that does not answer is no reason not to start: it is one not to be
// ready.
func TestStartWithoutStore(t *testing.T) {
	t.Parallel()
	s := settings(t, "FIRESTORE_EMULATOR_HOST="+closedAddress(t), "GOOGLE_CLOUD_PROJECT=p")
	c := serve(t, newServer(t, s, chat.Mutators()))
	if status, body := c.Get(t, "/health"); status != http.StatusOK {
		t.Errorf("/health answers %d %s", status, body)
	}
	if status, body := c.Get(t, "/ready"); status != http.StatusServiceUnavailable {
		t.Errorf("/ready answers %d %s", status, body)
	}
}

// closedAddress is one that nobody listens on.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	wrong := inMemory(t)
	wrong.Auth = "firebase"
	origins, star := inMemory(t), inMemory(t)
	origins.Origins, star.Origins = []string{"app.example.com"}, []string{"*"}
	for name, test := range map[string]struct {
		settings server.Settings
		want     string
	}{
		"wrong settings":    {wrong, "REPLIFIRE_AUTH"},
		"an origin's shape": {origins, "REPLIFIRE_ORIGINS"},
		"every origin":      {star, `"*"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := server.New(t.Context(), test.settings, chat.Mutators(), quiet)
			if err == nil || s != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New returns %v, %v, want an error with %q", s, err, test.want)
			}
		})
	}
}

func TestLogIsCloudLoggings(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := inMemory(t, "REPLIFIRE_LOG_LEVEL=debug")
	log := s.Logger(&out)
	log.DebugContext(t.Context(), "hello", "after", time.Second)
	log.With("a", 1).WithGroup("g").DebugContext(t.Context(), "more", "b", 2)
	var line struct{ Severity, Message, After string }
	first, second, _ := strings.Cut(out.String(), "\n")
	if err := json.Unmarshal([]byte(first), &line); err != nil {
		t.Fatal(err)
	}
	if line.Severity != "DEBUG" || line.Message != "hello" || line.After != "1s" {
		t.Errorf("log line is %s", first)
	}
	if !strings.Contains(second, `"a":1`) || !strings.Contains(second, `"g":{"b":2}`) {
		t.Errorf("log line is %s", second)
	}
}

func TestLogLevelAndFormat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  []string
		want string // beginning of what is logged at info
	}{
		"default":              {nil, `{"time":`},
		"development":          {[]string{"REPLIFIRE_DEV=true"}, "time="},
		"text":                 {[]string{"REPLIFIRE_LOG_FORMAT=text"}, "time="},
		"json in development":  {[]string{"REPLIFIRE_DEV=true", "REPLIFIRE_LOG_FORMAT=json"}, `{"time":`},
		"above the level":      {[]string{"REPLIFIRE_LOG_LEVEL=info"}, `{"time":`},
		"below the level":      {[]string{"REPLIFIRE_LOG_LEVEL=warn"}, ""},
		"below the text level": {[]string{"REPLIFIRE_LOG_LEVEL=warn", "REPLIFIRE_LOG_FORMAT=text"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			s := inMemory(t, test.env...)
			s.Logger(&out).InfoContext(t.Context(), "hello")
			if got := out.String(); !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("logged %q, want %q first", got, test.want)
			}
		})
	}
}
