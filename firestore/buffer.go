package firestore

import (
	"context"
	"sync"
)

// How many bytes a pull reads ahead, of its two queries: 512 KiB. A buffer is full with the
// value that goes beyond.
const (
	entriesAhead = 384 << 10
	clientsAhead = 128 << 10
)

// valueBytes is about what a value takes in memory beside its texts.
const valueBytes = 150

// buffer is what a query has read and its reader has not done with. One goroutine adds to it,
// and one takes from it. Make it with newBuffer.
type buffer[T any] struct {
	most int // bytes

	mu     sync.Mutex
	values []sized[T] // guarded by mu
	// bytes are those of values, and of the one that was taken last, inHand; guarded by mu.
	bytes, inHand int
	// added is how many values there have been, of sum bytes; guarded by mu.
	added, sum int
	over       bool  // nothing more is added; guarded by mu
	err        error // why; not changed once over

	came, went chan struct{} // have room for the news that something was added, or taken
}

type sized[T any] struct {
	value T
	bytes int
}

func newBuffer[T any](most int) *buffer[T] {
	return &buffer[T]{most: most, came: make(chan struct{}, 1), went: make(chan struct{}, 1)}
}

// news tells whoever waits for it, if that was not done yet.
func news(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// add takes in a value whose texts have so many bytes; false if the buffer is full then.
func (b *buffer[T]) add(value T, bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes += valueBytes
	b.values = append(b.values, sized[T]{value, bytes})
	b.bytes += bytes
	b.added++
	b.sum += bytes
	news(b.came)
	return b.bytes < b.most
}

// end says that nothing more is added, and why.
func (b *buffer[T]) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over, b.err = true, err
	news(b.came)
}

// take waits for the next value, and lets go of the one before; false: there are no more.
func (b *buffer[T]) take() (T, bool) {
	for {
		value, ok, over := b.next()
		if ok || over {
			return value, ok
		}
		<-b.came
	}
}

func (b *buffer[T]) next() (value T, ok, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= b.inHand
	b.inHand = 0
	news(b.went)
	if len(b.values) == 0 {
		return value, false, b.over
	}
	first := b.values[0]
	b.values[0] = sized[T]{} // what is taken is not kept
	b.values = b.values[1:]
	b.inHand = first.bytes
	return first.value, true, false
}

// room waits until half of the buffer is free, and says about how many more values like those
// before it takes, 1 at least; 0 if ctx has ended.
func (b *buffer[T]) room(ctx context.Context) int {
	for {
		if n := b.fits(); n > 0 {
			return n
		}
		select {
		case <-b.went:
		case <-ctx.Done():
			return 0
		}
	}
}

func (b *buffer[T]) fits() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes > b.most/2 {
		return 0
	}
	return max(1, (b.most-b.bytes)*b.added/max(b.sum, 1))
}
