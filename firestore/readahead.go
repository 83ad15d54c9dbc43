package firestore

import (
	"context"
	"iter"
	"sync"

	"cloud.google.com/go/firestore"
)

// reading is a query that is ordered by versions, and how to read its documents.
type reading[T any] struct {
	query  firestore.Query
	decode func(*firestore.DocumentSnapshot) (T, error)
	// version and size are those of what was decoded.
	version func(T) int64
	size    func(T) int
	most    int // bytes that are read ahead
}

// ahead yields what a query finds, which it reads at full speed into memory of its own. A
// reader that does not keep up makes no query wait, which would keep a stream of a connection
// from others: the query is ended, and when half of the memory is free another one goes on
// behind its last document, at the same moment. An error is yielded once, last.
func (r reading[T]) ahead(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, streamTimeout)
		buf := newBuffer[T](r.most)
		var filling sync.WaitGroup
		defer filling.Wait()
		defer cancel()
		filling.Go(func() { buf.end(r.fill(ctx, buf)) })
		for value, ok := buf.take(); ok; value, ok = buf.take() {
			if !yield(value, nil) {
				return
			}
		}
		if err := buf.err; err != nil {
			var none T
			yield(none, err)
		}
	}
}

// fill reads everything into the buffer. The first query has no limit. Where that was more
// than the buffer takes, those that go on have one, so that little is sent in vain.
func (r reading[T]) fill(ctx context.Context, buf *buffer[T]) error {
	query, limit := r.query, 0
	for {
		last, more, err := r.run(ctx, query, limit, buf)
		if err != nil || !more {
			return err
		}
		if limit = buf.room(ctx); limit == 0 {
			return unavailable(ctx, "querying", ctx.Err())
		}
		query = last.behind(r.query).Limit(limit)
	}
}

// run reads a query until it ends or the buffer is full, and says where that was and whether
// there may be more.
func (r reading[T]) run(
	ctx context.Context, query firestore.Query, limit int, buf *buffer[T],
) (last position, more bool, err error) {
	read := 0
	for doc, err := range documents(ctx, query) {
		if err != nil {
			return last, false, unavailable(ctx, "querying", err)
		}
		value, err := r.decode(doc)
		if err != nil {
			return last, false, err
		}
		read++
		last = position{r.version(value), doc.Ref.ID}
		if !buf.add(value, r.size(value)) {
			return last, true, nil
		}
	}
	return last, limit > 0 && read >= limit, nil
}
