package protocol

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxIDBytes bounds every id a client chooses: spaces, client groups, clients.
// Real ones are at most 36 bytes. Firestore takes 1,500 in a document's id and
// somewhat less in a query, where an id can stand beside other values
// (firestore.md §3.1); well below both, no id can fail later than here.
const MaxIDBytes = 1024

// MaxMutationID is the largest mutation id: above 2^53−1 a JavaScript number
// no longer counts by one (protocol.md §7).
const MaxMutationID = 1<<53 - 1

// SpaceID names a space: the unit of sync, of ordering and of access.
type SpaceID string

// ClientGroupID names a client group: the tabs of one browser profile that
// share one copy of the data (protocol.md §1.2).
type ClientGroupID string

// ClientID names a client: one tab, one sequence of mutation ids.
type ClientID string

// CheckID reports why id cannot name a space, a client group or a client, nil if
// it can: it must not be empty, has at most [MaxIDBytes] bytes and is valid
// UTF-8. Every other text is allowed, slashes and control characters too.
func CheckID[ID ~string](id ID) error {
	switch {
	case id == "":
		return errors.New("must not be empty")
	case len(id) > MaxIDBytes:
		return fmt.Errorf("must not be longer than %d bytes", MaxIDBytes)
	case !utf8.ValidString(string(id)):
		return errors.New("must be valid UTF-8")
	}
	return nil
}
