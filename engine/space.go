package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/replifire/replifire/protocol"
)

const (
	// freeTries is how many races are lost before a pause is made. Who comes back at once
	// comes in time for the winner's next pause (turns).
	freeTries = 8
	// conflictCeiling bounds that pause: a long one would miss the winner's.
	conflictCeiling = 20 * time.Millisecond
)

// maxKnownClients bounds the clients remembered of a space.
const maxKnownClients = 20_000

// space is the one writer of a space in this process. Its worker runs while its
// queue has jobs, and everything below the queue belongs to the worker.
type space struct {
	engine *Engine
	id     protocol.SpaceID
	queue  *queue

	known known
	told  int64 // the last version that the engine's owner was told of
	turns turns
	crowd
	hand
}

// known is what the worker remembers of the committed state, all of one version:
// that of head. It may be behind the store when another instance has committed;
// then the next commit's precondition finds it out. It never remembers that
// a client or a group does not exist.
type known struct {
	loaded  bool
	head    Head
	clients map[protocol.ClientID]Client
	groups  map[protocol.ClientGroupID]ClientGroup
	bytes   int // about, of clients and groups
	entries memo
}

func newSpace(e *Engine, id protocol.SpaceID) *space {
	s := &space{engine: e, id: id, queue: newQueue(e.opts.MaxQueuePushes, e.opts.MaxQueueBytes)}
	s.known.entries = memo{
		limit: e.opts.MaxKnownBytes, total: &e.knownBytes, max: e.opts.MaxMemoryBytes,
	}
	s.known.forget()
	return s
}

func (k *known) forget() {
	k.count(-k.bytes)
	k.loaded, k.head = false, Head{}
	k.clients = map[protocol.ClientID]Client{}
	k.groups = map[protocol.ClientGroupID]ClientGroup{}
	k.entries.forget()
}

// learn takes over a snapshot's head and what was asked for with it. What was
// known of another version is forgotten.
func (k *known) learn(snap Snapshot, docs Documents) {
	if !k.loaded || k.head.Revision != snap.Head().Revision {
		k.forget()
	}
	k.loaded, k.head = true, snap.Head()
	for _, id := range docs.Groups {
		if g, ok := snap.Group(id); ok {
			k.addGroup(g)
		}
	}
	for _, id := range docs.Clients {
		if c, ok := snap.Client(id); ok {
			k.addClient(c)
		}
	}
}

func (k *known) addClient(c Client) {
	if old, ok := k.clients[c.ID]; ok {
		k.count(-clientBytes(old))
	}
	k.clients[c.ID] = c
	k.count(clientBytes(c))
}

func (k *known) addGroup(g ClientGroup) {
	if _, ok := k.groups[g.ID]; !ok {
		k.count(groupBytes)
	}
	k.groups[g.ID] = g
}

// count counts bytes of clients and groups among those of all spaces.
func (k *known) count(bytes int) {
	k.bytes += bytes
	k.entries.total.Add(int64(bytes))
}

// overfull reports whether clients and groups take more than they may.
func (k *known) overfull() bool {
	return len(k.clients) > maxKnownClients || k.entries.total.Load() > k.entries.max
}

// work is the worker: it ends when the queue is empty.
func (s *space) work() {
	ended := false
	defer func() {
		if !ended {
			s.workOn()
		}
	}()
	s.works()
	ended = true
}

func (s *space) works() {
	for first := true; ; first = false {
		if !first {
			s.yield()
		}
		now := time.Now()
		if s.engine.ctx.Err() != nil {
			now = now.Add(time.Hour) // nobody waits any more: fail them all
		}
		s.drop()
		jobs, wait := s.queue.take(now)
		switch {
		case len(jobs) > 0 && jobs[0].operation != nil:
			s.jobs = jobs
			s.operate(jobs[0])
		case len(jobs) > 0:
			s.push(jobs)
		case wait > 0:
			s.sleep(wait, s.queue.arrived)
		default:
			return
		}
	}
}

// yield lets another instance's commit come between two of ours, if there is more to
// do at all.
func (s *space) yield() {
	s.gather(s.turns.gather())
	if !s.queue.empty() {
		s.sleep(s.turns.pause(time.Now()), nil)
	}
}

// gather waits until as many pushes are there as the last commit had, for d at most.
func (s *space) gather(d time.Duration) {
	if d <= 0 {
		return
	}
	over := time.NewTimer(d)
	defer over.Stop()
	prepared := !s.queue.empty() // while the last commit was under way
	for s.queue.size() < s.turns.pushes {
		select {
		case <-s.queue.arrived:
		case <-over.C:
			return
		case <-s.engine.ctx.Done():
			return
		}
		if !prepared && !s.queue.empty() {
			prepared = true
			s.prepare()
		}
	}
}

// sleep ends early when the engine gives up or something arrives.
func (s *space) sleep(d time.Duration, arrived <-chan struct{}) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-arrived:
	case <-s.engine.ctx.Done():
	}
}

// storeContext bounds one call of the store. It belongs to no request: one
// client's disconnect never cancels another's commit.
func (s *space) storeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.engine.ctx, s.engine.opts.StoreTimeout)
}

// mutatorContext bounds the running of mutators.
func (s *space) mutatorContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.engine.ctx, s.engine.opts.PushTimeout)
}

