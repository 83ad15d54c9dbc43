package limit

import "context"

// Turns are for what only a few may do at a time while the others wait for them. Make
// them with NewTurns. Safe for concurrent use.
type Turns struct {
	taken chan struct{} // has a place for each who has a turn
}

// NewTurns makes so many turns, 1 at least.
func NewTurns(n int) *Turns { return &Turns{taken: make(chan struct{}, max(n, 1))} }

// Wait waits for a turn, behind those who wait already, or until ctx ends, whose cause is
// the error. Whoever has got a turn gives it back with done, once.
func (t *Turns) Wait(ctx context.Context) (done func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case t.taken <- struct{}{}: // the runtime lets who blocks in a channel first go first
		return func() { <-t.taken }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
