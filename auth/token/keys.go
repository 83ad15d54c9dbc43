package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/replifire/replifire/auth"
)

const (
	// fetchTimeout bounds one fetch, with everything that it takes.
	fetchTimeout = 5 * time.Second
	// maxStale is how long keys are used after their life, while no new ones are to
	// be had.
	maxStale = 24 * time.Hour
	// forceEvery is how often a key id that is not known may cause a fetch.
	forceEvery = time.Minute
	// retryKeys is the pause after a failure while there are keys, retryNone while
	// there are none and every request fails.
	retryKeys = 30 * time.Second
	retryNone = time.Second
)

var (
	errClosed = errors.New("the authenticator is closed")
	errStale  = errors.New("they are too old")
)

// keys caches an issuer's keys.
type keys struct {
	source func(context.Context) (fetched, error)
	now    func() time.Time
	log    *slog.Logger

	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	flights sync.WaitGroup

	mu sync.Mutex // guards what follows
	// byID are the keys of the last fetch that succeeded, nil before.
	byID map[string][]jose.JSONWebKey
	// From renew on new keys are fetched, before old is over; from old on requests
	// wait for them; from dead on these are not used.
	renew, old, dead time.Time
	// failure is how the last fetch ended, nil for well, and failed is when.
	failure error
	failed  time.Time
	// forced is when a key id that is not known last caused a fetch.
	forced time.Time
	// flight is closed when the fetch that is under way ends; nil when none is.
	flight chan struct{}
}

// newKeys returns a cache that fetches from source. There is one call of source at
// a time.
func newKeys(now func() time.Time, log *slog.Logger, source func(context.Context) (fetched, error)) *keys {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &keys{source: source, now: now, log: log, ctx: ctx, cancel: cancel}
}

func (k *keys) close() {
	k.mu.Lock()
	k.cancel()
	k.mu.Unlock()
	k.flights.Wait()
}

// find returns the keys of an id. It fails with ErrUnauthenticated for an id that
// the issuer does not know, and with ErrUnavailable when that cannot be told.
func (k *keys) find(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	flight := k.prepare(id) //nolint:contextcheck // a fetch is for everybody, not for who was first
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: waiting for keys: %w", auth.ErrUnavailable, ctx.Err())
		}
	}
	return k.have(id)
}

// prepare starts a fetch where one is due. It returns what to wait for before the
// keys of an id are looked up, nil for nothing.
func (k *keys) prepare(id string) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	switch {
	case !now.Before(k.dead):
		if k.flight == nil && now.Before(k.failed.Add(retryNone)) {
			return nil
		}
		return k.start()
	case k.byID[id] == nil:
		if k.flight == nil && now.Before(k.forced.Add(forceEvery)) {
			return nil
		}
		k.forced = now
		return k.start()
	case now.Before(k.renew), now.Before(k.failed.Add(retryKeys)):
		return nil
	case now.Before(k.old), k.failure != nil:
		k.start() // the keys at hand are good enough meanwhile
		return nil
	default:
		return k.start()
	}
}

// have looks an id up in the keys at hand.
func (k *keys) have(id string) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.byID[id]
	switch {
	case !k.now().Before(k.dead):
		return nil, fmt.Errorf("%w: there are no keys: %w", auth.ErrUnavailable, cmp.Or(k.failure, errStale))
	case list != nil:
		return list, nil
	case k.failure != nil:
		// It may be the id of a new key: another token would be no better.
		return nil, fmt.Errorf("%w: a key id is not known: %w", auth.ErrUnavailable, k.failure)
	default:
		return nil, refused("its key is not one of the issuer's")
	}
}

// start starts a fetch, or joins the one under way. mu must be held.
func (k *keys) start() <-chan struct{} {
	if k.flight != nil {
		return k.flight
	}
	done := make(chan struct{})
	if k.ctx.Err() != nil {
		k.failure = errClosed
		close(done)
		return done
	}
	k.flight = done
	k.flights.Go(func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(k.ctx, fetchTimeout)
		defer cancel()
		got, err := k.source(ctx)
		k.land(ctx, got, err)
	})
	return done
}

// land takes what a fetch brought.
func (k *keys) land(ctx context.Context, got fetched, err error) {
	if err != nil {
		k.log.WarnContext(ctx, "keys of the token issuer cannot be had", "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	k.flight = nil
	if err != nil {
		k.failure, k.failed = err, now
		return
	}
	k.failure, k.failed = nil, time.Time{}
	k.byID = got.byID
	k.renew, k.old, k.dead = now.Add(got.life*3/4), now.Add(got.life), now.Add(got.life+maxStale)
}
