package engine

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// Bounds of one batch.
const (
	// jobChunk is how many mutations of a push come before the next push's turn,
	// so that an offline backlog does not make everybody else wait.
	jobChunk = 32
	// jobShare is how many mutations of a push one commit takes while others push too:
	// a commit of a whole backlog would take ten times as long as theirs. With twice as many
	// they waited about twice as long, and the backlog was not done sooner.
	jobShare = 64
	// maxRounds bounds the rounds of reading that one mutation may cause.
	maxRounds = 1000
	// maxReads bounds the entries that a batch reads, as Options.MaxReadBytes their bytes.
	// What is read at once comes on top.
	maxReads = 200_000
	// maxRanges bounds what is read at once: pages of scans that nobody may need in the end.
	maxRanges = 32
	// maxNames bounds, in bytes, the names of the groups and clients that a batch asks for,
	// with nameBytes for what stands around each: the emulator takes 4 MiB in a request, and
	// of an id each byte may have to be escaped.
	maxNames, nameBytes = 512 << 10, 200
	// maxRejectionName bounds, in bytes, the mutator name stored with a rejection.
	maxRejectionName = 100
)

// pushBatch is the batch of a pile of pushes.
type pushBatch struct {
	batch
	jobs  []*batchJob
	steps []step
	at    int  // the steps before it are decided
	alone bool // there is one step only, since together they read too much
	again bool // an earlier try has failed: nothing is expected, all is read
	// readers: the mutations are those of callers who may not write. They never share a
	// batch with writers' mutations, which are not to wait for their rights.
	readers bool

	clients   map[protocol.ClientID]*Client // as this batch leaves them
	dirty     map[protocol.ClientID]bool
	groups    map[protocol.ClientGroupID]ClientGroup
	newGroups []ClientGroup
	bytes     int // of clients and groups to be written

	rejected []rejected
	won      *pushBatch // set when an earlier try turns out to have been applied
}

// batchJob is a push's part in a batch.
type batchJob struct {
	*job
	planned int   // how many of its mutations are steps
	end     int   // how many of its mutations are decided after this batch
	stop    error // why it goes no further
	lost    *step // what it stops at, where the space has lost what was before it
}

// rejected is a mutation refused for good, to be logged once that is durable.
type rejected struct {
	client protocol.ClientID
	Rejection
	cause error
}

func newPushBatch(s *space, jobs []*job, limit int) *pushBatch {
	b := &pushBatch{
		batch:   batch{space: s},
		clients: map[protocol.ClientID]*Client{},
		dirty:   map[protocol.ClientID]bool{},
		groups:  map[protocol.ClientGroupID]ClientGroup{},
	}
	b.readers = jobs[0].reader != nil
	names := 0
	for _, j := range jobs {
		if (j.reader != nil) != b.readers {
			continue
		}
		if names += j.names; len(b.jobs) == limit || names > maxNames && len(b.jobs) > 0 {
			break
		}
		b.jobs = append(b.jobs, &batchJob{job: j, end: j.decided})
	}
	share := limit
	if s.company(jobs, time.Now()) {
		share = jobShare
	}
	b.plan(limit, share)
	b.jobs = slices.DeleteFunc(b.jobs, func(j *batchJob) bool { return j.planned == 0 && len(j.mutations) > 0 })
	return b
}

// plan gives the pushes turns of jobChunk mutations until limit is reached, and each
// has its share.
func (b *pushBatch) plan(limit, share int) {
	for more := true; more && len(b.steps) < limit; {
		more = false
		for _, j := range b.jobs {
			rest := j.mutations[j.decided+j.planned:]
			n := min(len(rest), jobChunk, limit-len(b.steps), share-j.planned)
			for k := range n {
				b.steps = append(b.steps, step{job: j, m: &rest[k], pos: j.decided + j.planned + k})
			}
			j.planned += n
			more = more || (len(rest) > n && j.planned < share)
		}
	}
}

