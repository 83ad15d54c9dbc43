package mutatetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"strings"
	"sync/atomic"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// errNotRead interrupts a mutator that asked for something not read yet.
var errNotRead = errors.New("not read yet: the mutator will be run again")

// reads is what a server has read for a mutation, and what the mutator asks for
// beyond: keys, and the mutate.ScanOptions of scans.
type reads struct {
	known, asked map[any]bool
}

// next reads what was asked for.
func (r *reads) next() {
	maps.Copy(r.known, r.asked)
	clear(r.asked)
}

// knows reports whether something has been read, and notes if it has not. Without
// a reads, everything has.
func (r *reads) knows(what any) bool {
	if r == nil || r.known[what] {
		return true
	}
	r.asked[what] = true
	return false
}

// transaction is the mutate.WriteTransaction of one run of a mutator.
type transaction struct {
	space  *Space
	id     int64
	writes map[string]json.RawMessage // nil: deleted
	seen   *reads
	ended  atomic.Bool
}

var _ mutate.WriteTransaction = (*transaction)(nil)

func (t *transaction) Space() protocol.SpaceID     { return t.space.options.Space }
func (t *transaction) ClientID() protocol.ClientID { return t.space.options.ClientID }
func (t *transaction) MutationID() int64           { return t.id }
func (t *transaction) UserID() string              { return t.space.options.UserID }
func (t *transaction) Claims() json.RawMessage     { return t.space.options.Claims }

func (t *transaction) Get(key string) (json.RawMessage, bool, error) {
	t.space.t.Helper()
	t.checkEnded()
	raw, written := t.writes[key]
	if !written {
		// A key that no space can hold has no value: no need to read.
		if possible := mutate.CheckKey(key) == nil; possible && !t.seen.knows(key) {
			return nil, false, errNotRead
		}
		raw = t.space.entries[key]
	}
	return bytes.Clone(raw), raw != nil, nil
}

func (t *transaction) Has(key string) (bool, error) {
	t.space.t.Helper()
	_, ok, err := t.Get(key)
	return ok, err
}

func (t *transaction) IsEmpty() (bool, error) {
	for _, err := range t.Scan(mutate.ScanOptions{Limit: 1}) {
		return false, err
	}
	return true, nil
}

func (t *transaction) Scan(o mutate.ScanOptions) iter.Seq2[mutate.Entry, error] {
	return func(yield func(mutate.Entry, error) bool) {
		t.checkEnded()
		if err := cmp.Or(mutate.CheckKey(o.Prefix), mutate.CheckKey(o.Start)); err != nil {
			yield(mutate.Entry{}, err)
			return
		}
		if !t.seen.knows(o) {
			yield(mutate.Entry{}, errNotRead)
			return
		}
		from := o.Start
		if o.StartExclusive {
			from = after(from)
		}
		for n := 0; o.Limit <= 0 || n < o.Limit; n++ {
			e, ok := t.first(from, o.Prefix)
			if !ok || !yield(e, nil) {
				return
			}
			from = after(e.Key)
		}
	}
}

// after is the key that follows another one at once.
func after(key string) string { return key + "\x00" }

// first is the entry with the least key ≥ from that has the prefix. It is looked up
// at each step of a scan, which so sees what its mutator writes meanwhile.
func (t *transaction) first(from, prefix string) (mutate.Entry, bool) {
	least, found := "", false
	consider := func(key string) {
		if key >= from && strings.HasPrefix(key, prefix) && (!found || key < least) {
			least, found = key, true
		}
	}
	for key := range t.space.entries {
		if _, written := t.writes[key]; !written {
			consider(key)
		}
	}
	for key, raw := range t.writes {
		if raw != nil {
			consider(key)
		}
	}
	raw, written := t.writes[least]
	if !written {
		raw = t.space.entries[least]
	}
	return mutate.Entry{Key: least, Value: bytes.Clone(raw)}, found
}

func (t *transaction) Set(key string, v any) error {
	t.space.t.Helper()
	t.checkEnded()
	if err := mutate.CheckKey(key); err != nil {
		return err
	}
	raw, err := mutate.EncodeValue(v)
	if err != nil {
		return err
	}
	t.writes[key] = raw
	return nil
}

func (t *transaction) Del(key string) (bool, error) {
	t.space.t.Helper()
	ok, err := t.Has(key)
	if ok {
		t.writes[key] = nil
	}
	return ok, err
}

// checkEnded fails the test of a mutator that kept its transaction.
func (t *transaction) checkEnded() {
	t.space.t.Helper()
	if t.ended.Load() {
		t.space.t.Errorf("a mutator used its transaction after it had returned")
	}
}
