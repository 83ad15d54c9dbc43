package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// Defaults of Options.
const (
	// DefaultPushTimeout is shorter than Replicache's patience, which is endless,
	// and than Cloud Run's default of 300 s.
	DefaultPushTimeout = 30 * time.Second
	// DefaultStoreTimeout bounds one call of the store.
	DefaultStoreTimeout = 10 * time.Second
	// DefaultMaxBatchMutations: 100 mutations in a commit cost little more than
	// one, 1,000 make the others wait (firestore.md §5.1).
	DefaultMaxBatchMutations = 500
	// DefaultMaxBatchBytes is what the emulator can take, with room to spare:
	// production takes 10 MiB, the emulator hangs above 4 (firestore.md §4).
	DefaultMaxBatchBytes = 3 << 20
	// DefaultMaxReadBytes bounds what the mutators of one commit have in memory.
	DefaultMaxReadBytes = 64 << 20
	// DefaultMaxQueueBytes bounds the mutations that wait for one space.
	DefaultMaxQueueBytes = 64 << 20
	// DefaultMaxQueuePushes bounds the pushes that wait for one space.
	DefaultMaxQueuePushes = 10_000
	// DefaultMaxWaitingBytes bounds the mutations that wait for all spaces. A request that
	// has ended leaves its push waiting, and nobody else counts it.
	DefaultMaxWaitingBytes = 128 << 20
	// DefaultMaxSpaces bounds the spaces remembered between pushes.
	DefaultMaxSpaces = 10_000
	// DefaultMaxKnownBytes bounds the entries remembered of one space for its pushes.
	DefaultMaxKnownBytes = 4 << 20
	// DefaultMaxMemoryBytes bounds what is remembered of all spaces together.
	DefaultMaxMemoryBytes = 64 << 20
	// DefaultMaxTailBytes bounds the recent changes of one space, for its pulls.
	DefaultMaxTailBytes = 4 << 20
	// DefaultExpectAfter makes a wrong expectation, one refused commit, rarer than the
	// reads that are saved.
	DefaultExpectAfter = 16
)

// maxGroups bounds the client groups whose owner is remembered for pulls.
const maxGroups = 100_000

