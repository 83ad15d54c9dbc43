package memnet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/test/bufconn"
)

// connBuffer is how many bytes may be under way in one direction of a connection.
const connBuffer = 64 << 10

// Network connects clients and servers within one test. Reading from it is waiting in
// the sense of testing/synctest: the clock of a test runs ahead while everybody waits,
// which it does not while somebody waits for a socket. So in a time of that clock as much
// is done on a busy machine as on any other. The zero Network is ready for use.
type Network struct {
	// Latency is how long each request is on its way. Nothing else takes time of that
	// clock, so that without it a client which asks again and again would never end.
	Latency time.Duration

	mu        sync.Mutex // guards what follows
	listeners []*bufconn.Listener
}

// Serve serves a handler at an address of the network until the test is over, and
// returns its URL, without a slash at its end.
func (n *Network) Serve(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	return n.Start(t, &http.Server{Handler: h}) // nobody else can reach it
}

// Start is Serve for a server with timeouts of its own.
func (n *Network) Start(t testing.TB, server *http.Server) (url string) {
	t.Helper()
	listener, url := n.Listen()
	if h := server.Handler; n.Latency > 0 {
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(n.Latency)
			h.ServeHTTP(w, r)
		})
	}
	var wg sync.WaitGroup
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state { //nolint:exhaustive // the others are between these
		case http.StateNew:
			wg.Add(1)
		case http.StateClosed, http.StateHijacked:
			wg.Done()
		}
	}
	wg.Go(func() { _ = server.Serve(listener) }) // ends by Close, with an error that says so
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
		wg.Wait() // also for the handlers
	})
	return url
}

// Listen listens at an address of the network, whose URL it returns.
func (n *Network) Listen() (l net.Listener, url string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	listener := bufconn.Listen(connBuffer)
	n.listeners = append(n.listeners, listener)
	return listener, fmt.Sprintf("http://localhost:%d", len(n.listeners)-1)
}

// Dial connects to a server. It is for the DialContext of an [http.Transport].
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	listeners := n.listeners
	n.mu.Unlock()
	if port >= len(listeners) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return listeners[port].DialContext(ctx)
}
