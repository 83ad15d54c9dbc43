package token_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/token"
	"github.com/replifire/replifire/internal/tokentest"
)

// cache is an authenticator in a bubble of its own time, and its key server, which
// it reaches without a network: a bubble's time does not wait for one.
type cache struct {
	*tokentest.Server

	t        *testing.T // the bubble's
	firebase *token.Firebase
	delay    atomic.Int64 // of each answer, a time.Duration
	header   http.Header  // of each answer, where it is not the server's
}

// RoundTrip is http.RoundTripper's.
func (c *cache) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Duration(c.delay.Load())):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	answer := httptest.NewRecorder()
	c.ServeHTTP(answer, req)
	resp := answer.Result()
	if c.header != nil {
		resp.Header = c.header
	}
	return resp, nil
}

// inTime runs a test in a bubble, with a cache whose server is outside: its
// goroutines wait for the network.
func inTime(t *testing.T, test func(*cache)) {
	t.Helper()
	s := tokentest.Start(t)
	synctest.Test(t, func(t *testing.T) { test(newCache(t, s)) })
}

func newCache(t *testing.T, s *tokentest.Server) *cache {
	t.Helper()
	c := &cache{Server: s, t: t}
	f, err := token.NewFirebase(token.FirebaseConfig{
		ProjectID: tokentest.Project,
		KeysURL:   s.URL(),
		Client:    &http.Client{Transport: c},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	c.firebase = f
	return c
}

// token is a token that is valid now.
func (c *cache) token() string { return c.Token("alice", time.Now()) }

func (c *cache) unknown() string {
	return c.Mint(map[string]any{"kid": "unknown"}, tokentest.Claims("alice", time.Now()))
}

// want checks what becomes of a token.
func (c *cache) want(authorization string, want error) {
	c.t.Helper()
	if _, err := c.firebase.Authenticate(c.t.Context(), authorization); !errors.Is(err, want) {
		c.t.Errorf("Authenticate = %v, want %v", err, want)
	}
}

// wantFetches checks how often the keys were asked for, after everything that goes
// on in the background.
func (c *cache) wantFetches(want int) {
	c.t.Helper()
	synctest.Wait()
	if got := c.Fetches(); got != want {
		c.t.Errorf("keys were fetched %d times, want %d", got, want)
	}
}

// wantTook checks how long something took, in the bubble's time.
func (c *cache) wantTook(since time.Time, want time.Duration) {
	c.t.Helper()
	if got := time.Since(since); got != want {
		c.t.Errorf("it took %v, want %v", got, want)
	}
}

func TestNothingIsFetchedBeforeTheFirstToken(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		time.Sleep(time.Hour)
		c.want("", auth.ErrUnauthenticated)
		c.want("garbage", auth.ErrUnauthenticated)
		c.wantFetches(0)
	})
}

func TestOneFetchForManyCallers(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.delay.Store(int64(time.Second))
		good, start := c.token(), time.Now()
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() { c.want(good, nil) })
		}
		callers.Wait()
		c.wantTook(start, time.Second)
		c.wantFetches(1)
	})
}

func TestUnknownKeyCausesOneFetchAMinute(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.SetMaxAge(time.Hour)
		c.want(c.token(), nil)
		for range 10 * 60 {
			c.want(c.unknown(), auth.ErrUnauthenticated)
			time.Sleep(time.Second)
		}
		c.wantFetches(1 + 10)
	})
}

func TestRotationIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		first := c.token()
		c.want(first, nil)
		c.Rotate(true)
		second := c.token()
		c.want(second, nil)
		c.want(first, nil)
		c.wantFetches(2)
		time.Sleep(time.Minute)
		c.Rotate(false)
		c.want(c.token(), nil)
		c.want(first, auth.ErrUnauthenticated)
		c.want(second, auth.ErrUnauthenticated)
		c.wantFetches(3)
	})
}

func TestKeysAreRenewedInTheBackground(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.want(c.token(), nil)
		time.Sleep(44 * time.Minute)
		c.want(c.token(), nil)
		c.wantFetches(1)
		time.Sleep(2 * time.Minute)
		c.delay.Store(int64(time.Second))
		start := time.Now()
		for range 100 {
			c.want(c.token(), nil)
		}
		c.wantTook(start, 0) // nobody waits
		time.Sleep(2 * time.Second)
		c.wantFetches(2)
		time.Sleep(40 * time.Minute) // the first keys would have ended
		c.want(c.token(), nil)
		c.wantFetches(2)
	})
}

func TestKeysThatEndedAreNotUsedWhileNewOnesAreToBeHad(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.want(c.token(), nil)
		time.Sleep(61 * time.Minute)
		withdrawn := c.token()
		c.Rotate(false)
		c.want(withdrawn, auth.ErrUnauthenticated)
	})
}

