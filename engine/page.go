package engine

import (
	"context"
	"iter"
	"sync/atomic"
)

// firstPage is how many entries, or clients, or about how many bytes of them, a pull reads
// before it answers. A change of usual size is then in memory, an error of the store is an
// answer of its own, and the reading of both has begun; what is more is streamed.
const firstPage, firstPageBytes = 256, 64 << 10

// page is the beginning of a sequence of entries or clients, and the way to the rest.
type page[T any] struct {
	items []T
	next  func() (T, error, bool) // nil: there is no rest
	stop  func()
	taken atomic.Bool
}

// readPage reads the first of a sequence. A rest that nobody asks for is let go of
// when ctx ends.
func readPage[T interface{ Bytes() int }](ctx context.Context, seq iter.Seq2[T, error]) (*page[T], error) {
	next, stop := iter.Pull2(seq)
	p := &page[T]{next: next, stop: stop}
	for bytes := 0; len(p.items) < firstPage && bytes < firstPageBytes; {
		item, err, ok := next()
		if err != nil {
			stop()
			return nil, err
		}
		if !ok {
			p.next = nil
			return p, nil
		}
		p.items = append(p.items, item)
		bytes += item.Bytes()
	}
	context.AfterFunc(ctx, p.close)
	return p, nil
}

// close lets go of the rest, unless somebody has taken it: a sequence must not be stopped
// by two at once. A page that was not read has none.
func (p *page[T]) close() {
	if p != nil && p.taken.CompareAndSwap(false, true) {
		p.stop()
	}
}

// all yields everything, once: after that, or when the page was closed, it yields an error.
func (p *page[T]) all(yield func(T, error) bool) {
	if !p.taken.CompareAndSwap(false, true) {
		var none T
		yield(none, context.Canceled)
		return
	}
	defer p.stop()
	for i, item := range p.items {
		var none T
		p.items[i] = none // while the rest is read, it may be gone
		if !yield(item, nil) {
			return
		}
	}
	for p.next != nil {
		item, err, ok := p.next()
		if !ok || !yield(item, err) || err != nil {
			return
		}
	}
}
