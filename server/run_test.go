package server_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/memnet"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/server"
)

// gate is a mutator that can be held up.
type gate struct {
	entered chan struct{} // one for each call
	open    chan struct{} // closed to let all of them go on
	// deaf: it does not end with its context.
	deaf bool
}

func newGate() *gate {
	return &gate{entered: make(chan struct{}, 100), open: make(chan struct{})}
}

func (g *gate) registry() *mutate.Registry {
	r := mutate.NewRegistry()
	mutate.Register(r, "wait", func(ctx context.Context, tx mutate.WriteTransaction, _ struct{}) error {
		g.entered <- struct{}{}
		done := ctx.Done()
		if g.deaf {
			done = nil
		}
		select {
		case <-g.open:
			return tx.Set("waited", true)
		case <-done:
			return ctx.Err()
		}
	})
	return r
}

// answer is what a push in the background got.
type answer struct {
	status int
	body   string
}

// pushing sends a push that the gate holds up, and returns when it does.
func (g *gate) pushing(t *testing.T, c *apitest.Client) <-chan answer {
	t.Helper()
	answered := make(chan answer, 1)
	go func() {
		status, body := c.Push(t, apitest.Mutation{ID: 1, Name: "wait", Args: struct{}{}})
		answered <- answer{status, body}
	}()
	<-g.entered
	return answered
}

// running is a Server in Run.
type running struct {
	*apitest.Client
	stop  context.CancelFunc
	ended chan error
}

func run(t *testing.T, s server.Settings, m *mutate.Registry) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready := make(chan net.Addr, 1)
	srv := newServer(t, s, m, server.OnReady(func(a net.Addr) { ready <- a }))
	r := &running{stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- srv.Run(ctx) }()
	t.Cleanup(stop)
	select {
	case a := <-ready:
		r.Client = &apitest.Client{URL: "http://" + a.String()}
	case err := <-r.ended:
		t.Fatalf("Run ended: %v", err)
	}
	return r
}

// runInBubble is run on a network in memory, for a test in a bubble of synctest: what takes
// time on a busy machine takes none of the time that there is to shut down.
func runInBubble(t *testing.T, s server.Settings, m *mutate.Registry) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var network memnet.Network
	listener, url := network.Listen()
	srv := newServer(t, s, m)
	r := &running{
		Client: &apitest.Client{URL: url, Dial: network.Dial}, stop: stop, ended: make(chan error, 1),
	}
	go func() { r.ended <- srv.Serve(ctx, listener) }()
	return r
}

// awaitRefused waits until the server takes no more connections.
func (r *running) awaitRefused(t *testing.T) {
	t.Helper()
	address := strings.TrimPrefix(r.URL, "http://")
	for {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// The order of a good end: no new connections, the streams end, the push that is
// under way is applied and answered, and only then Run returns.
func TestRunFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := run(t, inMemory(t, "REPLIFIRE_DRAIN_TIMEOUT=2m"), g.registry())
	stream := r.Pokes(t.Context(), t)
	answered := g.pushing(t, r.Client)

	r.stop()
	r.awaitRefused(t)
	stream.AwaitEnd(t)
	select {
	case err := <-r.ended:
		t.Fatalf("Run returned %v with a push under way", err)
	case a := <-answered:
		t.Fatalf("the push was answered %+v before it was done", a)
	default:
	}
	close(g.open)
	if a := <-answered; a.status != http.StatusOK {
		t.Errorf("the push was answered %+v, want 200", a)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// What is not done in time is given up: told so, and acknowledged to nobody.
func TestRunGivesUpWhatIsTooSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		r := runInBubble(t, inMemory(t, "REPLIFIRE_DRAIN_TIMEOUT=500ms"), g.registry())
		answered := g.pushing(t, r.Client)
		r.stop()
		if a := <-answered; a.status != http.StatusServiceUnavailable {
			t.Errorf("the push was answered %+v, want 503", a)
		}
		if err := <-r.ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run returned %v, want context.DeadlineExceeded in it", err)
		}
	})
}

