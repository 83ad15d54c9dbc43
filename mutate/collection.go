package mutate

import (
	"encoding/json"
	"fmt"
	"iter"
)

// Collection is the entries of one type under a common prefix: item id has the
// key Prefix + id. The zero value is the collection of everything.
type Collection[T any] struct {
	Prefix string
}

// Item is an item of a collection with its id.
type Item[T any] struct {
	ID    string
	Value T
}

// Key is the key of an item. An id may be any string: "" and "a/b" are ids.
func (c Collection[T]) Key(id string) string { return c.Prefix + id }

// Get reads an item; false if there is none. A stored value that does not decode
// into a T is an error.
func (c Collection[T]) Get(tx ReadTransaction, id string) (T, bool, error) {
	return Get[T](tx, c.Key(id))
}

// Has reports whether there is an item.
func (c Collection[T]) Has(tx ReadTransaction, id string) (bool, error) {
	return tx.Has(c.Key(id))
}

// Set writes an item, over the one that was there.
func (c Collection[T]) Set(tx WriteTransaction, id string, item T) error {
	return tx.Set(c.Key(id), item)
}

// Del removes an item and reports whether there was one.
func (c Collection[T]) Del(tx WriteTransaction, id string) (bool, error) {
	return tx.Del(c.Key(id))
}

// Scan yields items in the order of their ids' UTF-8 bytes. The options are about
// ids: their Prefix and Start come after the collection's prefix. An error is yielded
// once, last; an item that does not decode into a T is one.
func (c Collection[T]) Scan(tx ReadTransaction, o ScanOptions) iter.Seq2[Item[T], error] {
	o.Prefix, o.Start = c.Key(o.Prefix), c.Key(o.Start)
	return func(yield func(Item[T], error) bool) {
		for e, err := range tx.Scan(o) {
			item, err := c.item(e, err)
			if err != nil {
				yield(Item[T]{}, fmt.Errorf("scan %q: %w", c.Prefix, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// item makes an item of what a scan yielded.
func (c Collection[T]) item(e Entry, err error) (Item[T], error) {
	if err != nil {
		return Item[T]{}, err
	}
	item := Item[T]{ID: e.Key[len(c.Prefix):]}
	if err := json.Unmarshal(e.Value, &item.Value); err != nil {
		return Item[T]{}, &decodeError{err: err}
	}
	return item, nil
}
