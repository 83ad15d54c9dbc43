package engine

import (
	"context"
	"time"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// Reset empties the space, in one commit whatever its size: what is stored
// becomes invisible and is deleted afterwards in the background. The clients'
// lastMutationIDs survive, so no mutation runs twice. A space nobody has written
// to stays as it is. An import that is under way, or was broken off, is given up.
func (e *Engine) Reset(ctx context.Context, id protocol.SpaceID) (Head, error) {
	head, err := e.operate(ctx, id, &operation{head: func(next *Head) {
		next.Epoch = e.chance.epoch()
		next.Base, next.Floor = next.Version, next.Version
	}})
	if err != nil || !head.Exists() {
		return head, err
	}
	e.purge(id)
	return head, nil
}

// Restored says that a backup was put back into the space: clients that have
// seen later lastMutationIDs than it holds come back as new ones instead of
// being stuck (design: cookies).
func (e *Engine) Restored(ctx context.Context, id protocol.SpaceID) (Head, error) {
	return e.operate(ctx, id, &operation{head: func(next *Head) {
		next.Epoch = e.chance.epoch()
		next.RestoredAt = next.UpdatedAt
	}})
}

// Write changes a space for an operator or a job of yours: the way for everybody
// who is not a client, since it goes through the same commit. fn follows the
// rules of a mutator; its error is returned and nothing is written.
// ErrUnknownOutcome is possible here: look before you write again.
func (e *Engine) Write(
	ctx context.Context, id protocol.SpaceID, fn func(context.Context, mutate.WriteTransaction) error,
) (Head, error) {
	return e.operate(ctx, id, &operation{write: fn, onEmpty: true})
}

func (e *Engine) operate(ctx context.Context, id protocol.SpaceID, op *operation) (Head, error) {
	j := e.newJob(ctx, Caller{Space: id})
	j.operation = op
	if err := e.do(j); err != nil {
		return Head{}, err
	}
	return op.result, nil
}

// purge deletes what a reset has made invisible. What a purge leaves behind when
// it is cut short costs storage and nothing else.
func (e *Engine) purge(id protocol.SpaceID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.work.Go(func() {
		started := time.Now()
		n, err := e.store.Purge(e.ctx, id)
		if err != nil {
			e.opts.Logger.WarnContext(e.ctx, "purge was cut short", "space", id, "deleted", n, "error", err)
			return
		}
		e.opts.Logger.InfoContext(e.ctx, "space purged", "space", id, "deleted", n, "took", time.Since(started))
	})
}
