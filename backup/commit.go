package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

const (
	// maxTries bounds how often in a row a call of the store is tried.
	maxTries = 8
	// firstPause is the pause after the first try; it doubles each time.
	firstPause = 50 * time.Millisecond
	// callTimeout bounds one call of the store.
	callTimeout = 30 * time.Second
)

// writer commits to a space, one commit after the other.
type writer struct {
	store engine.Store
	space protocol.SpaceID
	head  engine.Head // of the last commit
}

// read reads documents and the head, with patience.
func (w *writer) read(ctx context.Context, docs engine.Documents) (engine.Snapshot, error) {
	docs.Head = true
	for try := 1; ; try++ {
		snap, err := w.snapshot(ctx, docs)
		if err == nil || errors.Is(err, engine.ErrCorrupt) || try == maxTries || !pause(ctx, try) {
			return snap, err
		}
	}
}

func (w *writer) snapshot(ctx context.Context, docs engine.Documents) (engine.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return w.store.Snapshot(ctx, w.space, docs)
}

// commit applies c once, however often that has to be tried: its nonce tells whether a
// try whose outcome is unknown was applied after all.
func (w *writer) commit(ctx context.Context, c engine.Commit) error {
	c = c.Named()
	for try := 1; ; try++ {
		head, err := w.try(ctx, c)
		if err == nil {
			w.head = head
			return nil
		}
		if errors.Is(err, engine.ErrImpossible) {
			return err
		}
		snap, readErr := w.read(ctx, engine.Documents{})
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		switch head := snap.Head(); {
		case head.Nonce == c.Next.Nonce:
			w.head = head
			return nil
		case head.Revision != c.Prev.Revision:
			return fmt.Errorf("%w: version %d is not the import's", engine.ErrConflict, head.Version)
		case try == maxTries || !pause(ctx, try):
			return err
		}
	}
}

func (w *writer) try(ctx context.Context, c engine.Commit) (engine.Head, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return w.store.Commit(ctx, w.space, c)
}

// successor is the head after one more commit.
func (w *writer) successor() engine.Head {
	next := w.head
	next.Version++
	next.Nonce, next.Revision, next.Private = rand.Text(), "", ""
	next.UpdatedAt = time.Now().UTC().Truncate(time.Microsecond)
	if !next.UpdatedAt.After(w.head.UpdatedAt) {
		next.UpdatedAt = after(w.head.UpdatedAt)
	}
	if !w.head.Exists() {
		next.CreatedAt = next.UpdatedAt
	}
	return next
}

// after is the first time behind t that stores can tell from it.
func after(t time.Time) time.Time {
	return t.UTC().Truncate(time.Microsecond).Add(time.Microsecond)
}

// pause waits before another try; false if ctx has ended.
func pause(ctx context.Context, try int) bool {
	timer := time.NewTimer(firstPause << (try - 1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