// A connection on which nothing was ever asked is not waited for: http.Server would
// wait until it is 5 s old, which is longer than there is here.
func TestRunDoesNotWaitForUnusedConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := runInBubble(t, inMemory(t, "REPLIFIRE_DRAIN_TIMEOUT=4s"), chat.Mutators())
		conn, err := r.Dial(t.Context(), "tcp", strings.TrimPrefix(r.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r.Pull(t) // by another connection: the server has accepted the first one by now
		r.stop()
		if err := <-r.ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// A request of which the body does not come is told to come again, and not waited for, nor
// is it by who has an http.Server of his own.
func TestRunDoesNotWaitForBodies(t *testing.T) {
	t.Parallel()
	r := run(t, inMemory(t), chat.Mutators())
	late := beginPush(t, strings.TrimPrefix(r.URL, "http://"))
	r.stop()
	late.want(t, http.StatusServiceUnavailable)
	if err := <-r.ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
	srv := newServer(t, inMemory(t), chat.Mutators())
	other := httptest.NewServer(srv.Handler())
	defer other.Close()
	late = beginPush(t, other.Listener.Addr().String())
	closed := make(chan error, 1)
	go func() { closed <- srv.Close(context.Background()) }()
	late.want(t, http.StatusServiceUnavailable)
	if err := <-closed; err != nil {
		t.Errorf("Close returned %v", err)
	}
}

// TestBodiesOverHTTP2: of what a connection may have under way, one request has a small part, or
// one that is not read would keep away those of all others who share the connection.
func TestBodiesOverHTTP2(t *testing.T) {
	t.Parallel()
	r := run(t, inMemory(t), chat.Mutators())
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	if err != nil {
		t.Fatal(err)
	}
	// RFC 9113, sections 4.1, 6.5 and 6.9.
	const settings, windowUpdate, initialWindowSize = 4, 8, 4
	request, connection := 65_535, 65_535
	for kind := byte(settings); kind != windowUpdate; {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatal(err)
		}
		kind = head[3]
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		for ; kind == settings && len(payload) > 0; payload = payload[6:] {
			if binary.BigEndian.Uint16(payload) == initialWindowSize {
				request = int(binary.BigEndian.Uint32(payload[2:]))
			}
		}
		if kind == windowUpdate {
			connection += int(binary.BigEndian.Uint32(payload))
		}
	}
	if request < 65_535 || connection < 60*request {
		t.Errorf("a request may have %d bytes under way, its connection %d", request, connection)
	}
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// begun is a push of which the server reads the body, and has some of it.
type begun struct{ *bufio.Reader }

func beginPush(t *testing.T, address string) begun {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "POST /api/replicache/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	b := begun{bufio.NewReader(conn)}
	b.want(t, http.StatusContinue) // the server says so when it reads the body
	if _, err := io.WriteString(conn, "1\r\n{\r\n"); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b begun) want(t *testing.T, status int) {
	t.Helper()
	resp, err := http.ReadResponse(b.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != status || err != nil {
		t.Errorf("answered %s %s (%v), want %d", resp.Status, body, err, status)
	}
}

// A mutator that never ends does not keep the process.
func TestRunLeavesADeafMutatorBehind(t *testing.T) {
	t.Parallel()
	g := newGate()
	g.deaf = true
	r := run(t, inMemory(t, "REPLIFIRE_DRAIN_TIMEOUT=200ms"), g.registry())
	defer close(g.open) // for goleak
	go func() {
		// Its answer is lost: the connection is closed under it.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		body := `{"pushVersion":1,"profileID":"p","clientGroupID":"g","schemaVersion":"","mutations":[` +
			`{"clientID":"c","id":1,"name":"wait","args":{},"timestamp":0}]}`
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/api/replicache/push", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-g.entered
	r.stop()
	if err := <-r.ended; err == nil {
		t.Error("Run returned nil though a mutator was still running")
	}
}

func TestRunSaysThatThePortIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := inMemory(t)
	s.Port = l.Addr().(*net.TCPAddr).Port
	srv := newServer(t, s, chat.Mutators())
	if err := srv.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Run returned %v", err)
	}
}

// Where the http.Server is somebody else's, Close alone does what Run does.
func TestClose(t *testing.T) {
	t.Parallel()
	g := newGate()
	srv := newServer(t, inMemory(t), g.registry())
	c := serve(t, srv)
	stream := c.Pokes(t.Context(), t)
	answered := g.pushing(t, c)

	closed := make(chan error, 1)
	go func() { closed <- srv.Close(context.Background()) }()
	stream.AwaitEnd(t)
	for {
		status, body := c.Get(t, "/health")
		if status != http.StatusServiceUnavailable {
			continue
		}
		if !strings.Contains(body, `"kind":"unavailable"`) {
			t.Errorf("who comes too late is answered %q, want a problem", body)
		}
		break
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v with a push under way", err)
	default:
	}
	close(g.open)
	if a := <-answered; a.status != http.StatusOK {
		t.Errorf("the push was answered %+v, want 200", a)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close returned %v", err)
	}
	if err := srv.Close(context.Background()); err != nil {
		t.Errorf("the second Close returned %v", err)
	}
}

// A stream lasts longer than a request may take to arrive.
func TestStreamOutlivesTheReadTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, inMemory(t, "REPLIFIRE_HEARTBEAT=50ms"), chat.Mutators())
		h := srv.HTTPServer()
		h.ReadTimeout = 100 * time.Millisecond
		var network memnet.Network
		c := &apitest.Client{URL: network.Start(t, h), Dial: network.Dial}
		stream := c.Pokes(t.Context(), t)
		for range 10 { // half a second
			stream.Await(t, ":")
		}
		if err := srv.Close(context.Background()); err != nil {
			t.Error(err)
		}
		stream.AwaitEnd(t)
	})
}

