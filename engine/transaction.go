package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// errNotRead interrupts a mutator that asked for something not read yet. What the
// mutator makes of it does not matter: it will be run again.
var errNotRead = errors.New("not read yet: the mutator will be run again")

// scanPage is how many entries a scan without a limit reads at a time.
const scanPage = 500

// transaction is the mutate.WriteTransaction of one run of one mutation.
type transaction struct {
	caller      Caller
	client      protocol.ClientID
	mutation    int64
	base        *base
	top         *layer
	limits      limits
	interrupted bool

	// expects: a key that is not known is taken to have no value (expectations).
	expects  bool
	expected []string // keys of which that was taken
	// How many of the keys that were read from the store for this batch are stored there,
	// if only as a tombstone, and how many are not.
	stored, absent int
}

// limits are what an operator allows of what a store can hold. The zero limits allow
// all of it.
type limits struct{ keyBytes, valueBytes, depth int }

// check says which limit an entry breaks that the stores could hold.
func (l limits) check(key string, raw json.RawMessage) error {
	switch {
	case l == limits{}:
		return nil
	case len(key) > l.keyBytes:
		return fmt.Errorf("key is longer than %d bytes", l.keyBytes)
	case len(raw) > l.valueBytes:
		return fmt.Errorf("value is larger than %d bytes", l.valueBytes)
	case l.depth < protocol.MaxDepth && protocol.Depth(raw) > l.depth:
		return fmt.Errorf("value is nested deeper than %d", l.depth)
	default:
		return nil
	}
}

var _ mutate.WriteTransaction = (*transaction)(nil)

func (t *transaction) Space() protocol.SpaceID     { return t.caller.Space }
func (t *transaction) ClientID() protocol.ClientID { return t.client }
func (t *transaction) MutationID() int64           { return t.mutation }
func (t *transaction) UserID() string              { return t.caller.UserID }
func (t *transaction) Claims() json.RawMessage     { return t.caller.Claims }

func (t *transaction) Get(key string) (json.RawMessage, bool, error) {
	v, err := t.get(key)
	return bytes.Clone(v.json), v.live, err
}

func (t *transaction) Has(key string) (bool, error) {
	v, err := t.get(key)
	return v.live, err
}

func (t *transaction) get(key string) (value, error) {
	if mutate.CheckKey(key) != nil {
		return value{}, nil //nolint:nilerr // such a key cannot have been set: it is absent
	}
	if v, ok := t.top.find(key); ok {
		return v, nil
	}
	if _, known := t.base.find(key); !known && t.expects {
		t.expected = append(t.expected, key)
		return value{}, nil
	}
	v, known := t.base.get(key)
	if !known {
		t.interrupted = true
		return value{}, errNotRead
	}
	t.count(key)
	return v, nil
}

// count notes what was read of a key for this batch.
func (t *transaction) count(key string) {
	v, read := t.base.values.Get(key)
	switch {
	case read && (v.live || v.dead):
		t.stored++
	case read:
		t.absent++
	}
}

func (t *transaction) IsEmpty() (bool, error) {
	for _, err := range t.Scan(mutate.ScanOptions{Limit: 1}) {
		return false, err
	}
	return true, nil
}

func (t *transaction) Scan(o mutate.ScanOptions) iter.Seq2[mutate.Entry, error] {
	return func(yield func(mutate.Entry, error) bool) {
		if err := cmp.Or(mutate.CheckKey(o.Prefix), mutate.CheckKey(o.Start)); err != nil {
			yield(mutate.Entry{}, err)
			return
		}
		from, to := max(o.Prefix, o.Start), prefixEnd(o.Prefix)
		if o.StartExclusive && o.Start >= o.Prefix {
			from = o.Start + "\x00"
		}
		for n := 0; (o.Limit <= 0 || n < o.Limit) && (to == "" || from < to); n++ {
			key, v, ok, err := t.first(from, to, o.Limit-n)
			if err != nil {
				yield(mutate.Entry{}, err)
				return
			}
			if !ok || !yield(mutate.Entry{Key: key, Value: bytes.Clone(v.json)}, nil) {
				return
			}
			from = key + "\x00"
		}
	}
}

// first is the least key with a value in from ≤ key < to, in base and layers.
func (t *transaction) first(from, to string, want int) (string, value, bool, error) {
	page := scanPage
	if want > 0 {
		page = min(page, want+8) // a few may be hidden by deletions of this batch
	}
	for {
		key, v, ok, known := t.base.first(from, to, page)
		if !known {
			t.interrupted = true
			return "", value{}, false, errNotRead
		}
		written, w, found := t.top.first(from)
		if !found || (to != "" && written >= to) || (ok && key < written) {
			return key, v, ok, nil
		}
		if w.live {
			return written, w, true, nil
		}
		from = written + "\x00"
	}
}

// prefixEnd is the least string above all that begin with prefix; "" if none is.
// It counts in runes, since the bound of a query must be a valid string.
func prefixEnd(prefix string) string {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		if r == utf8.MaxRune {
			continue
		}
		if r++; r == surrogateMin {
			r = surrogateMax + 1
		}
		return prefix + string(r)
	}
	return ""
}

// The surrogates, which no UTF-8 string holds.
const surrogateMin, surrogateMax = 0xD800, 0xDFFF

func (t *transaction) Set(key string, v any) error {
	if err := mutate.CheckKey(key); err != nil {
		return err
	}
	raw, err := mutate.EncodeValue(v)
	if err == nil {
		err = t.limits.check(key, raw)
	}
	if err != nil {
		return err
	}
	t.top.set(key, value{json: raw, live: true})
	return nil
}

func (t *transaction) Del(key string) (bool, error) {
	v, err := t.get(key)
	if err != nil || !v.live {
		return false, err
	}
	t.top.set(key, value{})
	return true, nil
}
