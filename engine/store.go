package engine

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// Limits that hold for every store, checked before a commit, so that what a
// store can never hold is a rejection of one mutation and not a failed commit.
const (
	// MaxKeyBytes bounds an entry's key.
	MaxKeyBytes = mutate.MaxKeyBytes
	// MaxValueBytes bounds the canonical text of an entry's value.
	MaxValueBytes = mutate.MaxValueBytes
	// MaxRejections is how many rejections are kept for a client.
	MaxRejections = 16
)

// What a Store's methods fail with. A caller acts on the kind, by errors.Is,
// and never on the text. Anything else is a bug of the store and handled like
// ErrUnknownOutcome by a committer and like ErrUnavailable by a reader.
var (
	// ErrConflict: the space has moved on, and the commit will not be applied from now on.
	// It may be what has moved the space, where the store's client sends again what was
	// applied (Firestore's does). Read again, run again.
	ErrConflict = errors.New("space has changed since it was read")
	// ErrUnknownOutcome: the commit may or may not have been applied, now or in a
	// moment. Read the head to find out; never call it success or rejection.
	ErrUnknownOutcome = errors.New("outcome of the commit is unknown")
	// ErrUnavailable: nothing was applied or read, and a later try may work.
	ErrUnavailable = errors.New("store is unavailable")
	// ErrImpossible: nothing was applied, and this commit can never work: too
	// large, or something in it that the store cannot hold.
	ErrImpossible = errors.New("store can never hold this")
	// ErrCorrupt: a stored document breaks an invariant. fsck says more.
	ErrCorrupt = errors.New("stored data is corrupt")
)

// Head is the space's own document: its version counter and what guards it.
// The zero Head is that of a space nobody has written to.
type Head struct {
	// Version counts commits: 0 before the first, then +1 each.
	Version int64
	// Epoch is random, set at creation and at a reset: cookies of another epoch
	// cannot be diffed from.
	Epoch string
	// Floor is the oldest version a pull can be diffed from.
	Floor int64
	// Base: entries at or below it are gone, whether or not they are still stored.
	Base int64
	// Nonce is random and names the commit that made this version.
	Nonce string
	// History names the commits before it by the beginnings of their nonces, so that a
	// version of another history, which a restored backup has, is told from its own.
	History History
	// RestoredAt is when a backup was restored into the space, zero if never.
	RestoredAt time.Time
	// DeletedAt is when the space was last deleted, zero if never. It stays when
	// the space is written to again: client groups of before never come back.
	DeletedAt time.Time
	// DeletedVersion is that of the deletion: clients at or below it are gone,
	// whether or not they are still stored. 0 if the space was never deleted.
	DeletedVersion int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
	// Revision is the store's name for this very write of the document, opaque to
	// everybody else; empty for the zero Head. Commit holds Commit.Prev to it.
	Revision string

	// Private says whom the last commits concern, separated by commas, the last one's last:
	// for each the names, joined, of the users (AudienceOf) whose rejections are all that it
	// records. A commit that everybody is to hear of empties it. Of commits before those that
	// it names, everybody is to hear.
	Private string

	// Importing names the backup that is being put into the space, "" if none is:
	// what is stored is a part of that, which nobody may see (ErrImporting).
	Importing string
	// Imported is how many records of it are stored; 0 if Importing is "".
	Imported int64
}

// Exists reports whether anything was ever committed to the space.
func (h Head) Exists() bool { return h.Version > 0 }

// Deleted reports whether the space was deleted and not written to since.
func (h Head) Deleted() bool { return h.Exists() && h.Version == h.DeletedVersion }

// outlived reports whether a client group is of before the space's deletion. Times
// in a space grow with its versions (batch.now), so this is exact.
func (h Head) outlived(g ClientGroup) bool {
	return !h.DeletedAt.IsZero() && !g.CreatedAt.After(h.DeletedAt)
}

// Entry is a key of a space with its value, or the tombstone of one.
type Entry struct {
	Key string
	// Value is canonical JSON (protocol.Canonical), byte for byte what was committed; nil
	// in a tombstone.
	Value json.RawMessage
	// Version is that of the commit that wrote it.
	Version int64
	Deleted bool
	// DeletedAt is when a tombstone was made; zero in an entry that is none, and in
	// tombstones of unknown age, which are kept.
	DeletedAt time.Time
}

// Bytes is the length of the key and the value.
func (e Entry) Bytes() int { return len(e.Key) + len(e.Value) }

// Client is what a space remembers of a client.
type Client struct {
	ID             protocol.ClientID
	GroupID        protocol.ClientGroupID
	LastMutationID int64
	// Version is that of the commit that wrote it.
	Version int64
	// Rejections are the last MaxRejections, oldest first.
	Rejections []Rejection
	LastSeen   time.Time
}

// Bytes is about what the client takes in memory.
func (c Client) Bytes() int {
	n := len(c.ID) + len(c.GroupID)
	for _, r := range c.Rejections {
		n += len(r.Name) + len(r.Reason) + rejectionBytes
	}
	return n
}

// rejectionBytes is about what a rejection takes in memory beside its texts.
const rejectionBytes = 60

// Rejection is a mutation that was refused for good.
type Rejection struct {
	MutationID int64
	Name       string
	Reason     string
	// Version is that of the commit that acknowledged it.
	Version int64
}

// ClientGroup is owned by the user and the space that first used it, for ever.
type ClientGroup struct {
	ID        protocol.ClientGroupID
	UserID    string
	Space     protocol.SpaceID
	CreatedAt time.Time
}

