package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/limit"
	"github.com/replifire/replifire/protocol"
)

// pipe is a listener of connections in memory, so that a bubble's clock is theirs.
type pipe struct {
	conns chan net.Conn
	once  sync.Once
	ended chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.once.Do(func() { close(p.ended) }); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{} }

// bubble serves a handler on connections in memory, of one of the two protocols, and returns
// what makes a request with a body, and what ends all of it.
func bubble(h http.Handler, http2 bool) (post func(path string, length int64) *posting, end func()) {
	p := &pipe{conns: make(chan net.Conn), ended: make(chan struct{})}
	srv := &http.Server{Handler: h, ReadTimeout: handlers.BodyGrace, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(!http2)
	srv.Protocols.SetUnencryptedHTTP2(http2)
	go func() { _ = srv.Serve(p) }()
	transport := &http.Transport{
		Protocols: srv.Protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			p.conns <- there
			return here, nil
		},
	}
	post = func(path string, length int64) *posting {
		body, w := io.Pipe()
		p := &posting{PipeWriter: w, answer: make(chan string, 1)}
		r, err := http.NewRequest(http.MethodPost, "http://x"+path, body)
		if err != nil {
			panic(err)
		}
		r.ContentLength = length
		r.Header.Set("Content-Type", "application/json")
		go func() {
			resp, err := transport.RoundTrip(r)
			if err != nil {
				p.answer <- err.Error()
				return
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			p.answer <- fmt.Sprint(resp.StatusCode, " ", string(text))
		}()
		return p
	}
	return post, func() { transport.CloseIdleConnections(); _ = srv.Close() }
}

// posting is a request under way, whose body is written to it.
type posting struct {
	*io.PipeWriter
	answer chan string
}

// send writes pieces of white space, with a pause behind each, until nobody takes them.
func (p *posting) send(pieces, size int, pause time.Duration) {
	for range pieces {
		if _, err := p.Write([]byte(strings.Repeat(" ", size))); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

func protocols(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Helper()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, http2) })
		})
	}
}

// TestRateOfBodies: a body has its time if it goes on arriving, and ends early if it does not.
func TestRateOfBodies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pieces, size int
		pause        time.Duration
		want         string
		after        time.Duration // about, until the answer
	}{
		"nothing at all":           {0, 0, 0, "408", 30 * time.Second},
		"silent after a beginning": {1, 1 << 20, 0, "408", 30 * time.Second},
		"slowly, but a short one":  {25, 100, time.Second, "200", 25 * time.Second},
		"at half the rate":         {1000, 8 << 10, time.Second, "408", 60 * time.Second},
		"at the rate":              {300, 16 << 10, time.Second, "200", 300 * time.Second},
		"with pauses":              {20, 1 << 20, 29 * time.Second, "200", 580 * time.Second},
		"for hours":                {100_000, 32 << 10, time.Second, "408", 50 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			protocols(t, func(t *testing.T, http2 bool) {
				t.Helper()
				s := newService(t, nil)
				defer s.hub.Close()
				post, end := bubble(s, http2)
				defer end()
				began := time.Now()
				p := post(pushPath, -1)
				var sending sync.WaitGroup
				defer sending.Wait()
				sending.Go(func() {
					p.send(tc.pieces, tc.size, tc.pause)
					if tc.want == "200" {
						_, _ = io.WriteString(p, onePush)
						_ = p.Close()
					}
				})
				answer := <-p.answer
				late := time.Since(began) - tc.after
				if !strings.HasPrefix(answer, tc.want) || late < 0 || late > 5*time.Second {
					t.Errorf("%v after %v: %s; want %s", late, tc.after, answer, tc.want)
				}
				_ = p.CloseWithError(errors.New("over"))
			})
		})
	}
}

// TestRateOfBodiesThatMustWait: who may send no faster is not slow.
func TestRateOfBodiesThatMustWait(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, http2 bool) {
		t.Helper()
		s := newService(t, func(c *handlers.Config) {
			signedIn(c)
			c.MaxBodyBytes, c.AddressBytes = 100_000, limit.Rate{PerSecond: 1000, Burst: 100_000}
		})
		defer s.hub.Close()
		post, end := bubble(withToken(s), http2)
		defer end()
		began := time.Now()
		p := post(pushPath, -1)
		go func() {
			p.send(300, 1000, 0)
			_, _ = io.WriteString(p, onePush)
			_ = p.Close()
		}()
		if answer, took := <-p.answer, time.Since(began); !strings.HasPrefix(answer, "200") || took < 190*time.Second {
			t.Errorf("after %v: %s", took, answer)
		}
	})
}

// withToken has everybody be ann.
func withToken(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "token ann")
		h.ServeHTTP(w, r)
	})
}

// TestStopReading: who has not sent all when the service ends is told to come again, at once;
// whose body has arrived is answered.
func TestStopReading(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int64{"announced": int64(len(onePush)), "in chunks": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			protocols(t, func(t *testing.T, http2 bool) {
				t.Helper()
				s := newService(t, nil)
				defer s.hub.Close()
				post, end := bubble(s, http2)
				defer end()
				began := time.Now()
				half, none := post(pushPath, length), post(pullPath, length)
				_, _ = io.WriteString(half, onePush[:100])
				synctest.Wait()
				s.StopReading()
				late := post(pushPath, length)
				for what, p := range map[string]*posting{"half a push": half, "a pull of nothing": none, "a late push": late} {
					if answer := <-p.answer; !strings.HasPrefix(answer, "503") || !strings.Contains(answer, "unavailable") {
						t.Errorf("%s: %s", what, answer)
					}
					_ = p.CloseWithError(errors.New("over"))
				}
				s.StopReading() // again
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v", took)
				}
				if head, err := s.engine.Head(t.Context(), "default"); err != nil || head.Version != 0 {
					t.Errorf("version %d, %v", head.Version, err)
				}
			})
		})
	}
}

// TestStopReadingWhoWaits: nor is anybody waited for who may not send on yet.
func TestStopReadingWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *handlers.Config) {
			c.MaxBodyBytes, c.AddressBytes = 1000, limit.Rate{PerSecond: 100, Burst: 1000}
		})
		defer s.hub.Close()
		post, end := bubble(s, false)
		defer end()
		began := time.Now()
		p := post(pushPath, 100_000)
		go p.send(2, 700, 0)
		synctest.Wait()
		s.StopReading()
		if answer := <-p.answer; !strings.HasPrefix(answer, "503") || time.Since(began) > time.Second {
			t.Errorf("after %v: %s", time.Since(began), answer)
		}
		_ = p.CloseWithError(errors.New("over"))
	})
}

// TestBodyThatHasArrived: no time for a body ends a request that has arrived, however long it
// takes to answer it.
func TestBodyThatHasArrived(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, http2 bool) {
		t.Helper()
		s := newFake(t, &fakeEngine{
			push: func(ctx context.Context, _ engine.Caller, _ *protocol.PushRequest) error {
				time.Sleep(time.Hour)
				return ctx.Err()
			},
		}, nil)
		post, end := bubble(s, http2)
		defer end()
		p := post(pushPath, int64(len(onePush)))
		_, _ = io.WriteString(p, onePush)
		_ = p.Close()
		if answer := <-p.answer; !strings.HasPrefix(answer, "200") {
			t.Errorf("answered %s", answer)
		}
	})
}
