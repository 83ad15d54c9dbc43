package poke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/replifire/replifire/protocol"
)

// Defaults of Options.
const (
	// DefaultPollInterval is one read a minute for a space that is silent.
	DefaultPollInterval = time.Minute
	// DefaultPollTimeout bounds one read of a head.
	DefaultPollTimeout = 10 * time.Second
	// DefaultMinBackoff is about the pause before a broken watch is begun again.
	DefaultMinBackoff = 250 * time.Millisecond
	// DefaultMaxBackoff is about the longest such pause.
	DefaultMaxBackoff = 30 * time.Second
	// DefaultLinger is long enough for a client that reconnects.
	DefaultLinger = 10 * time.Second
	// DefaultMaxSubscribers is far above the 1,000 requests that an instance of
	// Cloud Run takes at once.
	DefaultMaxSubscribers = 20_000
)

// What Subscribe fails with.
var (
	// ErrTooManyStreams: a limit of Options is reached. Trying again later, or on
	// another instance, may work.
	ErrTooManyStreams = errors.New("too many listeners")
	// ErrClosed: the hub is closed.
	ErrClosed = errors.New("hub is closed")
)

// tooManyError is ErrTooManyStreams with the limit that was reached.
type tooManyError struct{ limit string }

// Error is for the log.
func (t tooManyError) Error() string { return ErrTooManyStreams.Error() + ": " + t.limit }

// Is says what it is.
func (t tooManyError) Is(target error) bool { return target == ErrTooManyStreams }

// Limit is for the listener.
func (t tooManyError) Limit() string { return t.limit }

// Concerns reports whether the listeners of an audience are to hear of a version, when the
// last one that was heard of is the given one. Nil: all are.
type Concerns = func(audience string, heard int64) bool

// Options of a Hub. Watch and Head MUST be set; every other zero field is its
// default.
type Options struct {
	// Watch calls notify with the version of the space, and with whom that concerns, soon
	// after it is called and after each change, from one goroutine, until ctx ends or the
	// watch breaks.
	Watch func(ctx context.Context, space protocol.SpaceID, notify func(version int64, concerns Concerns)) error
	// Head reads the version of the space, and whom it concerns.
	Head func(ctx context.Context, space protocol.SpaceID) (int64, Concerns, error)

	// PollInterval is how long, about, a watch may be silent before Head is asked.
	PollInterval time.Duration
	// PollTimeout bounds one call of Head.
	PollTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause after a watch broke: it begins
	// at one, doubles up to the other, and is cut by up to a half at random. A watch
	// that lasted MaxBackoff begins at MinBackoff again.
	MinBackoff, MaxBackoff time.Duration
	// Linger is how long a space is watched after its last listener left.
	Linger time.Duration

	// MaxSubscribers bounds the listeners of the hub, MaxPerSpace those of one
	// space; MaxPerSpace is by default as many as the hub may have.
	MaxSubscribers, MaxPerSpace int

	// Jitter is by how much a pause of d is shortened, from 0 to d; nil: at random. A
	// simulation, which must be the same each time, sets it.
	Jitter func(d time.Duration) time.Duration

	// Logger hears of watches that broke; nil: slog.Default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.PollInterval = cmp.Or(o.PollInterval, DefaultPollInterval)
	o.PollTimeout = cmp.Or(o.PollTimeout, DefaultPollTimeout)
	o.MinBackoff = cmp.Or(o.MinBackoff, DefaultMinBackoff)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, DefaultMaxBackoff)
	o.Linger = cmp.Or(o.Linger, DefaultLinger)
	o.MaxSubscribers = cmp.Or(o.MaxSubscribers, DefaultMaxSubscribers)
	o.MaxPerSpace = cmp.Or(o.MaxPerSpace, o.MaxSubscribers)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.Jitter == nil {
		o.Jitter = jitter
	}
	return o
}

// backoff is the pause after the given number of failures in a row, 0 for the
// first.
func (o *Options) backoff(failures int) time.Duration {
	d := o.MaxBackoff
	if failures < 30 { // beyond it the shift could overflow
		d = min(o.MinBackoff<<failures, o.MaxBackoff)
	}
	return d - o.Jitter(d/2)
}

// pollAfter spreads the polls of many spaces by a tenth of their interval.
func (o *Options) pollAfter() time.Duration {
	return o.PollInterval - o.Jitter(o.PollInterval/10)
}

// jitter is a random part of d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d) //nolint:gosec // spreads load, protects nothing
}

// full says which limit is reached, nil if none.
func (o *Options) full(total, ofSpace int) error {
	switch {
	case total >= o.MaxSubscribers:
		return tooManyError{fmt.Sprintf("An instance takes %d listeners.", o.MaxSubscribers)}
	case ofSpace >= o.MaxPerSpace:
		return tooManyError{fmt.Sprintf("A space takes %d listeners on one instance.", o.MaxPerSpace)}
	default:
		return nil
	}
}
