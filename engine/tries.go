package engine

import (
	"errors"
	"slices"

	"github.com/tidwall/btree"
)

// maxTries bounds the commits of a pile of pushes whose outcome is open: each holds all
// that it would have written. One that is forgotten and was applied after all is found
// by its clients' lastMutationIDs; only the log does not hear of its rejections.
const maxTries = 4

// tries are commits of a pile of pushes that may have been applied, or may yet be, whatever
// the store has said; the oldest first.
type tries []*pushBatch

// add keeps a batch whose commit ended with err, unless that says that it is not applied.
func (t *tries) add(b *pushBatch, err error) {
	refused := errors.Is(err, ErrUnavailable) || errors.Is(err, ErrImpossible)
	if refused && !errors.Is(err, ErrUnknownOutcome) {
		return
	}
	b.forgetReads()
	*t = append(*t, b)
	if extra := len(*t) - maxTries; extra > 0 {
		*t = slices.Delete(*t, 0, extra)
	}
}

// compare finds the one that made a head, which was read after all of them were sent; nil if
// none did. Those that another head came before can be applied no more, and are forgotten.
func (t *tries) compare(head Head) *pushBatch {
	for _, b := range *t {
		if b.nonce() == head.Nonce {
			b.head = head
			return b
		}
	}
	*t = slices.DeleteFunc(*t, func(b *pushBatch) bool { return b.tried.Prev.Revision != head.Revision })
	return nil
}

// forgetReads lets go of what was read, which settling needs not.
func (b *batch) forgetReads() {
	b.snap = nil
	b.base.values, b.base.whole, b.base.used = btree.Map[string, value]{}, nil, nil
}
