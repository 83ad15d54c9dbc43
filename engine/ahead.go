package engine

import (
	"context"
	"sync"
	"time"

	"github.com/replifire/replifire/protocol"
)

// Preparer is a Store that can do a part of a commit before it is known what will
// be committed.
type Preparer interface {
	// Prepare says that a commit is likely to follow soon. It does not block, and a
	// commit that does not follow costs little.
	Prepare()
}

// lookahead reads, while a commit is under way, the keys that the pushes waiting
// behind it will ask for, so that the next commit can follow at once. It runs their
// mutators on a guess, of which nothing counts but the keys they ask for: those are
// read, and are as good as known when the commit succeeds, since then nothing but the
// commit itself has happened to the space in between. If it does not succeed, all is
// forgotten.
type lookahead struct {
	batch    *pushBatch
	base     *base
	top      *layer // the guessed writes, over those of the commit under way
	last     map[protocol.ClientID]int64
	prepared bool
	looked   int    // how many of the waiting jobs are among steps, or done
	planned  int    // mutations
	steps    []step // still ask for something
}

// commitLookingAhead commits c, and returns when both the commit and the looking
// ahead are over: the end of the one is the end of the other, since a mutator that waits
// for something must not delay those whose commit is done.
func (b *pushBatch) commitLookingAhead(c Commit) error {
	ctx, cancel := b.space.mutatorContext()
	defer cancel()
	over := make(chan error, 1)
	var committing sync.WaitGroup
	defer committing.Wait() // also where a mutator ends this goroutine
	committing.Go(func() {
		err := b.commit(c)
		cancel()
		over <- err
	})
	l := &lookahead{
		batch: b, base: b.base.fork(), top: &layer{below: b.done}, last: map[protocol.ClientID]int64{},
	}
	gather := time.NewTimer(time.Hour)
	defer gather.Stop()
	for {
		select { // the end comes first, also where several things have happened
		case err := <-over:
			return l.end(err)
		default:
		}
		select {
		case err := <-over:
			return l.end(err)
		case <-b.space.queue.arrived:
			l.prepare()
			gather.Reset(gatherTime)
		case <-gather.C:
			l.look(ctx)
		}
	}
}

// end leaves what was read to the next batch, if there is nothing wrong with it.
func (l *lookahead) end(err error) error {
	if err == nil {
		l.batch.base = l.base
	}
	return err
}

// gatherTime is how long no push arrives before their keys are read: those who were
// told of the commit before come back together, and are read for together. Nothing
// waits for it, the commit under way takes longer.
const gatherTime = 2 * time.Millisecond

// look takes the jobs that have arrived, and reads what they ask for first. What
// they ask for after that is not worth another round trip beside the commit.
func (l *lookahead) look(ctx context.Context) {
	for _, j := range l.batch.space.queue.waiting(l.looked) {
		l.looked++
		l.plan(j)
	}
	steps := l.steps
	l.steps = nil
	for _, st := range steps {
		l.guess(ctx, st)
	}
	keys, _ := l.base.missing()
	if len(keys) == 0 {
		return
	}
	snap, err := l.batch.space.engine.snapshot(ctx, l.batch.space.id, Documents{Keys: keys})
	if err != nil {
		return // the next batch will say what is wrong
	}
	for _, key := range keys {
		e, ok := snap.Entry(key)
		l.base.addEntry(key, l.base.visible(e, ok))
	}
	for _, st := range l.steps {
		l.guess(ctx, st)
	}
	l.steps = nil
	l.base.missing()
}

// prepare has the store prepare the next commit, once.
func (l *lookahead) prepare() {
	if !l.prepared {
		l.prepared = true
		l.batch.space.prepare()
	}
}

// plan takes the first turn of a job, as the next batch will.
func (l *lookahead) plan(j *job) {
	bj := &batchJob{job: j}
	for i, m := range j.mutations[j.decided:min(len(j.mutations), j.decided+jobChunk)] {
		if l.planned >= l.batch.space.engine.opts.MaxBatchMutations {
			return
		}
		c, _ := l.batch.client(m.ClientID)
		if m.ID != max(c.LastMutationID, l.last[m.ClientID])+1 {
			continue
		}
		l.last[m.ClientID] = m.ID
		l.planned++
		l.steps = append(l.steps, step{job: bj, m: &j.mutations[j.decided+i], pos: j.decided + i})
	}
}

// guess runs one mutation. One that asks for what is not read stays on the list.
func (l *lookahead) guess(ctx context.Context, st step) {
	if st.job.unguessed == st.pos+1 {
		return
	}
	own := &layer{below: l.top}
	tx := l.batch.transaction(st, own)
	tx.base = l.base
	err := l.batch.guessed(ctx, tx, st)
	if tx.interrupted {
		l.steps = append(l.steps, st)
		return
	}
	l.batch.space.engine.expectations.learn(st.m.Name, tx)
	if err == nil {
		l.top.merge(own)
	}
}
