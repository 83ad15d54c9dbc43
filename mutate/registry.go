package mutate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/replifire/replifire/protocol"
)

// What Registry.Run rejects a mutation with before its mutator has run.
var (
	// ErrUnknownMutator: no mutator has that name.
	ErrUnknownMutator = errors.New("unknown mutator")
	// ErrBadArguments: the arguments do not decode into the mutator's type, or its
	// Validate method refused them.
	ErrBadArguments = errors.New("bad arguments")
)

// Validator is implemented by argument types with rules of their own. Validate is
// called after decoding; its error rejects the mutation and is shown to the client.
type Validator interface {
	Validate() error
}

// Registry holds an application's mutators by name. Make it with NewRegistry, fill
// it with Register before it is used; Run is safe for concurrent use.
type Registry struct {
	mu       sync.RWMutex
	mutators map[string]mutator
}

// mutator is a registered function with its type erased.
type mutator func(ctx context.Context, tx WriteTransaction, args json.RawMessage) error

// NewRegistry returns a Registry without mutators.
func NewRegistry() *Registry { return &Registry{mutators: map[string]mutator{}} }

// Register adds fn under name. The arguments of a mutation decode into an A by the
// rules of encoding/json: what A has no field for is dropped, a field that is not
// there stays zero (a pointer tells it from one that is zero), names match whatever
// their case, and null is the zero A. It panics if fn is nil, or if the name is
// taken, empty, not UTF-8 or longer than protocol.MaxNameBytes: mistakes of the
// program's. TryRegister returns them instead.
func Register[A any](
	r *Registry, name string, fn func(ctx context.Context, tx WriteTransaction, args A) error,
) {
	if err := TryRegister(r, name, fn); err != nil {
		panic(err)
	}
}

// TryRegister is Register for names that are not known to be good.
func TryRegister[A any](
	r *Registry, name string, fn func(ctx context.Context, tx WriteTransaction, args A) error,
) error {
	if name == "" || fn == nil {
		return errors.New("mutate: a mutator needs a name and a function")
	}
	if len(name) > protocol.MaxNameBytes || !utf8.ValidString(name) {
		return fmt.Errorf("mutate: no client can call a mutator named %.40q", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.mutators[name]; taken {
		return fmt.Errorf("mutate: mutator %q is registered twice", name)
	}
	r.mutators[name] = func(ctx context.Context, tx WriteTransaction, raw json.RawMessage) error {
		args, err := decode[A](raw)
		if err != nil {
			return err
		}
		return fn(ctx, tx, args)
	}
	return nil
}

// Names are the registered names in order.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.mutators))
}

// Run runs a mutator once. Any error but those that IsRetry knows rejects the
// mutation; Reason says what its client is told. A panic is recovered and returned
// as a *PanicError: the process lives.
func (r *Registry) Run(
	ctx context.Context, name string, tx WriteTransaction, args json.RawMessage,
) error {
	r.mu.RLock()
	m, ok := r.mutators[name]
	r.mu.RUnlock()
	if !ok {
		return ErrUnknownMutator
	}
	return Protect(func() error { return m(ctx, tx, args) })
}

// decode makes an A of a mutation's arguments and validates it.
func decode[A any](raw json.RawMessage) (A, error) {
	var args A
	if len(raw) == 0 {
		raw = json.RawMessage("null")
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return args, fmt.Errorf("%w: %w", ErrBadArguments, &decodeError{err: err})
	}
	v, ok := any(args).(Validator)
	if !ok {
		v, ok = any(&args).(Validator)
	}
	if !ok {
		return args, nil
	}
	if err := v.Validate(); err != nil {
		return args, fmt.Errorf("%w: %w", ErrBadArguments, err)
	}
	return args, nil
}

// Get reads a key's value into a T; false if the key has none. A value that does
// not decode into a T is an error, which rejects the mutation when it is returned.
func Get[T any](tx ReadTransaction, key string) (T, bool, error) {
	var v T
	raw, ok, err := tx.Get(key)
	if err != nil || !ok {
		return v, false, err
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, false, fmt.Errorf("stored value: %w", &decodeError{err: err})
	}
	return v, true, nil
}
