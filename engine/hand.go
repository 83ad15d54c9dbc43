package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/replifire/replifire/mutate"
)

// errExited rejects a mutation whose mutator has ended its goroutine.
var errExited error = &mutate.PanicError{Value: "the mutator has ended its goroutine (runtime.Goexit)"}

// errWorkerEnded is for requests whose worker was ended by something else than a mutator.
var errWorkerEnded = errors.New("the space's worker was ended by runtime.Goexit")

// hand is what a space's worker works at, for the one that follows it if a mutator ends its
// goroutine: runtime.Goexit, which the functions of package testing call to end a test, cannot
// be stopped, and without a follower the space would stand still for ever.
type hand struct {
	jobs, rest []*job
	running    step // whose mutator runs
	guessing   bool // on a guess
}

// drop forgets all of it.
func (h *hand) drop() { *h = hand{} }

// ended is what a job fails with whose worker was ended.
func (j *job) ended() error {
	if j.operation != nil && len(j.operation.nonces) > 0 {
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, errWorkerEnded)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, errWorkerEnded)
}

// workOn has another goroutine go on with what the worker had in hand. The mutation that ended
// it is rejected, which is decided by its own turn: what a guess does says nothing of that.
func (s *space) workOn() {
	jobs := slices.Concat(s.jobs, s.rest)
	switch st := s.running; {
	case st.job == nil:
		for _, j := range jobs {
			j.finish(j.ended())
		}
		jobs = nil
	case s.guessing:
		st.job.unguessed = st.pos + 1
	default:
		st.job.exited = st.pos + 1
	}
	s.drop()
	s.known.forget() // a commit may be under way
	s.queue.putBack(jobs)
	s.engine.work.Go(s.work)
}
