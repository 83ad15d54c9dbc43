package engine

import "errors"

// What Push, Pull and the operators' calls fail with, besides the kinds of
// Store and the *protocol.ErrorResponse that is an answer of its own.
var (
	// ErrForbidden: the client group belongs to another user or space, or a client
	// to another group. Nothing of the request was applied.
	ErrForbidden = errors.New("client group or client belongs to somebody else")
	// ErrMutationGap: a mutation id is more than one above its client's last. What
	// came before it in the push is applied; the client sends the rest again.
	ErrMutationGap = errors.New("mutation id leaves a gap")
	// ErrTemporary: a mutator asked for another try (mutate.Retry) until the push's
	// time was over. What came before it is applied.
	ErrTemporary = errors.New("mutator asks for another try later")
	// ErrOverloaded: the space's queue is full. Nothing was applied.
	ErrOverloaded = errors.New("queue of the space is full")
	// ErrImporting: a backup is being put into the space, or an import was broken off:
	// running it again ends it, and so does a reset. Nothing was applied or shown.
	ErrImporting = errors.New("a backup is being put into the space")
	// ErrClosed: the engine is shutting down. Nothing was applied.
	ErrClosed = errors.New("engine is closed")
)
