package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/replifire/replifire/mutate"
)

// operate does an operator's change, in a commit of its own.
func (s *space) operate(j *job) {
	last, unclear := ErrUnavailable, false
	for try := 0; ; try++ {
		if len(s.dropOver([]*job{j}, last)) == 0 {
			return
		}
		b := &batch{space: s}
		err := b.operate(j)
		if err == nil {
			if slices.Contains(j.operation.nonces, b.head.Nonce) {
				s.known.entries.forget()
				s.committed(b)
			}
			j.operation.result = b.head
			j.finish(nil)
			return
		}
		last = err
		if !j.operation.failed {
			last = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		// An earlier try may have been applied, or may yet be, whatever this one says.
		if unclear = unclear || errors.Is(err, ErrUnknownOutcome); unclear || j.operation.lost {
			last = fmt.Errorf("%w: %w", ErrUnknownOutcome, last)
		}
		if j.operation.failed {
			j.finish(last)
			return
		}
		s.recover(try, err)
	}
}

// operate reads the head, makes the change and commits it.
func (b *batch) operate(j *job) error {
	op := j.operation
	snap, err := b.load(Documents{})
	if err != nil {
		return err
	}
	b.open()
	if slices.Contains(op.nonces, snap.Head().Nonce) {
		return nil // the last try's commit was applied after all
	}
	if op.write != nil && len(op.nonces) > 0 && snap.Head().Version > op.tried+1 {
		op.failed = true // others have committed on top: nothing tells any more
		return ErrUnknownOutcome
	}
	op.lost = false
	if !b.base.head.Exists() && !op.onEmpty {
		return nil
	}
	if b.base.head.Importing != "" && op.write != nil {
		op.failed = true
		return ErrImporting
	}
	if op.skip != nil && op.skip(b.base.head) {
		return nil
	}
	if err := b.write(j); err != nil || op.write != nil && b.done.writes.Len() == 0 {
		if moved := b.confirm(); moved != nil {
			return moved
		}
		op.failed = err != nil && !errors.Is(err, ErrUnavailable)
		return err
	}
	next := b.successor()
	if op.head != nil {
		op.head(&next)
	}
	if next.Base == next.Version {
		next.Importing, next.Imported = "", 0 // nothing of it is left
	}
	if next.Importing != "" {
		op.failed = true
		return ErrImporting
	}
	op.nonces, op.tried = append(op.nonces, next.Nonce), b.base.head.Version
	err = b.commit(Commit{Prev: b.base.head, Next: next, Entries: b.entries(next.Version)})
	op.failed, op.lost = errors.Is(err, ErrImpossible), errors.Is(err, ErrConflict)
	return err
}

// confirm proves, where no commit does, that all that was read is of the head's version:
// what an operator's function has made of two halves of a race must not count.
func (b *batch) confirm() error {
	if b.base.reads == 0 {
		return nil
	}
	snap, err := b.load(Documents{})
	if err != nil {
		return err
	}
	if snap.Head().Revision != b.base.head.Revision {
		return ErrConflict
	}
	return nil
}

// write runs an operator's function in rounds, like a mutator.
func (b *batch) write(j *job) error {
	if j.operation.write == nil {
		return nil
	}
	ctx, cancel := b.space.mutatorContext()
	defer cancel()
	for range maxRounds {
		tx := &transaction{caller: j.caller, base: b.base, top: &layer{}}
		err := mutate.Protect(func() error { return j.operation.write(ctx, tx) })
		if !tx.interrupted {
			b.done = tx.top
			return err
		}
		if err := b.read(b.base.missing()); err != nil {
			return err
		}
	}
	return fmt.Errorf("operation reads more than %d times: %w", maxRounds, ErrImpossible)
}
