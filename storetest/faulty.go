package storetest

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// Method names a method of engine.Store or of engine.Snapshot.
type Method string

// The methods that Faulty can make fail.
const (
	MethodSnapshot Method = "Snapshot"
	MethodCommit   Method = "Commit"
	MethodWatch    Method = "Watch"
	MethodPurge    Method = "Purge"
	MethodExpired  Method = "Expired"
	MethodSpaces   Method = "Spaces"
	MethodPing     Method = "Ping"
	MethodEntries  Method = "Entries"
	MethodRange    Method = "Range"
	MethodClients  Method = "Clients"
)

// Fault is what becomes of one call.
type Fault int

// The faults. Those after NotApplied are for Commit alone; any other method
// takes them as NotApplied.
const (
	// NoFault lets the call through.
	NoFault Fault = iota
	// NotApplied fails with engine.ErrUnavailable and does nothing. Entries and
	// Clients fail after their first item: a stream that breaks.
	NotApplied
	// UnknownNotApplied fails with engine.ErrUnknownOutcome and does nothing.
	UnknownNotApplied
	// UnknownApplied commits, and fails with engine.ErrUnknownOutcome: the reply
	// is lost.
	UnknownApplied
	// UnknownHeld fails with engine.ErrUnknownOutcome and commits later, at Release:
	// a commit that is still on its way.
	UnknownHeld
	// Conflict fails with engine.ErrConflict and does nothing, as if another
	// instance had been faster.
	Conflict
)

// Faulty is an engine.Store that makes chosen calls of another one fail. Make it
// with NewFaulty. Its methods are safe for concurrent use; calls that run at the
// same time take their faults in no particular order.
type Faulty struct {
	store engine.Store

	mu     sync.Mutex
	script map[Method][]Fault
	calls  map[Method]int
	held   []func(context.Context) error
}

var _ engine.Store = (*Faulty)(nil)

// NewFaulty wraps store. Without a script it changes nothing.
func NewFaulty(store engine.Store) *Faulty {
	return &Faulty{store: store, script: map[Method][]Fault{}, calls: map[Method]int{}}
}

// Next appends to m's script: each of the next calls of m takes one fault of it,
// in order, and when it is used up there are no more faults.
func (f *Faulty) Next(m Method, faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script[m] = append(f.script[m], faults...)
}

// Pending is how many faults of m's script are left: a test that expects its
// faults to have happened checks that it is 0.
func (f *Faulty) Pending(m Method) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.script[m])
}

// Calls is how often m was called, faults included.
func (f *Faulty) Calls(m Method) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[m]
}

// Release applies the commits that UnknownHeld holds, in their order, and returns
// what each came to: nil, or engine.ErrConflict when the space has moved on.
func (f *Faulty) Release(ctx context.Context) []error {
	f.mu.Lock()
	held := f.held
	f.held = nil
	f.mu.Unlock()
	errs := make([]error, len(held))
	for i, commit := range held {
		errs[i] = commit(ctx)
	}
	return errs
}

// take counts a call of m and says what becomes of it.
func (f *Faulty) take(m Method) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[m]++
	if len(f.script[m]) == 0 {
		return NoFault
	}
	fault := f.script[m][0]
	f.script[m] = f.script[m][1:]
	return fault
}

// fails is take for all methods but Commit.
func (f *Faulty) fails(m Method) error {
	if f.take(m) == NoFault {
		return nil
	}
	return injected(engine.ErrUnavailable, m)
}

func injected(kind error, m Method) error {
	return fmt.Errorf("%w: fault injected into %s", kind, m)
}