// serveOn has h serve until the test is over, and returns its address.
func serveOn(t *testing.T, h *http.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = h.Serve(l) // ends by Close, with an error that says so
	}()
	t.Cleanup(func() {
		_ = h.Close()
		<-served
	})
	return l.Addr().String()
}

// HTTP/2 without TLS, and its limit on headers and HTTP/1.1's.
func TestProtocols(t *testing.T) {
	t.Parallel()
	r := run(t, inMemory(t), chat.Mutators())
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	for name, transport := range map[string]*http.Transport{
		"HTTP/1.1": {DisableKeepAlives: true},
		"HTTP/2.0": {Protocols: &h2},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/health", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = resp.Body.Close()
		if resp.Proto != name || resp.StatusCode != http.StatusOK {
			t.Errorf("answer is %s %s, want %s", resp.Proto, resp.Status, name)
		}
		req.Header.Set("X-Large", strings.Repeat("x", 64<<10))
		resp, err = transport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%s: 64 KiB of headers are answered with %s", name, resp.Status)
			}
		}
		transport.CloseIdleConnections()
	}
}

// Who opens a connection and dribbles headers is sent away.
func TestSlowHeadersAreCut(t *testing.T) {
	t.Parallel()
	srv := newServer(t, inMemory(t), chat.Mutators())
	h := srv.HTTPServer()
	if h.ReadHeaderTimeout <= 0 || h.ReadTimeout <= 0 || h.IdleTimeout <= 0 || h.WriteTimeout != 0 {
		t.Fatalf("timeouts are %v, %v, %v, write %v", h.ReadHeaderTimeout, h.ReadTimeout, h.IdleTimeout, h.WriteTimeout)
	}
	h.ReadHeaderTimeout = 50 * time.Millisecond
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", serveOn(t, h))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.Contains(lines.Text(), " 200 ") {
			t.Error("a request without an end was answered")
		}
	}
}
