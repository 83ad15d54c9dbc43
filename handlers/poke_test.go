package handlers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/internal/memnet"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// sse reads a stream of events.
type sse struct {
	t testing.TB
	r *bufio.Reader
}

// next is the next block of lines, without the empty line behind it; "" at the
// end of the stream.
func (s sse) next() string {
	s.t.Helper()
	var block strings.Builder
	for {
		line, err := s.r.ReadString('\n')
		switch {
		case errors.Is(err, io.EOF) && line == "" && block.Len() == 0:
			return ""
		case err != nil:
			s.t.Fatalf("read the stream: %v after %q", err, block.String()+line)
		case line == "\n":
			return strings.TrimSuffix(block.String(), "\n")
		}
		block.WriteString(line)
	}
}

func (s sse) want(blocks ...string) {
	s.t.Helper()
	for _, want := range blocks {
		if got := s.next(); got != want {
			s.t.Fatalf("received %q, want %q", got, want)
		}
	}
}

func pokeEvent(version int) string {
	return fmt.Sprintf("event: poke\ndata: {\"version\": %d}\nid: %d", version, version)
}

func isBye(block string) bool { return strings.HasPrefix(block, "event: bye\ndata: {}\nretry: ") }

// listen opens a stream over the network.
func listen(t testing.TB, url string) (sse, *reply) {
	t.Helper()
	r := newRequest(t, "GET", url, "")
	r.Header.Set("Accept-Encoding", "gzip")
	resp := send(t, r)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status = %d, want 200: %s", resp.StatusCode, read(t, resp.Body))
	}
	return sse{t, bufio.NewReader(resp.Body)}, resp
}

func mutation(id int) string {
	return strings.NewReplacer(`"id":1,`, fmt.Sprintf(`"id":%d,`, id), `"m1"`, fmt.Sprintf(`"m%d"`, id)).Replace(onePush)
}

func TestPoke(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	srv := serve(t, s)
	stream, resp := listen(t, srv.URL+pokePath)
	for name, want := range map[string]string{
		"Content-Type":      "text/event-stream; charset=utf-8",
		"Cache-Control":     "no-store, no-cache, no-transform",
		"X-Accel-Buffering": "no",
		"Content-Encoding":  "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	stream.want("retry: 1000", pokeEvent(0))
	for id := 1; id <= 3; id++ {
		if w := do(s, request("POST", pushPath, mutation(id))); w.Code != 200 {
			t.Fatalf("push: %d %s", w.Code, w.Body)
		}
		stream.want(pokeEvent(id))
	}
	// An acknowledged rejection pokes too, a repeated push does not.
	do(s, request("POST", pushPath, mutation(3)))
	do(s, request("POST", pushPath, strings.Replace(mutation(4), `"m4"`, `"m1"`, 1)))
	stream.want(pokeEvent(4))

	late, _ := listen(t, srv.URL+pokePath)
	late.want("retry: 1000", pokeEvent(4))
	other, _ := listen(t, srv.URL+pokePath+"?space=other")
	other.want("retry: 1000", pokeEvent(0))

	s.hub.Close()
	for _, stream := range []sse{stream, late, other} {
		if got := stream.next(); !isBye(got) {
			t.Errorf("at shutdown received %q, want a bye", got)
		}
		stream.want("")
	}
	resp = send(t, newRequest(t, "GET", srv.URL+pokePath, ""))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("after shutdown: %d, want 503 with Retry-After", resp.StatusCode)
	}
}

// TestPokeOfAnotherInstance: a commit that this process does not make.
func TestPokeOfAnotherInstance(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	srv := serve(t, s)
	stream, _ := listen(t, srv.URL+pokePath)
	stream.want("retry: 1000", pokeEvent(0))

	head, err := s.engine.Head(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	next := head
	next.Version, next.Epoch, next.Nonce = 1, "e", "n"
	if _, err := s.store.Commit(t.Context(), "default", commitOf(head, next)); err != nil {
		t.Fatal(err)
	}
	stream.want(pokeEvent(1))
}

func TestPokeLimit(t *testing.T) {
	t.Parallel()
	hub := poke.NewHub(poke.Options{
		Watch: func(ctx context.Context, _ protocol.SpaceID, notify func(int64, poke.Concerns)) error {
			notify(1, nil)
			<-ctx.Done()
			return ctx.Err()
		},
		Head:           func(context.Context, protocol.SpaceID) (int64, poke.Concerns, error) { return 1, nil, nil },
		Logger:         quiet,
		MaxSubscribers: 1,
	})
	t.Cleanup(hub.Close)
	srv := serve(t, newFake(t, failing(nil), func(c *handlers.Config) { c.Hub = hub }))
	stream, first := listen(t, srv.URL+pokePath)
	stream.want("retry: 1000", pokeEvent(1))
	resp := send(t, newRequest(t, "GET", srv.URL+pokePath, ""))
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("second stream: %d, want 429 with Retry-After", resp.StatusCode)
	}
	_ = first.Body.Close()
	srv.Close() // waits for the handler
	if _, err := hub.Subscribe("default", ""); err != nil {
		t.Errorf("Subscribe after the client has left: %v", err)
	}
}