// Options of an Engine. The zero value is good: zero fields are the defaults.
type Options struct {
	// SchemaVersions are the ones accepted; empty: all.
	SchemaVersions []string
	// Logger hears of rejections and of trouble; nil: slog.Default.
	Logger *slog.Logger
	// OnCommit is called after each commit of this engine's, and where it finds another's
	// before that, in the order of the versions of a space: whatever the engine acknowledges,
	// it has told of. It must not block.
	OnCommit func(protocol.SpaceID, Head)
	// Rand is where nonces, epochs and the jitter of pauses come from; nil: the
	// system's random numbers. A simulation gives a seeded one, to repeat a run.
	Rand io.Reader

	PushTimeout       time.Duration // for a push, all its retries included
	StoreTimeout      time.Duration // for one call of the store
	MaxBatchMutations int           // in one commit
	MaxBatchBytes     int           // about, in one commit; also what one mutation may write
	MaxReadBytes      int           // about, of entries read for one commit; also what one mutation may read
	MaxQueueBytes     int           // waiting for one space
	MaxQueuePushes    int           // waiting for one space
	MaxWaitingBytes   int64         // waiting for all spaces
	MaxKeyBytes       int           // of an entry, at most the constant of this name
	MaxValueBytes     int           // of an entry, at most the constant of this name
	MaxDepth          int           // of an entry's value, at most protocol.MaxDepth
	MaxSpaces         int           // remembered between pushes
	MaxKnownBytes     int           // of entries remembered of one space for pushes
	MaxTailBytes      int           // of recent changes remembered of one space for pulls
	MaxMemoryBytes    int64         // of each of the two kinds, for all spaces together
	// ExpectAfter is how many keys in a row that a mutator has read must have had no
	// value before the next one is not read but expected to have none: the commit then
	// fails if it is stored, and the key is read after all. 0 is DefaultExpectAfter;
	// less, and every key is expected to have none, which is for simulations.
	ExpectAfter int
	// PullMaxAge is how old an instance's knowledge of a space's version may be for
	// a pull to be answered from memory alone. 0, the default: every pull looks, so
	// that it shows whatever was acknowledged before it, by any instance; pulls that
	// arrive together look together. With more, a pull that finds nothing new reads
	// nothing, and may miss what another instance acknowledged within that time; where
	// there is one instance only, it misses nothing.
	PullMaxAge time.Duration
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.OnCommit == nil {
		o.OnCommit = func(protocol.SpaceID, Head) {}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	o.PushTimeout = cmp.Or(o.PushTimeout, DefaultPushTimeout)
	o.StoreTimeout = cmp.Or(o.StoreTimeout, DefaultStoreTimeout)
	o.MaxBatchMutations = cmp.Or(o.MaxBatchMutations, DefaultMaxBatchMutations)
	o.MaxReadBytes = cmp.Or(o.MaxReadBytes, DefaultMaxReadBytes)
	o.MaxBatchBytes = cmp.Or(o.MaxBatchBytes, DefaultMaxBatchBytes)
	o.MaxQueueBytes = cmp.Or(o.MaxQueueBytes, DefaultMaxQueueBytes)
	o.MaxWaitingBytes = cmp.Or(o.MaxWaitingBytes, DefaultMaxWaitingBytes)
	o.MaxQueuePushes = cmp.Or(o.MaxQueuePushes, DefaultMaxQueuePushes)
	o.MaxKeyBytes = cmp.Or(o.MaxKeyBytes, MaxKeyBytes)
	o.MaxValueBytes = cmp.Or(o.MaxValueBytes, MaxValueBytes)
	o.MaxDepth = cmp.Or(o.MaxDepth, protocol.MaxDepth)
	o.MaxSpaces = cmp.Or(o.MaxSpaces, DefaultMaxSpaces)
	o.MaxKnownBytes = cmp.Or(o.MaxKnownBytes, DefaultMaxKnownBytes)
	o.MaxTailBytes = cmp.Or(o.MaxTailBytes, DefaultMaxTailBytes)
	o.ExpectAfter = cmp.Or(o.ExpectAfter, DefaultExpectAfter)
	o.MaxMemoryBytes = cmp.Or(o.MaxMemoryBytes, DefaultMaxMemoryBytes)
	return o
}

// limits are those of what a mutator writes.
func (o *Options) limits() limits {
	return limits{keyBytes: o.MaxKeyBytes, valueBytes: o.MaxValueBytes, depth: o.MaxDepth}
}

// Caller is who asks, and for which space; authenticated and allowed before.
type Caller struct {
	Space  protocol.SpaceID
	UserID string          // "" where nobody is signed in
	Claims json.RawMessage // of the token; nil where there is none
	// NewSpace is asked before a push creates its space, which its first commit does: once
	// and, where that is tried again, not again after nil. Its error refuses the push,
	// nothing of which is applied, and is what Push returns. It must not block, and is
	// called by another goroutine than Push's. Nil: every space may be created.
	NewSpace func() error
	// NewClient is asked before a push makes a client known that was not, once for each,
	// and like NewSpace otherwise. Its error ends the push there: what came before is
	// applied. Nil: there is no bound.
	NewClient func() error
	// Reader is set for a caller who may read the space and not write to it.
	Reader *Reader
	// BeforeReading is called once before a pull reads entries from the store, or answers
	// with more than 64 KiB from memory: never for one that finds nothing new. It may wait.
	// Its error refuses the pull, and is what Pull returns. Nil: every pull may read.
	BeforeReading func(context.Context) error
}

// Reader is what Push asks about a caller whose mutations it acknowledges as rejected,
// because they may read the space and not write to it. Neither function may be nil. Both are
// called by another goroutine than Push's.
type Reader struct {
	// MayWrite reads the caller's right again, from where it is kept and never from memory,
	// when the mutations are about to be rejected. With true they are run like
	// everybody's; its error ends the push, and nothing of it is acknowledged.
	MayWrite func(ctx context.Context) (bool, error)
	// Take is asked once for each mutation before it is rejected. Its error ends the push
	// there: what came before is acknowledged. It must not block.
	Take func() error
}

// beforeReading is BeforeReading.
func (c Caller) beforeReading(ctx context.Context) error {
	if c.BeforeReading == nil {
		return nil
	}
	return c.BeforeReading(ctx)
}

// Engine applies pushes to a Store and answers pulls from it. Make it with New,
// end it with Close. All methods are safe for concurrent use.
type Engine struct {
	store    Store
	mutators *mutate.Registry
	opts     Options
	// groups remembers who owns a group, which never changes while a space's epoch
	// stays the same.
	groups       *lru.Cache[protocol.ClientGroupID, ownership]
	expectations expectations
	chance       chance
	// knownBytes is what all memos hold, waiting what all pushes do that are not done.
	knownBytes atomic.Int64
	waiting    room
	// readers are the spaces that are pulled from, and tailBytes what they hold.
	readers   *lru.Cache[protocol.SpaceID, *reader]
	tailBytes atomic.Int64

	// ctx ends when Close has run out of patience: what still runs is given up.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup // the spaces' workers and purges

	mu     sync.Mutex
	spaces map[protocol.SpaceID]*space
	closed bool
}

// ownership is a group as it was read, under the epoch its space then had.
type ownership struct {
	ClientGroup
	epoch string
}

// New makes an Engine on a store, with the application's mutators.
func New(store Store, mutators *mutate.Registry, o Options) *Engine {
	groups, err := lru.New[protocol.ClientGroupID, ownership](maxGroups)
	if err != nil {
		panic(err) // only for a size below 1
	}
	o = o.withDefaults()
	readers, err := lru.NewWithEvict(o.MaxSpaces, func(_ protocol.SpaceID, r *reader) { r.forget() })
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Engine{
		store:        store,
		mutators:     mutators,
		opts:         o,
		groups:       groups,
		chance:       chance{from: o.Rand},
		waiting:      room{bytes: o.MaxWaitingBytes},
		expectations: expectations{after: o.ExpectAfter, absent: map[string]*record{}},
		readers:      readers,
		ctx:          ctx,
		cancel:       cancel,
		spaces:       map[protocol.SpaceID]*space{},
	}
}

// Head reads the space's head: one document.
func (e *Engine) Head(ctx context.Context, id protocol.SpaceID) (Head, error) {
	snap, err := e.snapshot(ctx, id, Documents{Head: true})
	if err != nil {
		return Head{}, err
	}
	e.heard(id, snap.Head())
	return snap.Head(), nil
}

// Watch is the store's, see Store.Watch.
func (e *Engine) Watch(ctx context.Context, id protocol.SpaceID, notify func(Head)) error {
	return e.store.Watch(ctx, id, func(head Head) {
		e.heard(id, head)
		notify(head)
	})
}

// News is the version of the space's head, 0 if it does not exist, and which listeners are to
// hear of it. Fails as Head does.
func (e *Engine) News(ctx context.Context, id protocol.SpaceID) (int64, Concerns, error) {
	h, err := e.Head(ctx, id)
	return h.Version, h.Concerns(), err
}

// WatchNews is Watch for callers that need no more of a head than News says.
func (e *Engine) WatchNews(
	ctx context.Context, id protocol.SpaceID, notify func(version int64, concerns Concerns),
) error {
	return e.Watch(ctx, id, func(h Head) { notify(h.Version, h.Concerns()) })
}

// heard has pulls look for what the caller is about to be told of.
func (e *Engine) heard(id protocol.SpaceID, head Head) {
	if r, ok := e.readers.Peek(id); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hear(head)
	}
}

