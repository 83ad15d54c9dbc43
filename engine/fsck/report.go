package fsck

import (
	"fmt"
	"strings"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// MaxProblems is how many problems a Report keeps; the others are only counted.
const MaxProblems = 100

// Invariant names a rule that stored data keeps at all times.
type Invariant string

// The invariants. Each problem breaks one of them.
const (
	// Readable: the store can decode its documents (no engine.ErrCorrupt).
	Readable Invariant = "readable"
	// AbsentSpace: a space without a head has no entries and no clients.
	AbsentSpace Invariant = "absent-space"
	// HeadFields: a head is all zero, or has an epoch, a nonce and a revision; only
	// one that names an import has imported records.
	HeadFields Invariant = "head-fields"
	// HeadBounds: 0 ≤ base ≤ floor ≤ version.
	HeadBounds Invariant = "head-bounds"
	// HeadHistory: a head names at most engine.HistoryLength commits, and no more than
	// its version; a commit names those before it as their heads did, or none.
	HeadHistory Invariant = "head-history"
	// EntryKey: a key is valid UTF-8 of at most engine.MaxKeyBytes.
	EntryKey Invariant = "entry-key"
	// EntryVersion: 1 ≤ version ≤ the head's.
	EntryVersion Invariant = "entry-version"
	// EntryValue: a tombstone has no value; any other entry has one that
	// protocol.CheckValue accepts, in its canonical form, of at most
	// engine.MaxValueBytes.
	EntryValue Invariant = "entry-value"
	// EntryOnce: no key is stored twice.
	EntryOnce Invariant = "entry-once"
	// EntryOrder: Entries come in the order of versions, Range in that of keys.
	EntryOrder Invariant = "entry-order"
	// EntryAgreement: by version, by key and by id, a space shows the same entries.
	EntryAgreement Invariant = "entry-agreement"
	// ClientID: ids of clients and groups are valid UTF-8 of 1 to
	// protocol.MaxIDBytes.
	ClientID Invariant = "client-id"
	// ClientOnce: no client is stored twice.
	ClientOnce Invariant = "client-once"
	// ClientVersion: 1 ≤ version ≤ the head's.
	ClientVersion Invariant = "client-version"
	// ClientMutation: 1 ≤ lastMutationID ≤ protocol.MaxMutationID.
	ClientMutation Invariant = "client-mutation"
	// ClientRejections: at most engine.MaxRejections, ids ascending and not above
	// lastMutationID, versions from 1 to the client's, not descending.
	ClientRejections Invariant = "client-rejections"
	// ClientGroup: a client's group exists and belongs to this space.
	ClientGroup Invariant = "client-group"
	// ClientAgreement: of all groups, by group and by id, a space shows the same
	// clients.
	ClientAgreement Invariant = "client-agreement"
)

// Problem is one breach of an invariant.
type Problem struct {
	Invariant Invariant
	// Where names the document: head, entry "key", client "id", group "id".
	Where string
	// What says how it is broken. It shows ids and keys, cut short, never values.
	What string
}

// String is the problem in one line.
func (p Problem) String() string {
	return fmt.Sprintf("%s: %s: %s", p.Invariant, p.Where, p.What)
}

// Report is what Check found. Its zero value reports nothing.
type Report struct {
	Space protocol.SpaceID
	Head  engine.Head
	// Entries counts the stored entries with a value, Tombstones those without;
	// both include what lies at or below the head's base.
	Entries, Tombstones int
	Clients, Groups     int
	// Moved: the space changed during the check, so reading by id was not
	// compared with the rest. Check again when it is quieter.
	Moved bool
	// Problems are the first MaxProblems, Total counts all.
	Problems []Problem
	Total    int
}

// OK reports whether nothing is wrong.
func (r Report) OK() bool { return r.Total == 0 }

// String is a summary in one line, and a line for each problem.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "space %s: version %d, %d entries, %d tombstones, %d clients, %d groups, %d commits named: ",
		quote(string(r.Space)), r.Head.Version, r.Entries, r.Tombstones, r.Clients, r.Groups, r.Head.Names())
	if r.OK() {
		b.WriteString("ok")
	} else {
		fmt.Fprintf(&b, "%d problems", r.Total)
	}
	if r.Head.Importing != "" {
		b.WriteString(" (an import is not finished: nobody sees this)")
	}
	if r.Moved {
		b.WriteString(" (changed meanwhile: not compared by id)")
	}
	for _, p := range r.Problems {
		b.WriteString("\n  " + p.String())
	}
	if more := r.Total - len(r.Problems); more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

func (r *Report) add(i Invariant, where, format string, args ...any) {
	r.Total++
	if len(r.Problems) < MaxProblems {
		what := fmt.Sprintf(format, args...)
		r.Problems = append(r.Problems, Problem{Invariant: i, Where: where, What: what})
	}
}

// maxQuote cuts ids and keys in a report: a client chooses up to 1,024 bytes.
const maxQuote = 80

func quote(s string) string {
	if len(s) <= maxQuote {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:maxQuote], len(s))
}