// TestPokeOutlivesTimeouts: the server's timeouts are for requests, and a stream
// lasts longer.
func TestPokeOutlivesTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newFake(t, failing(nil), func(c *handlers.Config) { c.Heartbeat = 6 * time.Second })
		var network memnet.Network
		url := network.Start(t, &http.Server{Handler: h, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second})
		resp := sendBy(t, network.Dial, newRequest(t, "GET", url+pokePath, ""))
		stream := sse{t, bufio.NewReader(resp.Body)}
		stream.want("retry: 1000", pokeEvent(1))
		for range 20 {
			stream.want(":")
		}
		_ = resp.Body.Close()
	})
}

// TestPokeClientLeaves: the subscription goes with the client.
func TestPokeClientLeaves(t *testing.T) {
	t.Parallel()
	var lines logLines
	h := newFake(t, failing(nil), func(c *handlers.Config) { c.Logger = lines.logger("") })
	srv := serve(t, h)
	stream, resp := listen(t, srv.URL+pokePath)
	stream.want("retry: 1000", pokeEvent(1))
	_ = resp.Body.Close()
	srv.Close() // waits for the handler
	record := lines.all(t)[0]
	if record["severity"] != "INFO" || record["error"] != nil || record["cut_off"] != nil {
		t.Errorf("line of a stream whose client left: %v", record)
	}
}

// TestGoroutines: an idle stream costs two goroutines, both of net/http, and they are
// gone when its client is.
func TestGoroutines(t *testing.T) { //nolint:paralleltest // counts the goroutines of the process
	const streams = 300
	s := newService(t, nil)
	srv := serve(t, s)
	stream, _ := listen(t, srv.URL+pokePath) // whatever is made once
	stream.want("retry: 1000", pokeEvent(0))
	before := runtime.NumGoroutine()
	conns := make([]net.Conn, streams)
	for i := range conns {
		conns[i] = dial(t, srv)
		fmt.Fprintf(conns[i], "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pokePath)
		r := bufio.NewReader(conns[i])
		for line := ""; !strings.Contains(line, "event: poke"); {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := runtime.NumGoroutine() - before; n > 2*streams {
		t.Errorf("%d goroutines more for %d streams, want two each at the most", n, streams)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for runtime.NumGoroutine() > before {
		select {
		case <-limit.Done():
			t.Fatalf("%d goroutines are left of %d streams", runtime.NumGoroutine()-before, streams)
		case <-time.After(time.Millisecond): // the server finds out one by one
		}
	}
}

// line is a connection in a synctest bubble: a ResponseWriter whose reader may
// be slow. Flush and deadlines work as those of net/http do.
type line struct {
	mu       sync.Mutex
	header   http.Header
	status   int
	written  strings.Builder
	deadline time.Time
	stuck    chan struct{} // not nil: writes wait until it is closed
}

func (l *line) Header() http.Header {
	if l.header == nil {
		l.header = http.Header{}
	}
	return l.header
}

func (l *line) WriteHeader(status int) { l.status = status }

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	stuck, left := l.stuck, time.Until(l.deadline)
	l.mu.Unlock()
	if stuck != nil {
		timeout := time.NewTimer(left)
		defer timeout.Stop()
		select {
		case <-stuck:
		case <-timeout.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written.Write(p)
}

func (l *line) FlushError() error { return nil }

func (l *line) SetReadDeadline(time.Time) error { return nil }

func (l *line) SetWriteDeadline(d time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = d
	return nil
}

// take returns what was written since the last time.
func (l *line) take() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.written.String()
	l.written.Reset()
	return s
}

func (l *line) block() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck = make(chan struct{})
	return l.stuck
}

// open has the handler serve a stream on a line, and says when it is done and
// how: nil, or what it panicked with.
func open(ctx context.Context, h http.Handler) (l *line, done <-chan any) {
	l = &line{}
	result := make(chan any, 1)
	go func() {
		defer func() { result <- recover() }()
		h.ServeHTTP(l, request("GET", pokePath, "").WithContext(ctx))
	}()
	return l, result
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *handlers.Config) { c.Heartbeat = 20 * time.Second })
		ctx, cancel := context.WithCancel(t.Context())
		l, done := open(ctx, s)
		if got := l.take(); got != "retry: 1000\n\n"+pokeEvent(0)+"\n\n" {
			t.Errorf("at the beginning: %q", got)
		}
		time.Sleep(19 * time.Second)
		if got := l.take(); got != "" {
			t.Errorf("before the heartbeat: %q", got)
		}
		time.Sleep(time.Second)
		if got := l.take(); got != ":\n\n" {
			t.Errorf("after 20 s: %q, want a comment", got)
		}
		time.Sleep(time.Minute)
		if got := l.take(); got != ":\n\n:\n\n:\n\n" {
			t.Errorf("after a minute more: %q, want three comments", got)
		}
		cancel()
		if p := <-done; p != nil {
			t.Errorf("panic %v when the client left", p)
		}
	})
}

