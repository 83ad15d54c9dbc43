package gc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/gc"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

var quiet = slog.New(slog.DiscardHandler)

// retention is that of all the collectors.
const retention = time.Hour

// data is a store with an engine, and what a test does to each Collect.
type data struct {
	*engine.Engine

	t      *testing.T
	store  *memory.Store
	before func(context.Context, protocol.SpaceID) error // nil: nothing
}

func newData(t *testing.T) *data {
	t.Helper()
	d := &data{t: t, store: memory.New()}
	d.Engine = engine.New(d.store, mutate.NewRegistry(), engine.Options{Logger: quiet})
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d
}

// fill makes spaces s0, s1 and so on with an entry and two tombstones each.
func (d *data) fill(spaces int) {
	d.t.Helper()
	for n := range spaces {
		d.write(id(n), func(tx mutate.WriteTransaction) error {
			return errors.Join(tx.Set("a", 1), tx.Set("b", 2), tx.Set("c", 3))
		})
		d.write(id(n), func(tx mutate.WriteTransaction) error {
			_, err := tx.Del("b")
			_, err2 := tx.Del("c")
			return errors.Join(err, err2)
		})
	}
}

func (d *data) write(s protocol.SpaceID, fn func(mutate.WriteTransaction) error) {
	d.t.Helper()
	_, err := d.Write(d.t.Context(), s, func(_ context.Context, tx mutate.WriteTransaction) error { return fn(tx) })
	if err != nil {
		d.t.Fatal(err)
	}
}

func id(n int) protocol.SpaceID { return protocol.SpaceID(fmt.Sprintf("s%d", n)) }

// Collect is the engine's, after what the test does.
func (d *data) Collect(
	ctx context.Context, s protocol.SpaceID, before time.Time,
) (engine.Collected, error) {
	if d.before != nil {
		if err := d.before(ctx, s); err != nil {
			return engine.Collected{}, err
		}
	}
	return d.Engine.Collect(ctx, s, before)
}

func (d *data) collector(limit time.Duration) *gc.Collector {
	return gc.New(d, gc.Options{Retention: retention, Limit: limit, Logger: quiet})
}

// clean checks that the spaces hold their entry and no tombstone.
func (d *data) clean(spaces int) {
	d.t.Helper()
	for n := range spaces {
		r, err := fsck.Check(d.t.Context(), d.store, id(n))
		if err != nil || !r.OK() || r.Entries != 1 || r.Tombstones != 0 {
			d.t.Errorf("space %s: %+v, %v", id(n), r, err)
		}
	}
}

// takes makes each Collect last some time, or to the end of its context.
func takes(d time.Duration) func(context.Context, protocol.SpaceID) error {
	return func(ctx context.Context, _ protocol.SpaceID) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", engine.ErrUnavailable, ctx.Err())
		}
	}
}

func want(t *testing.T, c *gc.Collector, want gc.Result) {
	t.Helper()
	got, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Run (-want +got):\n%s", diff)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newData(t)
		c := d.collector(time.Minute)
		want(t, c, gc.Result{})
		d.fill(3)
		time.Sleep(retention)
		want(t, c, gc.Result{Spaces: 3}) // they are as old as that, not older
		time.Sleep(time.Second)
		want(t, c, gc.Result{Spaces: 3, Tombstones: 6, Deleted: 6})
		want(t, c, gc.Result{Spaces: 3})
		d.clean(3)
	})
}

// TestLimit: a run that is stopped says so, and the next ones go on, as the first run
// of another instance does.
func TestLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newData(t)
		d.fill(5)
		time.Sleep(2 * retention)
		d.before = takes(20 * time.Second)
		c := d.collector(50 * time.Second)
		want(t, c, gc.Result{Spaces: 2, Tombstones: 4, Deleted: 4, More: true})
		want(t, d.collector(30*time.Second), gc.Result{Spaces: 1, More: true})
		want(t, c, gc.Result{Spaces: 2, Tombstones: 4, Deleted: 4, More: true})
		want(t, c, gc.Result{Spaces: 1, Tombstones: 2, Deleted: 2})
		d.clean(5)
		want(t, c, gc.Result{Spaces: 2, More: true}) // from the first again
	})
}