// decide reads, checks, runs and commits. On nil the batch can be settled. Other
// errors leave nothing acknowledged; with b.won set, an earlier try was applied.
func (b *pushBatch) decide(wanted []string, open *tries) error {
	if err := b.prepare(wanted, open); err != nil {
		return err
	}
	if b.base.head.Importing != "" && b.fresh {
		return ErrImporting
	}
	if b.base.head.Importing != "" {
		return errStale
	}
	b.admit()
	if b.readers {
		b.judge()
	}
	if err := b.run(); err != nil {
		return err
	}
	return b.commitAll()
}

// prepare makes sure that groups and clients of all jobs are known, of one
// version. When everything is, it reads nothing.
func (b *pushBatch) prepare(wanted []string, open *tries) error {
	docs := b.unknown()
	loaded, before := b.space.known.loaded, b.space.known.head.Revision
	if loaded && len(docs.Groups)+len(docs.Clients) == 0 && !b.readers {
		b.open()
		return nil
	}
	docs.Keys = wanted
	snap, err := b.load(docs)
	if err != nil {
		return err
	}
	if b.won = open.compare(snap.Head()); b.won != nil {
		return ErrConflict
	}
	if loaded && before != snap.Head().Revision {
		b.space.known.forget() // what else is needed was known of an older version
		return b.prepare(wanted, open)
	}
	b.open()
	for _, key := range wanted {
		b.base.used[key] = true
	}
	b.addKeys(snap, wanted)
	return nil
}

// unknown names the groups and clients that memory does not hold.
func (b *pushBatch) unknown() Documents {
	var docs Documents
	groups, clients := map[protocol.ClientGroupID]bool{}, map[protocol.ClientID]bool{}
	for _, j := range b.jobs {
		if _, ok := b.space.known.groups[j.group]; !ok {
			groups[j.group] = true
		}
		for _, id := range j.clients {
			if _, ok := b.space.known.clients[id]; !ok {
				clients[id] = true
			}
		}
	}
	docs.Groups = slices.Sorted(maps.Keys(groups))
	docs.Clients = slices.Sorted(maps.Keys(clients))
	return docs
}

// admit stops the pushes whose group is another user's or space's, or that speak
// for another group's client: nothing of such a push is applied. Nor is anything of
// a group from before the space was deleted, whose clients start afresh.
func (b *pushBatch) admit() {
	for _, j := range b.jobs {
		g, ok := b.group(j.group)
		if ok {
			j.stop = b.base.head.admits(j.caller, g)
		}
		if j.stop == nil && !b.admitsClients(j) {
			j.stop = ErrForbidden
		}
	}
	if !b.base.head.Exists() {
		b.admitSpace()
	}
}

// admitSpace stops the pushes that may not create the space, up to the first one that
// may: it creates it for all that come with it and after it.
func (b *pushBatch) admitSpace() {
	for _, j := range b.jobs {
		if j.stop != nil || len(j.mutations) == 0 || j.mutations[j.decided].ID != 1 {
			continue // it creates nothing: no client is known here
		}
		if j.stop = j.admitSpace(); j.stop == nil {
			return
		}
	}
}

func (b *pushBatch) admitsClients(j *batchJob) bool {
	for _, id := range j.clients {
		if c, ok := b.client(id); ok && c.GroupID != j.group {
			return false
		}
	}
	return true
}

func (b *pushBatch) group(id protocol.ClientGroupID) (ClientGroup, bool) {
	if g, ok := b.groups[id]; ok {
		return g, true
	}
	g, ok := b.space.known.groups[id]
	return g, ok
}

func (b *pushBatch) client(id protocol.ClientID) (Client, bool) {
	if c, ok := b.clients[id]; ok {
		return *c, true
	}
	c, ok := b.space.known.clients[id]
	return c, ok
}

