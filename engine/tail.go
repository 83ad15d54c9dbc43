package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"

	"github.com/tidwall/btree"

	"github.com/replifire/replifire/protocol"
)

const (
	// maxTailVersions is how far back a tail is read, once, for the sake of the
	// clients that come with an older cookie.
	maxTailVersions = 1000
	// changeBytes is about what a change takes in memory beside key and value.
	changeBytes = 250
)

// tail is the recent changes of a space: every entry and every client whose last
// change is after from and up to head, at its last change, as the store's own queries
// would find them. It has no holes. It belongs to a reader, under its lock.
type tail struct {
	live    bool
	head    Head
	from    int64
	beyond  int64 // from there on they are known to be more than a tail holds; -1: not known
	changes *btree.BTreeG[change]
	entries map[string]int64 // the versions by which changes are found
	clients map[protocol.ClientID]int64
	bytes   int
	limit   int
}

// change is an entry or a client.
type change struct {
	version  int64
	isClient bool
	id       string
	entry    *recent
	client   *Client
}

// recent is an entry of a tail with the JSON of its operation, which is made once for
// all the answers it is part of. It is never changed.
type recent struct {
	Entry
	operation json.RawMessage
}

// recalled are changes that need no reading.
type recalled struct {
	head    Head // up to which they are
	entries []*recent
	clients []*Client // of one group
	bytes   int       // about what an answer with them has
}

// inMemoryPatch are changes that need no reading.
func inMemoryPatch(entries []*recent) iter.Seq2[protocol.PatchOperation, error] {
	return func(yield func(protocol.PatchOperation, error) bool) {
		for _, e := range entries {
			if op, _ := operationOf(e.Entry); !yield(op, nil) {
				return
			}
		}
	}
}

// encodedPatch is the same as JSON.
func encodedPatch(entries []*recent) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		for _, e := range entries {
			if !yield(e.operation) {
				return
			}
		}
	}
}

func (c change) before(d change) bool {
	if c.version != d.version {
		return c.version < d.version
	}
	if c.isClient != d.isClient {
		return d.isClient
	}
	return c.id < d.id
}

func (c change) bytes() int {
	if c.isClient {
		return len(c.id) + c.client.Bytes() + changeBytes
	}
	return 2*len(c.id) + len(c.entry.Value) + len(c.entry.operation) + changeBytes
}

// drop forgets everything.
func (t *tail) drop() {
	t.live, t.head, t.from, t.beyond, t.bytes = false, Head{}, 0, -1, 0
	t.changes, t.entries, t.clients = nil, nil, nil
}

// reset begins at a version, from which on changes are known.
func (t *tail) reset(head Head, from int64) {
	t.live, t.head, t.from, t.beyond, t.bytes = true, head, from, -1, 0
	t.changes = btree.NewBTreeGOptions(change.before, btree.Options{NoLocks: true})
	t.entries, t.clients = map[string]int64{}, map[protocol.ClientID]int64{}
}

// add takes in all that has changed between the tail's head and a later one.
func (t *tail) add(head Head, entries []Entry, clients []Client) {
	for _, e := range entries {
		op, _ := operationOf(e)
		text, err := op.Encode()
		if err != nil { // no store holds such an entry
			t.reset(head, head.Version)
			return
		}
		c := change{version: e.Version, id: e.Key, entry: &recent{Entry: e, operation: text}}
		t.replace(c, t.entries[e.Key])
		t.entries[e.Key] = e.Version
	}
	for _, cl := range clients {
		c := change{version: cl.Version, isClient: true, id: string(cl.ID), client: &cl}
		t.replace(c, t.clients[cl.ID])
		t.clients[cl.ID] = cl.Version
	}
	t.head = head
	t.trim()
}

func (t *tail) replace(c change, old int64) {
	if gone, ok := t.changes.Delete(change{version: old, isClient: c.isClient, id: c.id}); ok {
		t.bytes -= gone.bytes()
	}
	t.changes.Set(c)
	t.bytes += c.bytes()
}

// trim gives up the oldest versions until the tail is short enough.
func (t *tail) trim() {
	for t.bytes > t.limit {
		c, ok := t.changes.PopMin()
		if !ok {
			return
		}
		t.from = c.version
		t.bytes -= c.bytes()
		if c.isClient {
			delete(t.clients, protocol.ClientID(c.id))
			continue
		}
		delete(t.entries, c.id)
	}
}

// since are the changes after a version, those of clients of one group only; false
// if the tail does not reach back so far.
func (t *tail) since(version int64, group protocol.ClientGroupID) (recalled, bool) {
	if !t.live || version < t.from || version > t.head.Version {
		return recalled{}, false
	}
	found := recalled{head: t.head}
	t.changes.Ascend(change{version: version + 1}, func(c change) bool {
		switch {
		case !c.isClient:
			found.entries = append(found.entries, c.entry)
			found.bytes += len(c.entry.operation)
		case c.client.GroupID == group:
			found.clients = append(found.clients, c.client)
			found.bytes += c.client.Bytes()
		}
		return true
	})
	return found, true
}

// sameHistory reports whether it is certain that a head that was read is of the history the
// tail is of: then the later one of the two continues the other. Where it is not certain, the
// tail begins anew, which costs no more than a read.
func (t *tail) sameHistory(head Head) bool {
	if !t.live {
		return false
	}
	if t.head.Version < head.Version {
		return head.continues(t.head)
	}
	return t.head.continues(head)
}

// errTooMuch ends the reading of more changes than a tail holds.
var errTooMuch = errors.New("more changes than a tail holds")

// readChanges reads what has changed in a space after a version, of all groups.
func readChanges(ctx context.Context, snap Snapshot, after int64, limit int) ([]Entry, []Client, error) {
	var entries []Entry
	var clients []Client
	bytes := 0
	for e, err := range snap.Entries(ctx, after) {
		// As much as it will take with the JSON of its operation (change.bytes).
		if bytes += 3*len(e.Key) + 2*len(e.Value) + changeBytes; cmp.Or(err, overflow(bytes, limit)) != nil {
			return nil, nil, cmp.Or(err, errTooMuch)
		}
		entries = append(entries, e)
	}
	for c, err := range snap.Clients(ctx, "", after) {
		if bytes += len(c.ID) + c.Bytes() + changeBytes; cmp.Or(err, overflow(bytes, limit)) != nil {
			return nil, nil, cmp.Or(err, errTooMuch)
		}
		clients = append(clients, c)
	}
	return entries, clients, nil
}

func overflow(bytes, limit int) error {
	if bytes > limit {
		return errTooMuch
	}
	return nil
}
