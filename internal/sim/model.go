package sim

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// entries are the visible entries of a space: keys with the JSON of their values.
type entries map[string]string

// modelTx is a transaction on a map: what the engine's must amount to.
type modelTx struct {
	client   protocol.ClientID
	mutation int64
	state    entries
	writes   map[string]*string // nil: deleted
}

var _ mutate.WriteTransaction = (*modelTx)(nil)

func (t *modelTx) Space() protocol.SpaceID     { return "" }
func (t *modelTx) ClientID() protocol.ClientID { return t.client }
func (t *modelTx) MutationID() int64           { return t.mutation }
func (t *modelTx) UserID() string              { return "" }
func (t *modelTx) Claims() json.RawMessage     { return nil }

func (t *modelTx) Get(key string) (json.RawMessage, bool, error) {
	if v, ok := t.writes[key]; ok {
		if v == nil {
			return nil, false, nil
		}
		return json.RawMessage(*v), true, nil
	}
	v, ok := t.state[key]
	return json.RawMessage(v), ok, nil
}

func (t *modelTx) Has(key string) (bool, error) {
	_, ok, err := t.Get(key)
	return ok, err
}

func (t *modelTx) IsEmpty() (bool, error) { return len(t.all()) == 0, nil }

func (t *modelTx) Scan(o mutate.ScanOptions) iter.Seq2[mutate.Entry, error] {
	return func(yield func(mutate.Entry, error) bool) {
		n := 0
		all := t.all()
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if !strings.HasPrefix(key, o.Prefix) || key < o.Start || o.StartExclusive && key == o.Start {
				continue
			}
			if o.Limit > 0 && n == o.Limit {
				return
			}
			n++
			if !yield(mutate.Entry{Key: key, Value: json.RawMessage(all[key])}, nil) {
				return
			}
		}
	}
}

// all is what the transaction sees.
func (t *modelTx) all() entries {
	all := maps.Clone(t.state)
	t.onto(all)
	return all
}

// onto makes the writes in a state.
func (t *modelTx) onto(state entries) {
	for key, v := range t.writes {
		if v == nil {
			delete(state, key)
			continue
		}
		state[key] = *v
	}
}

func (t *modelTx) Set(key string, value any) error {
	raw, err := mutate.EncodeValue(value)
	if err != nil {
		return err
	}
	text := string(raw)
	t.writes[key] = &text
	return nil
}

func (t *modelTx) Del(key string) (bool, error) {
	had, err := t.Has(key)
	if had {
		t.writes[key] = nil
	}
	return had, err
}
