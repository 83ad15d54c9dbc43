package limit

import "sync/atomic"

// Budget is a number of bytes that all who need some share. Make it with NewBudget.
// Safe for concurrent use.
type Budget struct {
	most int64
	used atomic.Int64
}

// NewBudget makes a budget of so many bytes; nil if that is 0.
func NewBudget(bytes int64) *Budget {
	if bytes == 0 {
		return nil
	}
	return &Budget{most: bytes}
}

// Take takes n bytes, if there are as many left: true. They come back with Give.
func (b *Budget) Take(n int64) bool {
	if b == nil {
		return true
	}
	if b.used.Add(n) <= b.most {
		return true
	}
	b.used.Add(-n)
	return false
}

// Give returns n bytes that were taken.
func (b *Budget) Give(n int64) {
	if b != nil {
		b.used.Add(-n)
	}
}
