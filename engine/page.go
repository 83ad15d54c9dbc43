package engine

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/replifire/replifire/protocol"
)

// firstPage is how many entries, or about how many bytes of them, a pull reads before it
// answers: a change of usual size is then in memory, and what is larger is streamed.
const firstPage, firstPageBytes = 256, 1 << 20

// page is the beginning of a sequence of entries, and the way to the rest.
type page struct {
	entries []Entry
	next    func() (Entry, error, bool)
	stop    func()
	taken   *atomic.Bool
}

// readPage reads the first entries. A rest that nobody asks for is let go of
// when ctx ends.
func readPage(ctx context.Context, seq iter.Seq2[Entry, error]) (*page, error) {
	next, stop := iter.Pull2(seq)
	p := &page{next: next, stop: stop, taken: new(atomic.Bool)}
	for bytes := 0; len(p.entries) < firstPage && bytes < firstPageBytes; {
		e, err, ok := next()
		if err != nil {
			stop()
			return nil, err
		}
		if !ok {
			p.next = nil
			return p, nil
		}
		p.entries = append(p.entries, e)
		bytes += e.Bytes()
	}
	context.AfterFunc(ctx, p.close)
	return p, nil
}

// close lets go of the rest, unless somebody has taken it: a sequence must not be stopped
// by two at once.
func (p *page) close() {
	if p.taken.CompareAndSwap(false, true) {
		p.stop()
	}
}

// patch turns the entries into operations; op's second result false leaves one out.
func (p *page) patch(op func(Entry) (protocol.PatchOperation, bool)) iter.Seq2[protocol.PatchOperation, error] {
	return func(yield func(protocol.PatchOperation, error) bool) {
		if !p.taken.CompareAndSwap(false, true) {
			yield(protocol.PatchOperation{}, context.Canceled)
			return
		}
		defer p.stop()
		for e, err := range p.all {
			if err != nil {
				yield(protocol.PatchOperation{}, err)
				return
			}
			if o, wanted := op(e); wanted && !yield(o, nil) {
				return
			}
		}
	}
}

func (p *page) all(yield func(Entry, error) bool) {
	for _, e := range p.entries {
		if !yield(e, nil) {
			return
		}
	}
	for p.next != nil {
		e, err, ok := p.next()
		if !ok || !yield(e, err) {
			return
		}
	}
}
