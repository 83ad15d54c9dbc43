package sim

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// verdict is what the scheduler lets a parked call do.
type verdict int

const (
	goOn verdict = iota
	fail         // nothing is applied or read
	conflict
	unknownApplied
	unknownNot
	unknownLater
	conflictApplied // it was applied and sent again, and so lost a race to itself
)

func (v verdict) String() string {
	return [...]string{"ok", "fail", "conflict", "unknown+applied", "unknown", "unknown+later", "conflict+applied"}[v]
}

// call is a parked call of the store.
type call struct {
	key      string // identifies it without regard to when it came
	instance int
	commit   *late        // nil for a read
	verdict  chan verdict // one slot
}

// late is a commit whose caller has gone, and which may still be applied.
type late struct {
	space  protocol.SpaceID
	commit engine.Commit
}

// key identifies the commit without regard to when it was left.
func (l *late) key() string {
	return fmt.Sprintf("%s %d %s", l.space, l.commit.Next.Version, l.commit.Next.Nonce)
}

// store is the store as one instance sees it.
type store struct {
	world    *world
	instance int
	dead     bool // guarded by world.mu
	watches  map[protocol.SpaceID]*watch
}

var _ engine.Store = (*store)(nil)

// errDead is what a dead instance's calls fail with.
var errDead = fmt.Errorf("%w: instance is dead", engine.ErrUnavailable)

// park waits for the scheduler, or for the end of the call's time.
func (s *store) park(ctx context.Context, commit *late, key string) (verdict, error) {
	if run := ctx.Value(runKey{}); run != nil {
		key = fmt.Sprintf("%s #%v", key, run)
	}
	c := &call{
		key: fmt.Sprintf("%d %s", s.instance, key), instance: s.instance,
		commit: commit, verdict: make(chan verdict, 1),
	}
	w := s.world
	w.mu.Lock()
	if s.dead {
		w.mu.Unlock()
		return fail, errDead
	}
	w.parked = append(w.parked, c)
	w.mu.Unlock()
	select {
	case v := <-c.verdict:
		w.mu.Lock()
		defer w.mu.Unlock()
		if s.dead {
			return v, errDead
		}
		return v, nil
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unpark(c)
		return fail, fmt.Errorf("%w: %w", engine.ErrUnavailable, ctx.Err())
	}
}

func (s *store) Snapshot(
	ctx context.Context, space protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	err := s.read(ctx, fmt.Sprintf("%s read %t %q %q %q", space, docs.Head,
		sorted(docs.Groups), sorted(docs.Clients), sorted(docs.Keys)))
	if err != nil {
		return nil, err
	}
	snap, err := s.world.memory.Snapshot(ctx, space, docs)
	return &snapshot{Snapshot: snap, store: s, space: space}, err
}

// read is whatever does not commit: it waits for the scheduler, and may fail.
func (s *store) read(ctx context.Context, key string) error {
	v, err := s.park(ctx, nil, key)
	if err == nil && v != goOn {
		err = engine.ErrUnavailable
	}
	return err
}

// snapshot reads more of its moment later, when others have committed.
type snapshot struct {
	engine.Snapshot
	store *store
	space protocol.SpaceID
}

func (s *snapshot) Entries(ctx context.Context, after int64) iter.Seq2[engine.Entry, error] {
	key := fmt.Sprintf("%s entries of %d after %d", s.space, s.Head().Version, after)
	return reading(ctx, s.store, key, s.Snapshot.Entries(ctx, after))
}

func (s *snapshot) Clients(
	ctx context.Context, group protocol.ClientGroupID, after int64,
) iter.Seq2[engine.Client, error] {
	key := fmt.Sprintf("%s clients of %q of %d after %d", s.space, group, s.Head().Version, after)
	return reading(ctx, s.store, key, s.Snapshot.Clients(ctx, group, after))
}

func (s *snapshot) Range(ctx context.Context, r engine.Range) ([]engine.Entry, error) {
	if err := s.store.read(ctx, fmt.Sprintf("%s range %+v", s.space, r)); err != nil {
		return nil, err
	}
	return s.Snapshot.Range(ctx, r)
}

// reading waits before the first of a sequence.
func reading[T any](ctx context.Context, s *store, key string, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := s.read(ctx, key); err != nil {
			var none T
			yield(none, err)
			return
		}
		all(yield)
	}
}

// sorted is for names whose order means nothing, and may be that of a map.
func sorted[T cmp.Ordered](list []T) []T { return slices.Sorted(slices.Values(list)) }

func (s *store) Commit(
	ctx context.Context, space protocol.SpaceID, c engine.Commit,
) (engine.Head, error) {
	l := &late{space, c}
	v, err := s.park(ctx, l, fmt.Sprintf("%s commit %d", space, c.Next.Version))
	if err != nil {
		s.world.leave(l, s)
		return engine.Head{}, fmt.Errorf("%w: %w", engine.ErrUnknownOutcome, err)
	}
	switch v {
	case goOn, unknownApplied, conflictApplied:
	case fail:
		return engine.Head{}, engine.ErrUnavailable
	case conflict:
		return engine.Head{}, engine.ErrConflict
	case unknownNot:
		return engine.Head{}, engine.ErrUnknownOutcome
	case unknownLater:
		s.world.leave(l, s)
		return engine.Head{}, engine.ErrUnknownOutcome
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	head, err := s.world.apply(ctx, space, c)
	switch {
	case err != nil:
		return head, err
	case v == unknownApplied:
		return engine.Head{}, engine.ErrUnknownOutcome
	case v == conflictApplied:
		return engine.Head{}, engine.ErrConflict
	}
	return head, nil
}

// apply commits to the memory store and shows the oracle; called with mu held.
func (w *world) apply(
	ctx context.Context, space protocol.SpaceID, c engine.Commit,
) (engine.Head, error) {
	for _, e := range c.Entries {
		if bytes.Equal(e.Value, []byte(`"`+poison+`"`)) {
			return engine.Head{}, fmt.Errorf("%w: poison", engine.ErrImpossible)
		}
	}
	head, err := w.memory.Commit(ctx, space, c)
	if err != nil {
		return head, err
	}
	w.report(w.judgeReaders(w.oracle.space(space).head, c))
	w.report(w.oracle.committed(space, c)) //nolint:contextcheck // the model waits for nothing
	w.note("  commit %s %d/%s: %d entries, %d clients", space, head.Version, head.Epoch, len(c.Entries), len(c.Clients))
	return head, nil
}

// leave keeps a commit that may be applied later, unless its instance has died: what
// a dead instance has sent was decided when it died.
func (w *world) leave(l *late, s *store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !s.dead {
		w.late = append(w.late, l)
	}
}

func (s *store) Purge(ctx context.Context, space protocol.SpaceID) (int, error) {
	if err := s.read(ctx, string(space)+" purge"); err != nil {
		return 0, err
	}
	return s.world.memory.Purge(ctx, space)
}

func (s *store) Expired(
	ctx context.Context, space protocol.SpaceID, before time.Time, limit int,
) (engine.Expired, error) {
	if err := s.read(ctx, string(space)+" expired"); err != nil {
		return engine.Expired{}, err
	}
	return s.world.memory.Expired(ctx, space, before, limit)
}

func (s *store) Spaces(
	ctx context.Context, after protocol.SpaceID, limit int,
) ([]protocol.SpaceID, error) {
	return s.world.memory.Spaces(ctx, after, limit)
}

func (s *store) Ping(ctx context.Context) error { return s.world.memory.Ping(ctx) }
