package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// TestTriesAreBounded: while commits fail, for as long as a push may take, few of them are in
// memory at once.
func TestTriesAreBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		most int // in memory, the one that is tried and the one before it too
	}{
		"conflict":    {engine.ErrConflict, 6},
		"unknown":     {engine.ErrUnknownOutcome, 6},
		"unavailable": {engine.ErrUnavailable, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &spy{Store: fresh(t)}
				e := start(t, s, engine.Options{})
				var sent []weak.Pointer[engine.Entry]
				most := 0
				s.onCommit = func(c engine.Commit) error {
					sent = append(sent, weak.Make(&c.Entries[0]))
					if len(sent)%10 == 0 {
						most = max(most, alive(sent))
					}
					return test.err
				}
				if err := e.Push(t.Context(), alice, pushOf("g1", mutation("c", 1, "put", put{"a", 1}))); err == nil {
					t.Error("acknowledged")
				}
				if len(sent) < 20 || most > test.most {
					t.Errorf("%d of %d tries in memory at once", most, len(sent))
				}
			})
		})
	}
}

// TestAppliedTryIsSettled: a commit whose outcome was unknown, and that a reading shows to have
// been applied, is settled like any other: its rejections are in the log, once.
func TestAppliedTryIsSettled(t *testing.T) {
	t.Parallel()
	s := &spy{Store: fresh(t)}
	var tried atomic.Bool
	s.onCommit = func(c engine.Commit) error {
		if tried.Swap(true) {
			return nil
		}
		if _, err := s.Store.Commit(t.Context(), space, c); err != nil {
			return err
		}
		return engine.ErrUnknownOutcome
	}
	var log bytes.Buffer
	e := start(t, s, engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustPush(t, e, alice, "g1", mutation("c", 1, "fail", put{"a", 1}), mutation("c", 2, "put", put{"b", 1}))
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "mutation rejected"); n != 1 || s.commits.Load() != 1 {
		t.Errorf("%d commits, log:\n%s", s.commits.Load(), &log)
	}
}

func alive[T any](all []weak.Pointer[T]) int {
	runtime.GC()
	n := 0
	for _, p := range all {
		if p.Value() != nil {
			n++
		}
	}
	return n
}

// TestLostRaceOfManyKeys: what a batch has read in many rounds is not asked for by one
// request that no store takes, when its commit is tried again.
func TestLostRaceOfManyKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const mutations, keys, most = 400, 16, 2 << 20
		pad := strings.Repeat("x", 900)
		r := mutate.NewRegistry()
		mutate.Register(r, "read", func(_ context.Context, tx mutate.WriteTransaction, n int) error {
			for k := range keys {
				if _, err := tx.Has(fmt.Sprintf("%s/%d/%d", pad, n, k)); err != nil {
					return err
				}
			}
			return tx.Set(fmt.Sprint("done/", n), true)
		})
		s := &spy{Store: fresh(t)}
		s.onSnapshot = func(d engine.Documents) error {
			if bytes := len(strings.Join(d.Keys, "")); bytes > most {
				t.Errorf("a request for keys of %d bytes", bytes)
			}
			return nil
		}
		var tried atomic.Bool
		s.onCommit = func(engine.Commit) error {
			if tried.Swap(true) {
				return nil
			}
			return engine.ErrConflict
		}
		e := startWith(t, s, r, engine.Options{})
		var ms []protocol.Mutation
		for n := range mutations {
			ms = append(ms, mutation("c", int64(n+1), "read", n))
		}
		mustPush(t, e, alice, "g1", ms...)
		if read := s.keys.Load(); read < 2*mutations*keys || read > 4*mutations*keys {
			t.Errorf("%d keys were read", read)
		}
	})
}

// TestLostRaceOfLargeValues: what it reads at once then is bounded in bytes.
func TestLostRaceOfLargeValues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, size, most = 40, 500_000, 9 << 20
		large := strings.Repeat("x", size)
		r := mutate.NewRegistry()
		mutate.Register(r, "write", func(_ context.Context, tx mutate.WriteTransaction, key string) error {
			return tx.Set(key, large)
		})
		mutate.Register(r, "count", func(_ context.Context, tx mutate.WriteTransaction, _ int) error {
			for k := range n {
				if _, err := tx.Has(strconv.Itoa(k)); err != nil {
					return err
				}
			}
			return tx.Set("done", true)
		})
		s := &spy{Store: fresh(t)}
		e := startWith(t, s, r, engine.Options{})
		for k := range n {
			mustPush(t, e, alice, "g1", mutation("c", int64(k+1), "write", strconv.Itoa(k)))
		}
		var tried atomic.Bool
		s.onSnapshot = func(d engine.Documents) error {
			if tried.Load() && len(d.Keys)*size > most {
				t.Errorf("a request for %d values", len(d.Keys))
			}
			return nil
		}
		s.onCommit = func(engine.Commit) error {
			if tried.Swap(true) {
				return nil
			}
			return engine.ErrConflict
		}
		mustPush(t, e, alice, "g2", mutation("d", 1, "count", 0))
	})
}
