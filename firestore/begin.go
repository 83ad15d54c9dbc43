package firestore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/engine"
)

const (
	// preparedLife is how long a transaction waits for its writes before it is
	// rolled back: longer than the commit it was begun beside, and much shorter than
	// the minute after which Firestore ends it.
	preparedLife = 2 * time.Second
	// maxPrepared bounds the transactions that wait.
	maxPrepared = 64
)

// errNotBegun: the transaction ended before it took the writes, so another may.
var errNotBegun = errors.New("the transaction is over")

// transaction is a RunTransaction whose callback waits for its writes. Between
// begin and commit it holds no locks, since it reads nothing.
type transaction struct {
	writes   chan func(*firestore.Transaction) error
	cancel   context.CancelFunc
	response firestore.CommitResponse

	// Set by the goroutine that runs it, before over is closed.
	over    chan struct{}
	err     error
	begun   bool
	refused error
}

// begin starts a transaction. It does not wait for it to have begun. Its owner is
// who calls commit or cancel; both wait until it is over.
func (s *Store) begin(ctx context.Context) *transaction {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &transaction{
		writes: make(chan func(*firestore.Transaction) error),
		over:   make(chan struct{}),
		cancel: cancel,
	}
	go func() {
		defer close(t.over)
		defer cancel()
		t.err = s.client.RunTransaction(ctx, t.run,
			firestore.MaxAttempts(1), firestore.WithCommitResponseTo(&t.response))
	}()
	return t
}

// run is the callback.
func (t *transaction) run(ctx context.Context, tx *firestore.Transaction) error {
	idle := time.NewTimer(preparedLife)
	defer idle.Stop()
	select {
	case write := <-t.writes:
		t.begun = true
		t.refused = write(tx)
		return t.refused
	case <-idle.C:
		return errNotBegun
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commit hands the writes over and waits for what becomes of them. With
// errNotBegun nothing was handed over.
func (t *transaction) commit(
	ctx context.Context, f func(*firestore.Transaction) error,
) (*firestore.CommitResponse, error) {
	stop := context.AfterFunc(ctx, t.cancel)
	defer stop()
	select {
	case t.writes <- f:
	case <-t.over:
	}
	<-t.over
	switch {
	case t.err == nil:
		return &t.response, nil
	case errors.Is(t.err, errNotBegun):
		return nil, errNotBegun
	case !t.begun:
		return nil, unavailable(ctx, "beginning a transaction", t.err)
	case t.refused != nil: // by the SDK: nothing was sent
		return nil, fmt.Errorf("%w: %w", engine.ErrImpossible, t.refused)
	default:
		return nil, commitError(t.err)
	}
}

// prepared are the transactions begun for commits that are expected: beginning is
// a round trip that can be made while the commit before is under way. It is safe for
// concurrent use.
type prepared struct {
	begin func(context.Context) *transaction

	mu     sync.Mutex
	closed bool
	list   []*transaction
}

// Prepare begins a transaction for the next commit, of whichever space.
func (s *Store) Prepare() { s.prepared.add() }

func (p *prepared) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropOver()
	if p.closed || len(p.list) >= maxPrepared {
		return
	}
	p.list = append(p.list, p.begin(context.Background()))
}

// take removes the newest one, which is the least likely to be over; nil if there
// is none.
func (p *prepared) take() *transaction {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropOver()
	if len(p.list) == 0 {
		return nil
	}
	last := len(p.list) - 1
	t := p.list[last]
	p.list = p.list[:last]
	return t
}

// dropOver removes from the front, where the oldest are, those that waited in
// vain; called under mu.
func (p *prepared) dropOver() {
	for len(p.list) > 0 {
		select {
		case <-p.list[0].over:
			p.list = p.list[1:]
		default:
			return
		}
	}
}

// close ends those that wait, and waits for them.
func (p *prepared) close() {
	p.mu.Lock()
	p.closed = true
	list := p.list
	p.list = nil
	p.mu.Unlock()
	for _, t := range list {
		t.cancel()
		<-t.over
	}
}
