package firestore

import (
	"context"
	"errors"
	"iter"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// resumeTries bounds how often in a row a query may break off without having
	// yielded anything.
	resumeTries = 4
	// resumePause is the pause after the first of them; it doubles each time.
	resumePause = 50 * time.Millisecond
)

// stream yields the decoded documents of a query, whose moment is fixed. It reads
// no further ahead than gRPC does. The SDK ends a query at the first trouble of the
// connection, and the server may end one whose reader is slow; stream then goes on
// behind the last document. An error is yielded once, last.
func stream[T any](
	ctx context.Context, query firestore.Query,
	decode func(*firestore.DocumentSnapshot) (T, error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, streamTimeout)
		defer cancel()
		for doc, err := range documents(ctx, query) {
			var value T
			if err == nil {
				value, err = decode(doc)
			} else {
				err = unavailable(ctx, "querying", err)
			}
			if !yield(value, err) || err != nil {
				return
			}
		}
	}
}

// streamUpTo yields no more than limit, at least 1: a query that is resumed has its whole
// limit again.
func streamUpTo[T any](
	ctx context.Context, query firestore.Query, limit int,
	decode func(*firestore.DocumentSnapshot) (T, error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		left := limit
		for value, err := range stream(ctx, query.Limit(limit), decode) {
			left--
			if !yield(value, err) || left == 0 {
				return
			}
		}
	}
}

// documents yields the documents of a query, resuming it when it breaks off.
func documents(
	ctx context.Context, query firestore.Query,
) iter.Seq2[*firestore.DocumentSnapshot, error] {
	return func(yield func(*firestore.DocumentSnapshot, error) bool) {
		for try := 0; ; try++ {
			last, err := drain(ctx, query, yield)
			if err == nil {
				return
			}
			if last != nil {
				query, try = query.StartAfter(last), 0
			}
			if try == resumeTries || !passing(err) || !pause(ctx, try) {
				yield(nil, err)
				return
			}
		}
	}
}

// drain yields the documents of one run of a query, and returns the last of them
// with the reason why it was not all: nil if it was, or if nobody wants more.
func drain(
	ctx context.Context, query firestore.Query,
	yield func(*firestore.DocumentSnapshot, error) bool,
) (last *firestore.DocumentSnapshot, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	docs := query.Documents(ctx)
	defer docs.Stop()
	for {
		doc, err := docs.Next()
		if errors.Is(err, iterator.Done) {
			return last, nil
		}
		if err != nil {
			return last, err
		}
		if !yield(doc, nil) {
			return last, nil
		}
		last = doc
	}
}

// passing reports whether a query that failed with err may work in a moment.
func passing(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Internal, codes.DeadlineExceeded, codes.Aborted,
		codes.ResourceExhausted, codes.Unknown:
		return true
	default:
		return false
	}
}

// pause waits before another try; false if ctx has ended.
func pause(ctx context.Context, try int) bool {
	timer := time.NewTimer(resumePause << try)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
