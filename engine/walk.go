package engine

import (
	"context"
	"iter"
)

// Pages yields the stored entries of r, tombstones too, in the order of their keys, each
// once: by pages that r.Limit (0, or above 1) and r.MaxBytes bound, each from the last key of the one before,
// since a key after it would be longer than any key may be. An error is yielded once, last.
func Pages(ctx context.Context, snap Snapshot, r Range) iter.Seq2[[]Entry, error] {
	return func(yield func([]Entry, error) bool) {
		for begun := false; ; begun = true {
			page, err := snap.Range(ctx, r)
			if err != nil {
				yield(nil, err)
				return
			}
			size := 0
			for _, e := range page {
				size += e.Bytes()
			}
			full := r.Full(len(page), size)
			if begun && len(page) > 0 && page[0].Key == r.From {
				page = page[1:]
			}
			if len(page) == 0 || !yield(page, nil) || !full {
				return
			}
			r.From = page[len(page)-1].Key
		}
	}
}