// Documents names what to read by id.
type Documents struct {
	Head    bool
	Groups  []protocol.ClientGroupID
	Clients []protocol.ClientID
	Keys    []string
}

// Range is a part of the key space: From ≤ key < To in the order of UTF-8
// bytes, To "" for no end; at most Limit entries, 0 for no limit, and none behind the
// one with which their keys and values come to MaxBytes, 0 for no bound. Of two entries
// MaxBytes keeps none out, so that a page from the last key of another leads on.
type Range struct {
	From, To        string
	Limit, MaxBytes int
}

// Full reports whether nothing may follow so many entries, whose keys and values come to
// so many bytes.
func (r Range) Full(entries, bytes int) bool {
	return r.Limit > 0 && entries >= r.Limit || r.MaxBytes > 0 && bytes >= r.MaxBytes && entries > 1
}

// Commit is one atomic change of a space.
type Commit struct {
	// Prev is the head this commit was computed from: a zero Head creates the space.
	Prev Head
	// Next is the head it makes. Its Revision is ignored.
	Next Head
	// Entries are puts and tombstones, each key once, at Next.Version.
	Entries []Entry
	// Clients are written whole, each once, at Next.Version.
	Clients []Client
	// Groups are created; one that exists already is an ErrConflict.
	Groups []ClientGroup
	// Absent are keys of Entries that must not be stored yet, not even as tombstones
	// or below Next.Base; one that is stored is an ErrConflict.
	Absent []string
}

// Expired is what Store.Expired finds.
type Expired struct {
	// Tombstones is how many.
	Tombstones int
	// Floor is the highest version among them, 0 if there are none.
	Floor int64
}

// Store keeps spaces. All methods are safe for concurrent use, by any number
// of processes on the same data, and return soon after their context ends.
//
// An implementation MUST make a Commit durable before it returns nil, apply it
// whole or not at all, and show it to every Snapshot begun afterwards, in any
// process. It MUST NOT retry a Commit by itself in a way that hides the
// first try's outcome: ErrUnknownOutcome is for that. Package storetest says all
// this in code; memory is the reference.
type Store interface {
	// Snapshot fixes a moment of the space and reads the documents named by docs,
	// in one round trip. A space, group, client or key that does not exist is no
	// error. Fails with ErrUnavailable or ErrCorrupt.
	Snapshot(ctx context.Context, space protocol.SpaceID, docs Documents) (Snapshot, error)

	// Commit applies c if the space's head is still c.Prev (by its Revision), none of
	// c.Groups exists and no entry of c.Absent is stored, and
	// returns the new head, which is c.Next with its Revision. Fails with
	// ErrConflict, ErrUnknownOutcome, ErrUnavailable or ErrImpossible.
	Commit(ctx context.Context, space protocol.SpaceID, c Commit) (Head, error)

	// Watch calls notify with the space's head soon after it is called and after
	// each change, from one goroutine; changes that follow each other quickly may
	// be told as one. It returns when ctx ends, or with ErrUnavailable when the
	// watch broke: the caller starts another.
	Watch(ctx context.Context, space protocol.SpaceID, notify func(Head)) error

	// Purge removes from storage what nobody can see or needs any more, and says
	// how many documents: entries at or below the space's Base, tombstones with a
	// time (Entry.DeletedAt) at or below its Floor, and clients at or below its
	// DeletedVersion with whatever else was stored in the space, its members for one,
	// before it was deleted: by no clock of who deleted it. It never removes the head or
	// a client group. It is safe beside commits, may be interrupted and repeated.
	Purge(ctx context.Context, space protocol.SpaceID) (int, error)

	// Expired looks for tombstones with a DeletedAt before a time, the oldest first,
	// at most limit (positive) of them. A Floor raised to what it finds lets Purge
	// remove them. Fails with ErrUnavailable or ErrCorrupt.
	Expired(ctx context.Context, space protocol.SpaceID, before time.Time, limit int) (Expired, error)

	// Spaces lists the spaces that were ever written to, deleted ones too, at most
	// limit (positive) of them, in an order of the store's own that never changes:
	// those behind after, from the first if that is "". Spaces that are created
	// meanwhile may be among them or not. Fails with ErrUnavailable or ErrCorrupt.
	Spaces(ctx context.Context, after protocol.SpaceID, limit int) ([]protocol.SpaceID, error)

	// Ping says whether the store answers.
	Ping(ctx context.Context) error
}

// Snapshot is one moment of a space. What it was asked for at the start is in
// memory; the other methods read more of the same moment. Its methods are
// safe for concurrent use, for a short time (stores keep old moments for an hour at the most).
type Snapshot interface {
	// Head is the zero Head unless Documents.Head was set and the space exists.
	Head() Head
	// Group, Client and Entry find what Documents named; false: it does not exist.
	// An Entry may be a tombstone, or one at or below Head.Base: the caller judges.
	Group(id protocol.ClientGroupID) (ClientGroup, bool)
	Client(id protocol.ClientID) (Client, bool)
	Entry(key string) (Entry, bool)

	// Entries yields the stored entries with a version above after, tombstones
	// too, in the order of their versions, none twice.
	Entries(ctx context.Context, after int64) iter.Seq2[Entry, error]
	// Range reads the stored entries of r, tombstones too, in the order of
	// their keys.
	Range(ctx context.Context, r Range) ([]Entry, error)
	// Clients yields the clients of a group with a version above after; of all
	// groups if group is "".
	Clients(ctx context.Context, group protocol.ClientGroupID, after int64) iter.Seq2[Client, error]
}