// Commit commits, unless the script says otherwise.
func (f *Faulty) Commit(
	ctx context.Context, space protocol.SpaceID, c engine.Commit,
) (engine.Head, error) {
	switch f.take(MethodCommit) {
	case NoFault:
		return f.store.Commit(ctx, space, c)
	case NotApplied:
		return engine.Head{}, injected(engine.ErrUnavailable, MethodCommit)
	case Conflict:
		return engine.Head{}, injected(engine.ErrConflict, MethodCommit)
	case UnknownApplied:
		if _, err := f.store.Commit(ctx, space, c); err != nil {
			return engine.Head{}, err
		}
	case UnknownHeld:
		f.hold(space, c)
	case UnknownNotApplied:
	}
	return engine.Head{}, injected(engine.ErrUnknownOutcome, MethodCommit)
}

func (f *Faulty) hold(space protocol.SpaceID, c engine.Commit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = append(f.held, func(ctx context.Context) error {
		_, err := f.store.Commit(ctx, space, c)
		return err
	})
}

// Snapshot wraps what the store returns, so that its reads can fail too.
func (f *Faulty) Snapshot(
	ctx context.Context, space protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	if err := f.fails(MethodSnapshot); err != nil {
		return nil, err
	}
	snap, err := f.store.Snapshot(ctx, space, docs)
	if err != nil {
		return nil, err
	}
	return &faultySnapshot{Snapshot: snap, faulty: f}, nil
}

// Watch watches, unless the script says that it breaks at once.
func (f *Faulty) Watch(
	ctx context.Context, space protocol.SpaceID, notify func(engine.Head),
) error {
	if err := f.fails(MethodWatch); err != nil {
		return err
	}
	return f.store.Watch(ctx, space, notify)
}

// Purge purges, unless the script says otherwise.
func (f *Faulty) Purge(ctx context.Context, space protocol.SpaceID) (int, error) {
	if err := f.fails(MethodPurge); err != nil {
		return 0, err
	}
	return f.store.Purge(ctx, space)
}

// Expired looks, unless the script says otherwise.
func (f *Faulty) Expired(
	ctx context.Context, space protocol.SpaceID, before time.Time, limit int,
) (engine.Expired, error) {
	if err := f.fails(MethodExpired); err != nil {
		return engine.Expired{}, err
	}
	return f.store.Expired(ctx, space, before, limit)
}

// Spaces lists, unless the script says otherwise.
func (f *Faulty) Spaces(
	ctx context.Context, after protocol.SpaceID, limit int,
) ([]protocol.SpaceID, error) {
	if err := f.fails(MethodSpaces); err != nil {
		return nil, err
	}
	return f.store.Spaces(ctx, after, limit)
}

// Ping pings, unless the script says otherwise.
func (f *Faulty) Ping(ctx context.Context) error {
	if err := f.fails(MethodPing); err != nil {
		return err
	}
	return f.store.Ping(ctx)
}

type faultySnapshot struct {
	engine.Snapshot
	faulty *Faulty
}

func (s *faultySnapshot) Range(
	ctx context.Context, r engine.Range,
) ([]engine.Entry, error) {
	if err := s.faulty.fails(MethodRange); err != nil {
		return nil, err
	}
	return s.Snapshot.Range(ctx, r)
}

func (s *faultySnapshot) Entries(
	ctx context.Context, after int64,
) iter.Seq2[engine.Entry, error] {
	all := s.Snapshot.Entries(ctx, after)
	return breaking(all, s.faulty.fails(MethodEntries))
}

func (s *faultySnapshot) Clients(
	ctx context.Context, group protocol.ClientGroupID, after int64,
) iter.Seq2[engine.Client, error] {
	all := s.Snapshot.Clients(ctx, group, after)
	return breaking(all, s.faulty.fails(MethodClients))
}

// breaking ends a stream with err after its first item; a nil err changes
// nothing.
func breaking[T any](all iter.Seq2[T, error], err error) iter.Seq2[T, error] {
	if err == nil {
		return all
	}
	return func(yield func(T, error) bool) {
		for item, failed := range all {
			if !yield(item, failed) || failed != nil {
				return
			}
			break
		}
		var none T
		yield(none, err)
	}
}