// closing reports whether Close was called.
func (e *Engine) closing() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// start runs f in a goroutine that Close waits for; false when it is too late.
func (e *Engine) start(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.work.Go(f)
	return true
}

// Close refuses new work and waits until what was accepted is done. When ctx
// ends first, it gives up what still runs (nothing of that is acknowledged) and
// returns the context's error once the workers are gone.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		e.work.Wait()
		close(idle)
	}()
	defer e.cancel()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		e.cancel()
		<-idle
		return fmt.Errorf("pushes given up: %w", ctx.Err())
	}
}

// snapshot is a bounded read of the store.
func (e *Engine) snapshot(ctx context.Context, id protocol.SpaceID, docs Documents) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.StoreTimeout)
	defer cancel()
	snap, err := e.store.Snapshot(ctx, id, docs)
	if err != nil {
		return nil, fmt.Errorf("read space: %w", err)
	}
	return snap, nil
}

// checkSchema refuses a schema version the application no longer speaks.
func (e *Engine) checkSchema(version string) error {
	if len(e.opts.SchemaVersions) == 0 || slices.Contains(e.opts.SchemaVersions, version) {
		return nil
	}
	return protocol.VersionNotSupported(protocol.VersionTypeSchema)
}

// enqueue gives a job to its space's worker, which it starts if there is none.
func (e *Engine) enqueue(id protocol.SpaceID, j *job) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	var ok bool
	if j.released, ok = e.waiting.take(j.bytes); !ok {
		return fullError{e.opts.MaxWaitingBytes}
	}
	s, ok := e.spaces[id]
	if !ok {
		s = newSpace(e, id)
		e.spaces[id] = s
	}
	start, err := s.queue.add(j)
	if err != nil {
		j.released()
	}
	if err != nil || !start {
		return err
	}
	e.forgetIdle()
	e.work.Go(s.work)
	return nil
}

// forgetIdle makes room for a space that begins to work. What is forgotten is only memory: the
// next push to that space reads its head again.
func (e *Engine) forgetIdle() {
	for id, s := range e.spaces {
		if len(e.spaces) <= e.opts.MaxSpaces && e.knownBytes.Load() < e.opts.MaxMemoryBytes*3/4 {
			return
		}
		if s.queue.idle() {
			s.known.forget()
			delete(e.spaces, id)
		}
	}
}