// commitAll commits what the steps left. What was only decided from memory, and
// is not confirmed by a commit, is decided again on a fresh read.
func (b *pushBatch) commitAll() error {
	if !b.fresh && (len(b.dirty) == 0 || b.refuses()) {
		return errStale
	}
	if len(b.dirty) == 0 {
		return nil
	}
	next := b.successor()
	if b.readers {
		next.Private = b.audiences()
	}
	return b.commitLookingAhead(Commit{
		Prev:    b.base.head,
		Next:    next,
		Entries: b.entries(next.Version),
		Clients: b.changed(),
		Groups:  b.newGroups,
		Absent:  slices.Sorted(maps.Keys(b.base.expected)),
	})
}

// others are those of the jobs that are not part of the batch.
func (b *pushBatch) others(jobs []*job) []*job {
	own := map[*job]bool{}
	for _, j := range b.jobs {
		own[j.job] = true
	}
	return slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return own[j] })
}

// refuses reports whether a job was stopped for what only a fresh read may say.
func (b *pushBatch) refuses() bool {
	return slices.ContainsFunc(b.jobs, func(j *batchJob) bool {
		return j.stop != nil && !errors.Is(j.stop, ErrTemporary)
	})
}

// changed are the clients to write, in the order of their ids.
func (b *pushBatch) changed() []Client {
	clients := make([]Client, 0, len(b.dirty))
	for _, id := range slices.Sorted(maps.Keys(b.dirty)) {
		clients = append(clients, *b.clients[id])
	}
	return clients
}

// narrow finds the mutation that makes a commit impossible: half the batch, then
// half of that, and the last one left is rejected.
func (b *pushBatch) narrow() int {
	if len(b.steps) > 1 {
		return (len(b.steps) + 1) / 2
	}
	for _, st := range b.steps {
		st.job.refused = st.pos + 1
	}
	return 1
}

// maxLoggedRejections bounds the lines of a batch: whoever pushes decides how many of his
// mutations are to be refused.
const maxLoggedRejections = MaxRejections

// logRejections tells the operator, once it is durable, of the first ones and of how many
// there were.
func (b *pushBatch) logRejections() {
	ctx, log := b.space.engine.ctx, b.space.engine.opts.Logger
	logged := b.rejected[:min(len(b.rejected), maxLoggedRejections)]
	stacks := map[string]bool{} // by mutator: one is enough
	for _, r := range logged {
		attrs := []any{
			"space", b.space.id, "client_id", r.client, "mutation_id", r.MutationID,
			"mutator", r.Name, "reason", r.Reason,
		}
		if p, ok := errors.AsType[*mutate.PanicError](r.cause); ok && !stacks[r.Name] {
			stacks[r.Name] = true
			attrs = append(attrs, "stack", string(p.Stack))
		}
		log.WarnContext(ctx, "mutation rejected", attrs...)
	}
	if more := len(b.rejected) - len(logged); more > 0 {
		log.WarnContext(ctx, "more mutations rejected", "space", b.space.id, "count", more)
	}
}

// settle finishes a push, or reports false when it goes back into the queue.
func (j *batchJob) settle(e *Engine) bool {
	j.decided = j.end
	switch {
	case errors.Is(j.stop, ErrTemporary):
		j.retries++
		pause := e.chance.backoff(j.retries+3, time.Second)
		if time.Now().Add(pause).Before(j.deadline) && e.ctx.Err() == nil {
			j.notBefore, j.asked = time.Now().Add(pause), j.stop
			return false
		}
		j.finish(j.stop)
	case j.stop != nil:
		j.logLost(e)
		j.finish(j.stop)
	case j.decided == len(j.mutations):
		j.finish(nil)
	default:
		return false
	}
	return true
}

// logLost tells the operator that the space has gone back behind what a client knows, and that
// what the client has not pushed yet is given up.
func (j *batchJob) logLost(e *Engine) {
	if j.lost != nil {
		e.opts.Logger.WarnContext(e.ctx, "space has lost mutations of a client, which starts afresh",
			"space", j.caller.Space, "client_id", j.lost.m.ClientID, "mutation_id", j.lost.m.ID)
	}
}