// push decides and commits as much of the jobs as one commit holds. Jobs with
// more to do go back into the queue.
func (s *space) push(jobs []*job) {
	limit := s.engine.opts.MaxBatchMutations
	open, failed := tries{}, false
	wanted := []string(nil)
	last := ErrUnavailable
	for try := 0; ; try++ {
		if jobs = s.dropOver(jobs, last); len(jobs) == 0 {
			return
		}
		s.jobs = jobs
		b := newPushBatch(s, jobs, limit)
		b.again = failed
		err := b.decide(wanted, &open)
		if b.won != nil { // an earlier try of ours turns out to have been applied
			b, err = b.won, nil
		}
		if err == nil {
			s.settle(b)
			s.queue.putBack(b.others(jobs)) // their turn comes next
			return
		}
		wanted = b.wantedAfter(wanted)
		if b.nonce() != "" {
			failed = true
			open.add(b, err)
		}
		switch {
		case errors.Is(err, ErrImporting):
			for _, j := range jobs {
				j.finish(err)
			}
			return
		case errors.Is(err, ErrCorrupt):
			s.queue.putBack(b.others(jobs))
			s.isolate(b.jobs, err)
			return
		case errors.Is(err, ErrImpossible):
			limit = b.narrow()
		case !errors.Is(err, errStale):
			last = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		s.recover(try, err)
		if errors.Is(err, ErrConflict) { // all is read again, so who has come meanwhile comes along
			jobs = append(jobs, s.queue.takeAlong(time.Now(), jobs)...)
		}
	}
}

// isolate finds the push that touches a corrupt document, which must not fail
// its neighbours.
func (s *space) isolate(jobs []*batchJob, err error) {
	if len(jobs) == 1 {
		jobs[0].finish(err)
		return
	}
	for i, j := range jobs {
		s.rest = nil
		for _, next := range jobs[i+1:] {
			s.rest = append(s.rest, next.job)
		}
		s.push([]*job{j.job})
	}
}

// recover prepares another try after err.
func (s *space) recover(try int, err error) {
	if !errors.Is(err, ErrImpossible) {
		s.known.forget()
	}
	if errors.Is(err, errStale) || errors.Is(err, ErrImpossible) {
		return
	}
	conflict := errors.Is(err, ErrConflict)
	if conflict {
		s.prepare()
	}
	s.engine.opts.Logger.DebugContext(s.engine.ctx, "commit to be tried again",
		"space", s.id, "try", try, "error", err)
	s.sleep(s.backoff(try, conflict), nil)
	if conflict {
		s.turns.lost(time.Now())
	}
}

// prepare has the store prepare the next commit, if it can.
func (s *space) prepare() {
	if p, ok := s.engine.store.(Preparer); ok {
		p.Prepare()
	}
}

// backoff is how long to wait before another try. After the first lost races that is next
// to nothing, since their winners make room (turns); trouble of the store gets more time to
// pass.
func (s *space) backoff(try int, conflict bool) time.Duration {
	switch {
	case !conflict:
		return s.engine.chance.backoff(try, time.Second)
	case try == 0:
		return s.turns.grace()
	case try < freeTries:
		return 0
	default:
		return s.engine.chance.backoff(try, conflictCeiling)
	}
}

// backoff is a few milliseconds with jitter, twice as much with each try up to a ceiling.
func (c *chance) backoff(try int, ceiling time.Duration) time.Duration {
	return c.around(min(2*time.Millisecond<<min(try, 16), ceiling))
}

// dropOver finishes the jobs whose request or time has ended and returns the rest.
func (s *space) dropOver(jobs []*job, last error) []*job {
	closed := s.engine.ctx.Err() != nil
	switch {
	case closed && errors.Is(last, ErrUnknownOutcome):
		last = fmt.Errorf("%w: %w", ErrClosed, last)
	case closed:
		last = ErrClosed
	}
	var rest []*job
	for _, j := range jobs {
		err := j.over(time.Now(), last)
		if closed {
			err = last
		}
		if err != nil {
			j.finish(err)
			continue
		}
		rest = append(rest, j)
	}
	return rest
}

// settle tells everybody of a batch whose commit is durable, or that needed none.
func (s *space) settle(b *pushBatch) {
	if b.head.Version != b.base.head.Version {
		s.committed(&b.batch)
	}
	for _, c := range b.changed() {
		s.known.addClient(c)
	}
	for _, g := range b.newGroups {
		s.known.addGroup(g)
		s.engine.remember(g, s.known.head.Epoch)
	}
	s.memorize(&b.batch)
	b.logRejections()
	s.turns.pushes = len(b.jobs)
	var unfinished []*job
	for _, bj := range b.jobs {
		if !bj.settle(s.engine) {
			unfinished = append(unfinished, bj.job)
		}
	}
	s.queue.putBack(unfinished)
	if s.known.overfull() {
		s.known.forget()
	}
}

// memorize takes over what a batch has read and written.
func (s *space) memorize(b *batch) {
	b.base.values.Scan(func(key string, v value) bool {
		s.known.entries.set(key, v)
		return true
	})
	b.done.writes.Scan(func(key string, v value) bool {
		s.known.entries.set(key, v)
		return true
	})
}

// found tells the engine's owner, and pulls, of a head that was read to decide pushes on: what
// was applied already is acknowledged for it, though it may be of a commit of ours whose
// outcome was never known, or of another instance's.
func (s *space) found(head Head) {
	s.engine.heard(s.id, head)
	s.tell(head)
}

// tell tells the engine's owner of a version that is news.
func (s *space) tell(head Head) {
	if head.Version != s.told {
		s.told = head.Version
		s.engine.opts.OnCommit(s.id, head)
	}
}

// committed takes over the head of a commit of ours and tells the engine's owner.
func (s *space) committed(b *batch) {
	s.known.head = b.head
	s.engine.fed(s.id, b.tried, b.head, b.sent)
	s.tell(b.head)
}
