package gc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// What Run refuses with.
var (
	// ErrBusy: another Run of this Collector has not ended.
	ErrBusy = errors.New("a collection is under way")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the collector is closed")
)

// errStopped is why a run ends that nobody is at fault for.
var errStopped = errors.New("stopped: the rest is for the next run")

// Engine is what is needed of *engine.Engine.
type Engine interface {
	Spaces(ctx context.Context, after protocol.SpaceID) iter.Seq2[protocol.SpaceID, error]
	Collect(ctx context.Context, id protocol.SpaceID, before time.Time) (engine.Collected, error)
}

// Options of a Collector. Retention and Limit MUST be set.
type Options struct {
	// Retention is how long a deletion is remembered; not negative.
	Retention time.Duration
	// Limit is how long a run may last; more than 0. A run in a context with a
	// deadline ends when nine tenths of what is left are over, if that is earlier.
	Limit time.Duration
	// Logger has one line for each run; nil: slog.Default.
	Logger *slog.Logger
}

// Result is what a run has done, also when it failed.
type Result struct {
	// Spaces is how many were looked at to their end.
	Spaces int `json:"spaces"`
	// Tombstones is how many deletions were forgotten.
	Tombstones int `json:"tombstones"`
	// Deleted is how many documents were removed from storage.
	Deleted int `json:"deleted"`
	// More: the run was stopped before it came to the last space.
	More bool `json:"more"`
}

// Collector collects in all spaces, one run at a time. A run that was stopped is
// continued by the next one of the same Collector; another Collector, in any
// process, begins with the first space, where two or three reads find out that
// nothing is left to do. Make it with New. Its methods are safe for concurrent use.
type Collector struct {
	engine  Engine
	options Options

	mu     sync.Mutex
	closed bool
	stop   context.CancelCauseFunc // of the run under way; nil when there is none
	// after is the space behind which the next run begins, "" for the first. It is
	// the run's while there is one.
	after protocol.SpaceID
}

// New makes a Collector. It starts nothing.
func New(e Engine, o Options) *Collector {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return &Collector{engine: e, options: o}
}

// Close stops the run under way, which still returns what it has done, and has
// later ones fail with ErrClosed. It does not wait.
func (c *Collector) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.stop != nil {
		c.stop(errStopped)
	}
}

// Run collects in the spaces, up to the last one, the limit, or Close. Trouble with a
// space does not keep it from the others, and is its error in the end; a space into
// which a backup is being put is left for later. It fails with ErrBusy, ErrClosed,
// what Engine fails with, or why ctx has ended. However it ends, a later run does what
// is left.
func (c *Collector) Run(ctx context.Context) (Result, error) {
	ctx, end, err := c.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer end()
	began := time.Now()
	done, err := c.run(ctx, began.Add(-c.options.Retention))
	level, attrs := slog.LevelInfo, []slog.Attr{
		slog.Int("spaces", done.Spaces), slog.Int("tombstones", done.Tombstones),
		slog.Int("deleted", done.Deleted), slog.Bool("more", done.More),
		slog.Duration("took", time.Since(began)),
	}
	if err != nil {
		level, attrs = slog.LevelWarn, append(attrs, slog.Any("error", err))
	}
	c.options.Logger.LogAttrs(ctx, level, "gc", attrs...)
	return done, err
}

// begin makes the context of a run, unless there is one already.
func (c *Collector) begin(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClosed
	}
	if c.stop != nil {
		return nil, nil, ErrBusy
	}
	limit := c.options.Limit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*9/10)
	}
	ctx, c.stop = context.WithCancelCause(ctx)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errStopped)
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stop(nil)
		c.stop = nil
	}, nil
}

// run goes through the spaces.
func (c *Collector) run(ctx context.Context, before time.Time) (Result, error) {
	var done Result
	var trouble failures
	for id, err := range c.engine.Spaces(ctx, c.after) {
		var got engine.Collected
		if err == nil {
			got, err = c.engine.Collect(ctx, id, before)
			done.Tombstones += got.Tombstones
			done.Deleted += got.Deleted
		}
		if ctx.Err() != nil && err != nil {
			break // it is not done with this space
		}
		if id == "" {
			return done, fmt.Errorf("listing the spaces was cut short after %d: %w", done.Spaces, err)
		}
		trouble.note(id, err)
		done.Spaces++
		c.after = id
		if ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() == nil {
		c.after = ""
		return done, trouble.err(done.Spaces)
	}
	done.More = true
	if cause := context.Cause(ctx); !errors.Is(cause, errStopped) {
		return done, fmt.Errorf("gc was cut short after %d spaces: %w", done.Spaces, cause)
	}
	return done, trouble.err(done.Spaces)
}

// failures are the spaces in which a run failed.
type failures struct {
	count int
	space protocol.SpaceID // the first of them
	first error
}

func (f *failures) note(id protocol.SpaceID, err error) {
	if err == nil || errors.Is(err, engine.ErrImporting) {
		return
	}
	if f.count++; f.count == 1 {
		f.space, f.first = id, err
	}
}

// err is what a run of so many spaces ends with.
func (f *failures) err(spaces int) error {
	if f.count == 0 {
		return nil
	}
	return fmt.Errorf("gc failed in %d of %d spaces, first in %q: %w", f.count, spaces, f.space, f.first)
}
