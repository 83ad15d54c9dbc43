package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/replifire/replifire/mutate"
)

// args are what all mutators take.
type args struct {
	Key   string `json:"key,omitempty"`
	To    string `json:"to,omitempty"`
	Value string `json:"value,omitempty"`
	N     int    `json:"n,omitempty"`
}

// logKey holds the tokens of all mutations that had effects, in their order.
const logKey = "log"

// poison is a value that no store takes.
const poison = "poison"

// retries counts how often mutators have asked for another try.
type retries struct {
	mu     sync.Mutex
	of     map[string]int
	healed bool
}

// again reports whether a mutation still asks for another try.
func (r *retries) again(token string, times int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[token]++
	return !r.healed && r.of[token] <= times
}

func (r *retries) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.healed = true
}

// effects change the space, or reject. Each is followed by the note of its token.
var effects = map[string]func(tx mutate.WriteTransaction, token string, a args) error{
	"append": appendToken,
	"retry":  appendToken,
	"set": func(tx mutate.WriteTransaction, token string, a args) error {
		return tx.Set(a.Key, a.Value+token)
	},
	"del": func(tx mutate.WriteTransaction, _ string, a args) error {
		_, err := tx.Del(a.Key)
		return err
	},
	"move":  move,
	"sweep": sweep,
	"tally": tally,
	"own":   countOwn,
	"reject": func(tx mutate.WriteTransaction, token string, a args) error {
		return errors.Join(tx.Set(a.Key, "rejected "+token), errors.New("rejected"))
	},
	"panic": func(tx mutate.WriteTransaction, token string, a args) error {
		if err := tx.Set(a.Key, "panicked "+token); err != nil {
			return err
		}
		panic("on purpose")
	},
	"claim": claim,
	"poison": func(tx mutate.WriteTransaction, token string, _ args) error {
		return tx.Set("poison/"+token, poison)
	},
}

// registry makes mutators. Those of a model (retries nil) never ask for another try,
// and know what no store takes.
func registry(r *retries) *mutate.Registry {
	reg := mutate.NewRegistry()
	for name, effect := range effects {
		mutate.Register(reg, name, func(_ context.Context, tx mutate.WriteTransaction, a args) error {
			token := fmt.Sprintf("%s.%d", tx.ClientID(), tx.MutationID())
			if name == "retry" && r != nil && r.again(token, a.N) {
				return mutate.Retry(errors.New("later"))
			}
			if name == "poison" && r == nil {
				return errors.New("no store takes it")
			}
			if err := effect(tx, token, a); err != nil {
				return err
			}
			return note(tx, token)
		})
	}
	return reg
}

// note appends a token to the log.
func note(tx mutate.WriteTransaction, token string) error {
	list, _, err := mutate.Get[string](tx, logKey)
	if err != nil {
		return err
	}
	return tx.Set(logKey, list+token+" ")
}

func appendToken(tx mutate.WriteTransaction, token string, a args) error {
	list, _, err := mutate.Get[string](tx, a.Key)
	if err != nil {
		return err
	}
	return tx.Set(a.Key, list+token+" ")
}

// move takes a key's value to another key; there may be none.
func move(tx mutate.WriteTransaction, _ string, a args) error {
	v, ok, err := tx.Get(a.Key)
	if err != nil || !ok {
		return err
	}
	if _, err := tx.Del(a.Key); err != nil {
		return err
	}
	return tx.Set(a.To, v)
}

// sweep deletes the first N of the keys from Key on.
func sweep(tx mutate.WriteTransaction, _ string, a args) error {
	var keys []string
	for e, err := range tx.Scan(mutate.ScanOptions{Prefix: "k/", Start: a.Key, Limit: a.N}) {
		if err != nil {
			return err
		}
		keys = append(keys, e.Key)
	}
	for _, key := range keys {
		if _, err := tx.Del(key); err != nil {
			return err
		}
	}
	return nil
}

// tally writes down which keys there are.
func tally(tx mutate.WriteTransaction, _ string, a args) error {
	var keys []string
	for e, err := range tx.Scan(mutate.ScanOptions{Prefix: "k/"}) {
		if err != nil {
			return err
		}
		keys = append(keys, e.Key)
	}
	return tx.Set(a.To, strings.Join(keys, " "))
}

// claim sets a key of the client's own, and for most N rejects if that had no value.
func claim(tx mutate.WriteTransaction, token string, a args) error {
	key := "claim/" + string(tx.ClientID())
	_, ok, err := tx.Get(key)
	if err := errors.Join(err, tx.Set(key, token)); err != nil {
		return err
	}
	if !ok && a.N > 1 {
		return errors.New("it was not there before")
	}
	return nil
}

// countOwn counts in a key of the client's own, and rejects above N.
func countOwn(tx mutate.WriteTransaction, _ string, a args) error {
	key := "own/" + string(tx.ClientID())
	n, _, err := mutate.Get[int](tx, key)
	if err != nil {
		return err
	}
	if n >= a.N {
		return fmt.Errorf("%d is enough", n)
	}
	return tx.Set(key, n+1)
}
