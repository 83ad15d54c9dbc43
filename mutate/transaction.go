package mutate

import (
	"encoding/json"
	"iter"

	"github.com/replifire/replifire/protocol"
)

// ReadTransaction is a mutator's view of its space: everything committed before
// it, and its own writes. The names are those of Replicache's ReadTransaction.
// It is for one goroutine, and not to be kept after the mutator returns.
type ReadTransaction interface {
	// Space names the space.
	Space() protocol.SpaceID
	// ClientID names the client that made the mutation.
	ClientID() protocol.ClientID
	// UserID is the authenticated user's, "" where nobody is signed in.
	UserID() string
	// Claims is the JSON object of the token's claims, nil where there is none.
	Claims() json.RawMessage

	// Get returns the JSON of a key's value; false if it has none.
	Get(key string) (json.RawMessage, bool, error)
	// Has reports whether a key has a value.
	Has(key string) (bool, error)
	// IsEmpty reports whether no key has a value.
	IsEmpty() (bool, error)
	// Scan yields entries in the order of their keys' UTF-8 bytes, as Replicache
	// does. An error is yielded once, last, with a zero Entry.
	Scan(options ScanOptions) iter.Seq2[Entry, error]
}

// WriteTransaction is what a mutator changes its space through. Nothing it does
// is seen by anybody until the mutator has returned nil and the commit has
// succeeded.
type WriteTransaction interface {
	ReadTransaction

	// MutationID is the mutation's id: 1 for a client's first.
	MutationID() int64
	// Set gives a key a value: anything encoding/json can marshal, json.RawMessage
	// included.
	Set(key string, value any) error
	// Del takes a key's value away and reports whether it had one.
	Del(key string) (bool, error)
}

// Entry is a key with the JSON of its value.
type Entry struct {
	Key   string
	Value json.RawMessage
}

// ScanOptions choose what Scan yields; the zero value is everything.
type ScanOptions struct {
	// Prefix is what every key begins with.
	Prefix string
	// Start is where to begin: the first key yielded is ≥ Start.
	Start string
	// StartExclusive leaves Start itself out.
	StartExclusive bool
	// Limit is how many entries to yield at the most; 0 is no limit.
	Limit int
}
