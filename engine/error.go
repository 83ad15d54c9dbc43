package engine

import (
	"errors"
	"fmt"
)

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
	// ErrOverloaded: the space's queue is full, or all queues together are. Nothing was
	// applied.
	ErrOverloaded = errors.New("queue of the space is full")
	// ErrImporting: a backup is being put into the space, or an import was broken off:
	// running it again ends it, and so does a reset. Nothing was applied or shown.
	ErrImporting = errors.New("a backup is being put into the space")
	// ErrClosed: the engine is shutting down. Nothing was applied, unless the error is
	// ErrUnknownOutcome too.
	ErrClosed = errors.New("engine is closed")
)

// fullError is ErrOverloaded with the limit of what waits for all spaces.
type fullError struct{ bytes int64 }

// Error is for the log.
func (f fullError) Error() string { return "queues of all spaces together are full" }

// Is says what it is.
func (f fullError) Is(target error) bool { return target == ErrOverloaded }

// Limit is for the caller.
func (f fullError) Limit() string {
	return fmt.Sprintf("At most %d bytes of pushes wait for all spaces together.", f.bytes)
}

// overloadedError is ErrOverloaded with the limits of the queue that was full.
type overloadedError struct{ pushes, bytes int }

// Error is for the log.
func (o overloadedError) Error() string { return ErrOverloaded.Error() }

// Is says what it is.
func (o overloadedError) Is(target error) bool { return target == ErrOverloaded }

// Limit is for the caller.
func (o overloadedError) Limit() string {
	return fmt.Sprintf("At most %d pushes of %d bytes together wait for one space.", o.pushes, o.bytes)
}