func TestKeysAreKeptThroughAnOutage(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.want(c.token(), nil)
		c.SetDown(true)
		time.Sleep(time.Hour)
		for range 10 * 60 {
			c.want(c.token(), nil)
			time.Sleep(time.Second)
		}
		c.wantFetches(1 + 20) // every 30 s
		time.Sleep(24*time.Hour - 10*time.Minute - time.Second)
		c.want(c.token(), nil)
		time.Sleep(time.Second)
		c.want(c.token(), auth.ErrUnavailable)
		c.SetDown(false)
		time.Sleep(time.Second)
		c.want(c.token(), nil)
	})
}

func TestKeyServerDownFromTheStart(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.SetDown(true)
		for range 100 {
			c.want(c.token(), auth.ErrUnavailable)
			time.Sleep(100 * time.Millisecond)
		}
		c.wantFetches(10) // once a second
		c.SetDown(false)
		time.Sleep(time.Second)
		c.want(c.token(), nil)
	})
}

func TestKeyServerSlow(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.delay.Store(int64(time.Minute))
		start := time.Now()
		c.want(c.token(), auth.ErrUnavailable)
		c.wantTook(start, 5*time.Second)
	})
}

func TestCallerDoesNotWaitLongerThanItsContext(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.delay.Store(int64(3 * time.Second))
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.firebase.Authenticate(ctx, c.token())
		if !errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			c.t.Errorf("Authenticate = %v, want ErrUnavailable and DeadlineExceeded", err)
		}
		c.wantTook(start, time.Second)
		c.want(c.token(), nil) // by the fetch that went on
		c.wantTook(start, 3*time.Second)
		c.wantFetches(1)
	})
}

func TestKeyServerSlowAfterKeysEnded(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.want(c.token(), nil)
		time.Sleep(2 * time.Hour)
		c.delay.Store(int64(time.Minute))
		start := time.Now()
		c.want(c.token(), nil)
		c.wantTook(start, 5*time.Second)
		for range 100 {
			c.want(c.token(), nil)
			time.Sleep(time.Second)
		}
		c.wantTook(start, 105*time.Second) // nobody waits any more
	})
}

// TestUnknownKeyWhileDown: the key may be a new one, so that a new token would not
// help, and the client must not ask for eight of them.
func TestUnknownKeyWhileDown(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.want(c.token(), nil)
		c.SetDown(true)
		c.Rotate(true)
		rotated := c.token()
		c.want(rotated, auth.ErrUnavailable)
		c.want(rotated, auth.ErrUnavailable)
		c.wantFetches(2)
		c.SetDown(false)
		time.Sleep(time.Minute)
		c.want(rotated, nil)
	})
}

func TestCloseEndsTheFetch(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.delay.Store(int64(4 * time.Second))
		start := time.Now()
		var caller sync.WaitGroup
		caller.Go(func() { c.want(c.token(), auth.ErrUnavailable) })
		synctest.Wait()
		c.firebase.Close()
		caller.Wait()
		c.wantTook(start, 0)
		c.want(c.token(), auth.ErrUnavailable)
		c.wantFetches(0)
	})
}

func TestKeysStayAfterClose(t *testing.T) {
	t.Parallel()
	inTime(t, func(c *cache) {
		c.want(c.token(), nil)
		c.firebase.Close()
		c.want(c.token(), nil)
		time.Sleep(2 * time.Hour)
		c.want(c.token(), nil)
		c.wantFetches(1)
	})
}

// TestLifeOfKeys: keys are renewed when three quarters of their life are over.
func TestLifeOfKeys(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		cacheControl, age string
		want              time.Duration
	}{
		{"", "", 15 * time.Minute},
		{"max-age=3600", "", time.Hour},
		{"public, MAX-AGE=3600, must-revalidate", "", time.Hour},
		{"max-age=3600", "1800", 30 * time.Minute},
		{"max-age=3600", "7200", time.Minute},
		{"max-age=3600", "nonsense", time.Hour},
		{"max-age=0", "", time.Minute},
		{"max-age=-1", "", 15 * time.Minute},
		{"max-age=99999999999999999999", "", 15 * time.Minute},
		{"max-age=31536000", "", 24 * time.Hour},
		{"no-store, max-age=3600", "", time.Minute},
		{"max-age=3600, no-cache", "", time.Minute},
	} {
		t.Run(tc.cacheControl+" age "+tc.age, func(t *testing.T) {
			t.Parallel()
			inTime(t, func(c *cache) {
				c.header = http.Header{"Cache-Control": {tc.cacheControl}, "Age": {tc.age}}
				c.want(c.token(), nil)
				time.Sleep(tc.want*3/4 - time.Second)
				c.want(c.token(), nil)
				c.wantFetches(1)
				time.Sleep(time.Second)
				c.want(c.token(), nil)
				c.wantFetches(2)
			})
		})
	}
}