// TestDeadline: a request that will be given up ends before.
func TestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newData(t)
		d.fill(3)
		d.before = takes(20 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		began := time.Now()
		got, err := d.collector(time.Hour).Run(ctx)
		if took := time.Since(began); err != nil || !got.More || got.Spaces != 1 || took != 36*time.Second {
			t.Errorf("Run = %+v, %v after %v, want a space and more after 36s", got, err, took)
		}
	})
}

// TestCancelled: who does not wait for the answer stops the work.
func TestCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newData(t)
		d.fill(3)
		d.before = takes(20 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Second, cancel)
		got, err := d.collector(time.Hour).Run(ctx)
		if !errors.Is(err, context.Canceled) || got.Spaces != 1 || !got.More {
			t.Errorf("Run = %+v, %v, want one space and context.Canceled", got, err)
		}
	})
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newData(t)
		d.fill(1)
		d.before = takes(time.Minute)
		c := d.collector(time.Hour)
		first := make(chan error, 1)
		go func() {
			_, err := c.Run(t.Context())
			first <- err
		}()
		synctest.Wait()
		if _, err := c.Run(t.Context()); !errors.Is(err, gc.ErrBusy) {
			t.Errorf("a second run: %v, want ErrBusy", err)
		}
		if err := <-first; err != nil {
			t.Errorf("the first run: %v", err)
		}
		want(t, c, gc.Result{Spaces: 1})
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newData(t)
		d.fill(2)
		d.before = takes(time.Minute)
		c := d.collector(time.Hour)
		time.AfterFunc(90*time.Second, c.Close)
		want(t, c, gc.Result{Spaces: 1, More: true})
		if _, err := c.Run(t.Context()); !errors.Is(err, gc.ErrClosed) {
			t.Errorf("Run after Close: %v, want ErrClosed", err)
		}
	})
}

// TestTrouble: a space that cannot be collected in does not keep the others waiting.
func TestTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newData(t)
		d.fill(4)
		time.Sleep(2 * retention)
		d.before = func(_ context.Context, s protocol.SpaceID) error {
			switch s {
			case "s0":
				return engine.ErrImporting
			case "s1", "s2":
				return fmt.Errorf("space %s: %w", s, engine.ErrCorrupt)
			default:
				return nil
			}
		}
		var log bytes.Buffer
		c := gc.New(d, gc.Options{
			Retention: retention, Limit: time.Minute, Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		})
		got, err := c.Run(t.Context())
		if !errors.Is(err, engine.ErrCorrupt) || (got != gc.Result{Spaces: 4, Tombstones: 2, Deleted: 2}) {
			t.Errorf("Run = %+v, %v", got, err)
		}
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("the log is not one line: %v: %s", err, log.Bytes())
		}
		delete(line, "time")
		if diff := cmp.Diff(map[string]any{
			"level": "WARN", "msg": "gc", "spaces": 4.0, "tombstones": 2.0, "deleted": 2.0, "more": false, "took": 0.0,
			"error": `gc failed in 2 of 4 spaces, first in "s1": space s1: stored data is corrupt`,
		}, line); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		d.before = nil
		want(t, c, gc.Result{Spaces: 4, Tombstones: 6, Deleted: 6})
	})
}

// broken cannot list its spaces to the end.
type broken struct{ *data }

func (b broken) Spaces(ctx context.Context, after protocol.SpaceID) iter.Seq2[protocol.SpaceID, error] {
	return func(yield func(protocol.SpaceID, error) bool) {
		for s, err := range b.Engine.Spaces(ctx, after) {
			if yield(s, err) {
				yield("", engine.ErrUnavailable)
			}
			return
		}
	}
}

func TestListingFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newData(t)
		d.fill(2)
		c := gc.New(broken{d}, gc.Options{Retention: retention, Limit: time.Minute, Logger: quiet})
		for range 2 { // the second run goes on behind the first space
			got, err := c.Run(t.Context())
			if !errors.Is(err, engine.ErrUnavailable) || got.Spaces != 1 {
				t.Errorf("Run = %+v, %v, want one space and ErrUnavailable", got, err)
			}
		}
	})
}
