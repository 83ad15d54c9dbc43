package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	statusOK = "200"
	// statusNetwork: there was no answer, or no whole one.
	statusNetwork = "network error"
	statusTimeout = "timeout"
	// statusToken: Config.Token failed, so nothing was sent.
	statusToken = "no token"

	// maxAnswer bounds the body of an answer that is read.
	maxAnswer = 1 << 30
	// reachTimeout is for the first answers of all instances, one of which may only
	// be starting.
	reachTimeout = 30 * time.Second
	// dialTimeout bounds the opening of one connection.
	dialTimeout = 10 * time.Second
)

// newTransport keeps a connection open for every request that this run ever has
// under way at a time: three for each client. It counts the bytes on the wire.
func newTransport(m *meter, clients int, c *Config) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := c.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &countedConn{conn, &m.received, &m.sent}, nil
		},
		MaxIdleConns:        3 * clients,
		MaxIdleConnsPerHost: 3 * clients,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  !c.Gzip,
		Proxy:               http.ProxyFromEnvironment,
	}
}

// reach returns an error unless each URL is answered, in whatever way. Without it a
// mistyped address would be hammered for the whole time.
func reach(ctx context.Context, c *Config) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	transport := newTransport(newMeter(window{}, false), len(c.URLs), c)
	defer transport.CloseIdleConnections()
	for _, u := range c.URLs {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return fmt.Errorf("%s cannot be reached: %w", u, err)
		}
		_ = resp.Body.Close()
	}
	return nil
}

// countedConn counts what passes through.
type countedConn struct {
	net.Conn
	received, sent *atomic.Int64
}

// Read counts what was received.
func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}

// Write counts what was sent.
func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// service is one instance as one client sees it.
type service struct {
	run      *run
	base     string
	identity Identity
}

// address of a route.
func (s *service) address(route string) string {
	return strings.TrimRight(s.base, "/") + "/api/replicache/" + route +
		"?space=" + url.QueryEscape(string(s.identity.Space))
}

// post sends a body and returns the answer's. ok is false for any status but 200
// and for what is no answer at all: the real client repeats both in the same way.
func (s *service) post(ctx context.Context, kind string, body []byte) (answer []byte, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, s.run.config.Timeout)
	defer cancel()
	sent := time.Now()
	answer, status := s.exchange(ctx, kind, body)
	if ctx.Err() != nil && status != statusOK {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, false // the run is over: that is nobody's failure
		}
		status = statusTimeout
	}
	s.run.meter.answered(kind, status, sent, time.Now())
	return answer, status == statusOK
}

func (s *service) exchange(ctx context.Context, kind string, body []byte) (answer []byte, status string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address(kind), bytes.NewReader(body))
	if err != nil {
		return nil, statusNetwork
	}
	req.Header.Set("Content-Type", "application/json")
	if err := s.authorize(req); err != nil {
		return nil, statusToken
	}
	resp, err := s.run.transport.RoundTrip(req)
	if err != nil {
		return nil, statusNetwork
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, statusNetwork
	}
	return answer, strconv.Itoa(resp.StatusCode)
}

// authorize sets the header as the real client does: empty without a token.
func (s *service) authorize(req *http.Request) error {
	token, err := s.run.config.Token(req.Context(), s.identity)
	if err != nil {
		return err
	}
	if token != "" {
		token = "Bearer " + token
	}
	req.Header.Set("Authorization", token)
	return nil
}
