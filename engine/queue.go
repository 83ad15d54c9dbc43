package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// queue is the group commit of one space: jobs pile up while a commit is in
// flight, and the next commit takes the pile. It is bounded by count and by bytes
// and has no goroutine of its own: add says when a worker is to be started, take
// when it is to end.
type queue struct {
	maxJobs, maxBytes int

	mu      sync.Mutex
	jobs    []*job
	bytes   int
	working bool
	arrived chan struct{} // one slot: a job was added while the worker slept
}

// job is one push, or one change by an operator, on its way to a commit.
type job struct {
	caller Caller
	bytes  int
	// ctx is the request's. A job whose request has ended is dropped if its turn
	// has not come yet, and never stops a commit it is part of.
	ctx      context.Context
	deadline time.Time
	done     chan error // one slot
	// released gives back, once, what the job takes of the room for all spaces' pushes. It
	// takes that until its space is done with it, also when its request has ended before.
	released func()

	// Of a push: the mutations, and how many of them are decided and committed.
	group     protocol.ClientGroupID
	clients   []protocol.ClientID // of the mutations, each once
	names     int                 // about how many bytes it takes to ask for group and clients
	mutations []protocol.Mutation
	skipped   map[protocol.ClientID]bool // clients with mutations before these
	decided   int
	exited    int // 1 + the index of the mutation whose mutator has ended its goroutine
	unguessed int // 1 + the index of the last one that has done so on a guess
	refused   int // 1 + the index of the mutation found to make a commit impossible
	// Of a push that waits because a mutator asked for it (mutate.Retry).
	notBefore time.Time
	retries   int
	asked     error // the last time it did
	// Of a push that may create its space: it has asked for that.
	maker bool
	// newcomers are the clients that were asked for already (Caller.NewClient).
	newcomers map[protocol.ClientID]bool
	// reader is the caller's, until the right to write is found; taken is how many of the
	// mutations, the last of them included, have been counted by its Take.
	reader *Reader
	taken  int

	// Of an operator's change, which has a commit to itself.
	operation *operation
}

// operation is a change that no client makes.
type operation struct {
	write   func(ctx context.Context, tx mutate.WriteTransaction) error
	head    func(next *Head)
	skip    func(Head) bool // nothing is to be done to a space with this head
	onEmpty bool            // do it to a space nobody has written to, which creates it
	result  Head
	nonces  []string // of the commits tried for it
	tried   int64    // the version that the last of them was to follow
	failed  bool     // for good: not to be tried again
	// lost: the last of them seems to have lost a race, which may have been one to itself
	// (ErrConflict); the next read tells.
	lost bool
}

// finish tells the waiting request, once; what is said later is not heard.
func (j *job) finish(err error) {
	j.released()
	select {
	case j.done <- err:
	default:
	}
}

// admitSpace reports why a push may not create its space.
func (j *job) admitSpace() error {
	if j.maker || j.caller.NewSpace == nil {
		return nil
	}
	err := j.caller.NewSpace()
	j.maker = err == nil
	return err
}

// admitClient reports why a push may not make a client known.
func (j *job) admitClient(id protocol.ClientID) error {
	if j.caller.NewClient == nil || j.newcomers[id] {
		return nil
	}
	if err := j.caller.NewClient(); err != nil {
		return err
	}
	if j.newcomers == nil {
		j.newcomers = map[protocol.ClientID]bool{}
	}
	j.newcomers[id] = true
	return nil
}

// over reports why a job must not be tried any more, nil while it may.
func (j *job) over(now time.Time, last error) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if now.Before(j.deadline) {
		return nil
	}
	return cmp.Or(j.asked, last)
}

func newQueue(maxJobs, maxBytes int) *queue {
	return &queue{maxJobs: maxJobs, maxBytes: maxBytes, arrived: make(chan struct{}, 1)}
}

// add puts a job at the end; start tells the caller to start the worker.
func (q *queue) add(j *job) (start bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) >= q.maxJobs || (len(q.jobs) > 0 && q.bytes+j.bytes > q.maxBytes) {
		return false, overloadedError{q.maxJobs, q.maxBytes}
	}
	q.jobs = append(q.jobs, j)
	q.bytes += j.bytes
	start, q.working = !q.working, true
	select {
	case q.arrived <- struct{}{}:
	default:
	}
	return start, nil
}

func (q *queue) empty() bool { return q.size() == 0 }

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs)
}

func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.working
}

// take removes and returns the jobs whose turn has come: an operation alone, or
// all pushes before the next operation, those that wait for their time left
// out. wait is how long until the first of those; with neither jobs nor wait the
// queue is empty and the worker is to end.
func (q *queue) take(now time.Time) (pile []*job, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	pile, wait = q.remove(now, true)
	q.working = len(pile) > 0 || len(q.jobs) > 0
	return pile, wait
}

// takeAlong removes and returns the pushes whose turn has come before the next
// operation, for a worker that has others in hand; nothing where all together would be
// more than a queue may hold, since for these others have come.
func (q *queue) takeAlong(now time.Time, inHand []*job) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	bytes := q.bytes
	for _, j := range inHand {
		bytes += j.bytes
	}
	if len(q.jobs)+len(inHand) > q.maxJobs || bytes > q.maxBytes {
		return nil
	}
	pile, _ := q.remove(now, false)
	return pile
}

// remove is called under mu.
func (q *queue) remove(now time.Time, operations bool) (pile []*job, wait time.Duration) {
	var rest []*job
	for i, j := range q.jobs {
		if j.operation != nil && (len(pile) > 0 || !operations) {
			rest = append(rest, q.jobs[i:]...)
			break
		}
		if d := j.notBefore.Sub(now); d > 0 {
			rest = append(rest, j)
			if wait == 0 || d < wait {
				wait = d
			}
			continue
		}
		pile = append(pile, j)
		q.bytes -= j.bytes
		if j.operation != nil {
			rest = append(rest, q.jobs[i+1:]...)
			break
		}
	}
	q.jobs = rest
	return pile, wait
}

// waiting are the pushes behind the first n of the queue, before the next
// operation. Only the worker takes jobs out, so the first n stay the same until it
// does.
func (q *queue) waiting(n int) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	end := slices.IndexFunc(q.jobs, func(j *job) bool { return j.operation != nil })
	if end < 0 {
		end = len(q.jobs)
	}
	return slices.Clone(q.jobs[min(n, end):end])
}

// putBack returns jobs that are not done to the front, in their order.
func (q *queue) putBack(jobs []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = slices.Concat(jobs, q.jobs)
	for _, j := range jobs {
		q.bytes += j.bytes
	}
}