// TestCoalescing: a slow reader gets the last version, not all of them.
func TestCoalescing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		l, done := open(ctx, s)
		l.take()
		stuck := l.block()
		for id := 1; id <= 100; id++ {
			do(s, request("POST", pushPath, mutation(id)))
			synctest.Wait()
		}
		close(stuck)
		if got := l.take(); got != pokeEvent(1)+"\n\n"+pokeEvent(100)+"\n\n" {
			t.Errorf("a slow reader got %q, want the first and the last", got)
		}
		cancel()
		<-done
	})
}

// TestSlowReader: who takes nothing for WriteTimeout is dropped, and nobody else
// notices.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		slow, dropped := open(ctx, s)
		quick, done := open(ctx, s)
		slow.take()
		quick.take()
		slow.block()
		began := time.Now()
		do(s, request("POST", pushPath, mutation(1)))
		if got := quick.take(); got != pokeEvent(1)+"\n\n" {
			t.Errorf("the other one got %q", got)
		}
		if p := <-dropped; p != http.ErrAbortHandler { //nolint:errorlint // the very value; a line cannot be hijacked
			t.Errorf("the slow reader's handler ended with %v, want http.ErrAbortHandler", p)
		}
		if d := time.Since(began); d != handlers.WriteTimeout {
			t.Errorf("it was dropped after %v, want %v", d, handlers.WriteTimeout)
		}
		cancel()
		<-done
	})
}

func TestStreamLife(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		life, deadline time.Duration
		least, most    time.Duration
	}{
		"its own":                 {10 * time.Minute, 0, 9 * time.Minute, 10 * time.Minute},
		"by default":              {0, 0, 45 * time.Minute, 50 * time.Minute},
		"the request's":           {10 * time.Minute, 5 * time.Minute, 290 * time.Second, 290 * time.Second},
		"the request's, short":    {10 * time.Minute, 10 * time.Second, 9 * time.Second, 9 * time.Second},
		"the request's, too long": {10 * time.Minute, time.Hour, 9 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, func(c *handlers.Config) { c.StreamLife, c.Heartbeat = tc.life, 24*time.Hour })
				ctx := t.Context()
				if tc.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.deadline)
					defer cancel()
				}
				began := time.Now()
				l, done := open(ctx, s)
				l.take()
				if p := <-done; p != nil {
					t.Errorf("panic %v", p)
				}
				if d := time.Since(began); d < tc.least || d > tc.most {
					t.Errorf("the stream lasted %v, want %v to %v", d, tc.least, tc.most)
				}
				if got := l.take(); !isBye(got) {
					t.Errorf("at the end: %q, want a bye", got)
				}
			})
		})
	}
}

// TestPokeWithoutFlush: something around us does not let us stream.
func TestPokeWithoutFlush(t *testing.T) {
	t.Parallel()
	h := newFake(t, failing(nil), nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(struct{ http.ResponseWriter }{w}, request("GET", pokePath, ""))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status = %d, want 500", w.Code)
	}
	problemOf(t, w)
}
