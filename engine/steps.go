package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// step is one mutation in its turn.
type step struct {
	job *batchJob
	m   *protocol.Mutation
	pos int
}

// run decides the steps in rounds: a mutation that asks for what is not read yet
// is interrupted, the ones behind it run on a guess so that they ask too, and one
// read answers all. What was decided before the interruption stays decided.
func (b *pushBatch) run() error {
	ctx, cancel := b.space.mutatorContext()
	defer cancel()
	rounds, at := 0, 0
	for {
		if b.at != at {
			rounds, at = 0, b.at
		}
		rounds++
		b.round(ctx, rounds)
		if ctx.Err() != nil { // what mutators make of that must not count
			return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
		keys, ranges := b.base.missing()
		if len(keys)+len(ranges) == 0 {
			return nil
		}
		if err := b.read(keys, ranges); err != nil {
			return err
		}
	}
}

func (b *pushBatch) round(ctx context.Context, rounds int) {
	for ; b.at < len(b.steps); b.at++ {
		st := b.steps[b.at]
		if st.job.stop != nil {
			continue
		}
		outcome := b.step(ctx, st, rounds)
		if outcome == stepInterrupted {
			b.guess(ctx)
			return
		}
		if outcome == stepFull {
			b.steps = b.steps[:b.at]
			return
		}
	}
	b.base.missing() // a mutator may have asked for nothing it needed in the end
}

// stepOutcome says how a step ended.
type stepOutcome int

const (
	stepDecided     stepOutcome = iota // or its job stopped
	stepInterrupted                    // something has to be read first
	stepFull                           // the commit has no room for it
)

// step applies the mutation rules (protocol.md §3) to one mutation.
func (b *pushBatch) step(ctx context.Context, st step, rounds int) stepOutcome {
	c, known := b.client(st.m.ClientID)
	switch {
	case st.m.ID <= c.LastMutationID:
		st.job.end = st.pos + 1
		return stepDecided
	case st.m.ID > c.LastMutationID+1:
		st.job.stop = b.gap(st, known)
		return stepDecided
	}
	if st.job.stop = b.admitStep(st, known); st.job.stop != nil {
		return stepDecided
	}
	top := &layer{below: b.done}
	tx := b.transaction(st, top)
	err := b.mutate(ctx, tx, st)
	if tx.interrupted {
		if outcome := b.interrupted(rounds); outcome != stepDecided {
			return outcome
		}
		err = errors.New("mutation reads too much")
	}
	if mutate.IsRetry(err) {
		st.job.stop = fmt.Errorf("%w: %w", ErrTemporary, err)
		return stepDecided
	}
	if err == nil && top.bytes > b.space.engine.opts.MaxBatchBytes {
		err = fmt.Errorf("mutation writes more than %d bytes", b.space.engine.opts.MaxBatchBytes)
	}
	if err == nil && b.size()+top.bytes > b.space.engine.opts.MaxBatchBytes {
		return stepFull
	}
	if err == nil {
		b.done.merge(top)
		b.base.expect(tx.expected)
	}
	b.space.engine.expectations.learn(st.m.Name, tx)
	b.acknowledge(st, err)
	return stepDecided
}

// admitStep reports why a mutation's push goes no further.
func (b *pushBatch) admitStep(st step, known bool) error {
	if !known {
		if err := st.job.admitClient(st.m.ClientID); err != nil {
			return err
		}
	}
	return st.job.takeRejection(st.pos)
}

// interrupted says how a step goes on that has to read. Most of what a batch has read others
// asked for: who finds no room is the first of the next batch, then has one to itself, and
// is to be rejected only for what it reads alone.
func (b *pushBatch) interrupted(rounds int) stepOutcome {
	switch {
	case rounds >= maxRounds:
		return stepDecided
	case b.base.reads < maxReads && b.base.readBytes < b.space.engine.opts.MaxReadBytes:
		return stepInterrupted
	case b.at > 0:
		return stepFull
	case b.alone:
		return stepDecided
	default:
		b.alone, b.steps = true, b.steps[:1]
		b.base.reads, b.base.readBytes = 0, 0
		return stepInterrupted
	}
}

// size is about what the commit weighs so far.
func (b *pushBatch) size() int { return b.done.bytes + b.bytes }

func (b *pushBatch) transaction(st step, top *layer) *transaction {
	return &transaction{
		caller: st.job.caller, client: st.m.ClientID, mutation: st.m.ID,
		base: b.base, top: top, limits: b.space.engine.opts.limits(),
		expects: !b.again && b.space.engine.expectations.absence(st.m.Name),
	}
}

// mutate runs the mutator, unless the mutation can be judged without.
func (b *pushBatch) mutate(ctx context.Context, tx *transaction, st step) error {
	if st.job.reader != nil {
		return errReadOnly
	}
	if st.m.Invalid != "" {
		return fmt.Errorf("%w: %s", mutate.ErrBadArguments, st.m.Invalid)
	}
	if st.job.refused == st.pos+1 {
		return errors.New("cannot be stored")
	}
	if st.job.exited == st.pos+1 {
		return errExited
	}
	b.space.running = st
	err := b.space.engine.mutators.Run(ctx, st.m.Name, tx, st.m.Args)
	b.space.running = step{}
	tx.doubt(err)
	return err
}

// gap says what a mutation id from the future means. A client that is unknown has lost its
// state here, and so has one of before a restored backup. So has one whose first mutation in
// the push it is: a client sends everything that no pull has confirmed to it, so what lies in
// between was confirmed, and the space has lost it. A gap further on is the client's own.
func (b *pushBatch) gap(st step, known bool) error {
	if !known {
		return protocol.ClientStateNotFound()
	}
	g, ok := b.group(st.job.group)
	restored := b.base.head.RestoredAt
	if st.job.begins(st) || ok && !restored.IsZero() && g.CreatedAt.Before(restored) {
		st.job.lost = &st
		return protocol.ClientStateNotFound()
	}
	return ErrMutationGap
}

// begins reports whether a step is the first of its client in the push as it was sent.
func (j *job) begins(st step) bool {
	return !j.skipped[st.m.ClientID] && !slices.ContainsFunc(j.mutations[:st.pos], func(m protocol.Mutation) bool {
		return m.ClientID == st.m.ClientID
	})
}

// acknowledge moves the client's lastMutationID, for a rejection too.
func (b *pushBatch) acknowledge(st step, err error) {
	st.job.end = st.pos + 1
	c, known := b.client(st.m.ClientID)
	if !known {
		c = Client{ID: st.m.ClientID, GroupID: st.job.group}
	}
	if _, ok := b.group(st.job.group); !ok {
		g := ClientGroup{ID: st.job.group, UserID: st.job.caller.UserID, Space: b.space.id, CreatedAt: b.now}
		b.groups[g.ID] = g
		b.newGroups = append(b.newGroups, g)
		b.bytes += groupBytes
	}
	before := 0
	if b.dirty[c.ID] {
		before = clientBytes(c)
	}
	c.LastMutationID = st.m.ID
	c.LastSeen = b.now
	c.Version = b.base.head.Version + 1
	if err != nil {
		b.reject(&c, st.m, err)
	}
	b.bytes += clientBytes(c) - before
	b.clients[c.ID] = &c
	b.dirty[c.ID] = true
}

func (b *pushBatch) reject(c *Client, m *protocol.Mutation, err error) {
	r := Rejection{
		MutationID: m.ID,
		Name:       mutate.Truncate(m.Name, maxRejectionName),
		Reason:     mutate.Reason(err),
		Version:    b.base.head.Version + 1,
	}
	c.Rejections = append(slices.Clone(c.Rejections), r)
	if extra := len(c.Rejections) - MaxRejections; extra > 0 {
		c.Rejections = c.Rejections[extra:]
	}
	b.rejected = append(b.rejected, rejected{client: c.ID, Rejection: r, cause: err})
}

// groupBytes is about what a client group costs in a commit.
const groupBytes = 600

// clientBytes is about what a client costs in a commit.
func clientBytes(c Client) int {
	n := 2*len(c.ID) + len(c.GroupID) + 300
	for _, r := range c.Rejections {
		n += len(r.Name) + len(r.Reason) + 80
	}
	return n
}

// guess runs the steps behind an interrupted one to learn what they will read.
// Nothing that they do or say counts.
func (b *pushBatch) guess(ctx context.Context) {
	top := &layer{below: b.done}
	last := map[protocol.ClientID]int64{b.steps[b.at].m.ClientID: b.steps[b.at].m.ID}
	for _, st := range b.steps[b.at+1:] {
		c, _ := b.client(st.m.ClientID)
		if st.job.stop != nil || st.job.unguessed == st.pos+1 || st.m.ID != max(c.LastMutationID, last[st.m.ClientID])+1 {
			continue
		}
		last[st.m.ClientID] = st.m.ID
		own := &layer{below: top}
		tx := b.transaction(st, own)
		if err := b.guessed(ctx, tx, st); err == nil && !tx.interrupted {
			top.merge(own)
		}
	}
}

// guessed is mutate on a guess.
func (b *pushBatch) guessed(ctx context.Context, tx *transaction, st step) error {
	b.space.guessing = true
	err := b.mutate(ctx, tx, st)
	b.space.guessing = false // not deferred: where a mutator ends the goroutine it stays
	return err
}
