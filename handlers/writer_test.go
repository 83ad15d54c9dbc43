package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/protocol"
)

// slowLine is a connection in a bubble whose client accepts bytes at a rate, after a buffer of
// some.
type slowLine struct {
	line
	perSecond float64 // 0: nothing
	buffer    int
	accepted  int
}

func (l *slowLine) Write(p []byte) (int, error) {
	l.accepted += len(p)
	if l.accepted <= l.buffer || l.perSecond < 0 {
		return len(p), nil
	}
	left, takes := time.Until(l.deadline), time.Hour
	if l.perSecond > 0 {
		takes = time.Duration(float64(len(p)) / l.perSecond * float64(time.Second))
	}
	if takes > left {
		time.Sleep(left)
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(takes)
	return len(p), nil
}

// TestSlowClients: an answer ends if its client accepts nothing for 45 s, or less than 32 KiB
// a second in the long run, and not for what else takes its time.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const kib, mib = 1 << 10, 1 << 20
	for name, tc := range map[string]struct {
		perSecond float64
		buffer    int           // of the connection
		value     int           // bytes of each
		bytes     int           // of the answer
		pause     time.Duration // of the store before each value
		ends      time.Duration // at the latest, if it ends; a second earlier at the earliest
	}{
		"accepts nothing":              {0, 0, 1 * kib, 1 * mib, 0, 45 * time.Second},
		"accepts nothing any more":     {0, 4 * mib, 1 * kib, 8 * mib, 0, 45 * time.Second},
		"a piece in 15 s, a few":       {1 * kib, 0, 1 * kib, 40 * kib, 0, 0},
		"a large value in 50 s":        {20 * kib, 0, 1000 * kib, 1100 * kib, 0, 0},
		"a piece in 30 s":              {0.5 * kib, 0, 1 * kib, 1 * mib, 0, 62 * time.Second},
		"31 KiB a second":              {31 * kib, 0, 4 * kib, 256 * mib, 0, 1921 * time.Second},
		"32 KiB a second and a bit":    {33 * kib, 0, 4 * kib, 64 * mib, 0, 0},
		"16 KiB a second, buffered":    {16 * kib, 1 * mib, 4 * kib, 8 * mib, 0, 184 * time.Second},
		"fast, and the store is slow":  {-1, 0, 40 * kib, 1 * mib, time.Minute, 0},
		"slow, and so is the store":    {33 * kib, 0, 40 * kib, 1 * mib, 40 * time.Second, 0},
		"fast, and the store too slow": {-1, 0, 40 * kib, 8 * mib, time.Minute, 50 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				value, err := json.Marshal(strings.Repeat("x", tc.value))
				if err != nil {
					t.Fatal(err)
				}
				h := newFake(t, pausingEngine(value, tc.bytes/tc.value, tc.pause), nil)
				l := &slowLine{perSecond: tc.perSecond, buffer: tc.buffer}
				began := time.Now()
				ended := pullOn(h, l)
				took := time.Since(began)
				if tc.ends == 0 && ended != nil {
					t.Errorf("it was cut off after %v (%v), want it whole", took, ended)
				}
				cut := ended == http.ErrAbortHandler //nolint:errorlint // the very value
				if tc.ends > 0 && (!cut || took > tc.ends || took < tc.ends-time.Second) {
					t.Errorf("it ended after %v (%v), want it cut off after %v", took, ended, tc.ends)
				}
			})
		})
	}
}

// pausingEngine answers pulls with n values, and pauses before each, until its context ends.
func pausingEngine(value json.RawMessage, n int, pause time.Duration) *fakeEngine {
	return &fakeEngine{pull: func(
		ctx context.Context, _ engine.Caller, _ *protocol.PullRequest,
	) (*protocol.PullResponse, error) {
		return &protocol.PullResponse{
			Version: 1, Cookie: json.RawMessage(`{"order":1}`),
			Patch: func(yield func(protocol.PatchOperation, error) bool) {
				for i := range n {
					select {
					case <-time.After(pause):
					case <-ctx.Done():
						yield(protocol.PatchOperation{}, fmt.Errorf("read: %w: %w", engine.ErrUnavailable, ctx.Err()))
						return
					}
					op := protocol.PatchOperation{Op: protocol.OpPut, Key: strconv.Itoa(i), Value: value}
					if !yield(op, nil) {
						return
					}
				}
			},
		}, nil
	}}
}

// pullOn has a pull answered on a line, and returns what the handler panicked with.
func pullOn(h http.Handler, l http.ResponseWriter) (panicked any) {
	defer func() { panicked = recover() }()
	h.ServeHTTP(l, request("POST", pullPath, firstPull))
	return nil
}

// TestSlowClientsAreNoErrors: the log takes an answer that its client did not take in time for
// what it is.
func TestSlowClientsAreNoErrors(t *testing.T) {
	t.Parallel()
	for name, perSecond := range map[string]float64{"accepts nothing": 0, "takes 50 minutes": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var lines logLines
				e := pausingEngine([]byte(`"`+strings.Repeat("x", 40_000)+`"`), 1000, time.Minute)
				h := newFake(t, e, func(c *handlers.Config) { c.Logger = lines.logger("p") })
				pullOn(h, &slowLine{perSecond: perSecond})
				last := lines.all(t)
				if len(last) != 1 || last[0]["cut_off"] != true || last[0]["severity"] != "INFO" {
					t.Errorf("log = %v, want one line of an answer that was cut off, and no error", last)
				}
			})
		})
	}
}
