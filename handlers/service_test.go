package handlers_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

const (
	pushPath = "/api/replicache/push"
	pullPath = "/api/replicache/pull"
	pokePath = "/api/replicache/poke"
	initPath = "/api/init"
)

var quiet = slog.New(slog.DiscardHandler)

// service is the real thing, on the memory store.
type service struct {
	*handlers.Handler
	store  *memory.Store
	engine *engine.Engine
	hub    *poke.Hub
}

// newService makes a service. At the end of the test it is closed, and every
// space named in checked is looked at by fsck.
func newService(t testing.TB, change func(*handlers.Config), checked ...protocol.SpaceID) *service {
	t.Helper()
	return newServiceOn(t, memory.New(), change, checked...)
}

func newServiceOn(
	t testing.TB, store *memory.Store, change func(*handlers.Config), checked ...protocol.SpaceID,
) *service {
	t.Helper()
	s := &service{store: store}
	s.engine = engine.New(s.store, chat.Mutators(), engine.Options{
		Logger:   quiet,
		OnCommit: func(id protocol.SpaceID, h engine.Head) { s.hub.Notify(id, h.Version, h.Concerns()) },
	})
	s.hub = newHub(t, s.engine)
	c := handlers.Config{
		Engine: s.engine, Hub: s.hub, Authenticator: auth.None{}, Policy: auth.Open{}, Dev: true, Logger: quiet,
	}
	if change != nil {
		change(&c)
	}
	s.Handler = newHandler(t, c)
	t.Cleanup(func() {
		if err := s.engine.Close(context.Background()); err != nil {
			t.Errorf("close the engine: %v", err)
		}
		for _, space := range append(checked, "default") {
			s.check(t, space)
		}
	})
	return s
}

func (s *service) check(t testing.TB, space protocol.SpaceID) {
	t.Helper()
	report, err := fsck.Check(context.Background(), s.store, space)
	if err != nil || !report.OK() {
		t.Errorf("fsck: %v, %v", report, err)
	}
}

func newHub(t testing.TB, e *engine.Engine) *poke.Hub {
	t.Helper()
	h := poke.NewHub(poke.Options{
		Watch: e.WatchNews, Head: e.News, Logger: quiet,
	})
	t.Cleanup(h.Close)
	return h
}

func newHandler(t testing.TB, c handlers.Config) *handlers.Handler {
	t.Helper()
	h, err := handlers.New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return h
}

// fakeEngine does what its fields say.
type fakeEngine struct {
	push  func(context.Context, engine.Caller, *protocol.PushRequest) error
	pull  func(context.Context, engine.Caller, *protocol.PullRequest) (*protocol.PullResponse, error)
	reset func(context.Context, protocol.SpaceID) (engine.Head, error)
	// applied may be nil: nothing is.
	applied func(engine.Caller, protocol.ClientGroupID, []protocol.ClientID) (map[protocol.ClientID]int64, error)
}

func (f *fakeEngine) Push(ctx context.Context, c engine.Caller, r *protocol.PushRequest) error {
	return f.push(ctx, c, r)
}

func (f *fakeEngine) Applied(
	_ context.Context, c engine.Caller, g protocol.ClientGroupID, ids []protocol.ClientID,
) (map[protocol.ClientID]int64, error) {
	if f.applied == nil {
		return map[protocol.ClientID]int64{}, nil
	}
	return f.applied(c, g, ids)
}

func (f *fakeEngine) Pull(
	ctx context.Context, c engine.Caller, r *protocol.PullRequest,
) (*protocol.PullResponse, error) {
	return f.pull(ctx, c, r)
}

func (f *fakeEngine) Reset(ctx context.Context, s protocol.SpaceID) (engine.Head, error) {
	return f.reset(ctx, s)
}

// newFake is a Handler on a fake engine, whose hub has versions that never change.
func newFake(t testing.TB, e *fakeEngine, change func(*handlers.Config)) *handlers.Handler {
	t.Helper()
	hub := poke.NewHub(poke.Options{
		Watch: func(ctx context.Context, _ protocol.SpaceID, notify func(int64, poke.Concerns)) error {
			notify(1, nil)
			<-ctx.Done()
			return ctx.Err()
		},
		Head:   func(context.Context, protocol.SpaceID) (int64, poke.Concerns, error) { return 1, nil, nil },
		Logger: quiet,
	})
	t.Cleanup(hub.Close)
	c := handlers.Config{Engine: e, Hub: hub, Authenticator: auth.None{}, Policy: auth.Open{}, Logger: quiet}
	if change != nil {
		change(&c)
	}
	return newHandler(t, c)
}

// guard authenticates "token <user>" and allows what is in rights.
type guard struct{ rights map[string]bool }

func (guard) Authenticate(_ context.Context, authorization string) (auth.Principal, error) {
	user, ok := strings.CutPrefix(authorization, "token ")
	if !ok || user == "" {
		return auth.Principal{}, auth.ErrUnauthenticated
	}
	return auth.Principal{UserID: user, Claims: json.RawMessage(`{"u":1}`)}, nil
}

func (g guard) Allow(_ context.Context, p auth.Principal, s protocol.SpaceID, a auth.Action) error {
	if g.rights[p.UserID+" "+a.String()+" "+string(s)] {
		return nil
	}
	return auth.ErrForbidden
}

// request makes a request as a Replicache client does: with JSON and an empty
// Authorization. Headers are pairs of names and values; an empty value removes one.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	return r
}

// do has a handler answer a request, without a network.
func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// serve puts a handler on a free port.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// send makes a request to a server, with a client that follows no redirects and
// leaves compression alone.
func send(t testing.TB, r *http.Request) *reply {
	t.Helper()
	return sendBy(t, nil, r)
}

// sendBy makes a request over connections that dial opens; nil: over the network.
func sendBy(
	t testing.TB, dial func(ctx context.Context, network, address string) (net.Conn, error), r *http.Request,
) *reply {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true, DialContext: dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       5 * time.Minute, // only ends what hangs
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &reply{StatusCode: resp.StatusCode, Header: resp.Header, Body: resp.Body}
}

// reply is an http.Response whose body is closed at the end of the test.
type reply struct {
	StatusCode int
	Header     http.Header
	Body       io.ReadCloser
}

func newRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

func read(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return string(b)
}

// problemOf checks that an answer is a problem, and returns it.
func problemOf(t testing.TB, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("the answer %q is no JSON: %v", w.Body, err)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type = %q, want application/problem+json", ct)
	}
	if p["status"] != float64(w.Code) {
		t.Errorf("status in the body = %v, want %d", p["status"], w.Code)
	}
	if id := w.Header().Get("X-Request-Id"); id == "" || p["requestId"] != id {
		t.Errorf("requestId = %v, want that of the header: %q", p["requestId"], id)
	}
	for _, field := range []string{"type", "title", "detail", "kind"} {
		if s, ok := p[field].(string); !ok || (s == "" && w.Code != 499) {
			t.Errorf("problem %v has no %s", p, field)
		}
	}
	return p
}

// Bodies of requests.
const (
	onePush = `{"pushVersion":1,"clientGroupID":"g1","profileID":"p","schemaVersion":"","mutations":[` +
		`{"clientID":"c1","id":1,"name":"createMessage",` +
		`"args":{"id":"m1","from":"Jane","content":"Hello","order":1},"timestamp":1.5}]}`
	firstPull = `{"pullVersion":1,"clientGroupID":"g1","profileID":"p","schemaVersion":"","cookie":null}`
)
