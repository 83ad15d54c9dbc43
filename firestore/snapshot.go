package firestore

import (
	"context"
	"iter"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// maxBoundBytes is the longest value a query is given to compare with. Firestore
// refuses more than 1,500 bytes, of which it needs some itself.
const maxBoundBytes = 1400

// snapshot is one moment of a space.
type snapshot struct {
	store  *Store
	space  protocol.SpaceID
	moment time.Time
	// absent: there is no head and no need to look for anything below it.
	absent bool

	head     engine.Head
	erasedAt time.Time // of the head

	groups  map[protocol.ClientGroupID]engine.ClientGroup
	clients map[protocol.ClientID]engine.Client
	entries map[string]engine.Entry
}

// momentTries bounds how often a torn read is read again.
const momentTries = 3

// Snapshot is one BatchGetDocuments, whose read time is the moment. It asks for
// at least one document, since there is no other way to learn a moment.
func (s *Store) Snapshot(
	ctx context.Context, space protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	for try := 1; ; try++ {
		snap, err := s.read(ctx, space, docs)
		if err != nil {
			return nil, err
		}
		// A space that is corrupt looks torn for ever; that is for fsck to say.
		if !docs.Head || !snap.torn() || try == momentTries {
			return snap, nil
		}
	}
}

func (s *Store) read(
	ctx context.Context, space protocol.SpaceID, docs engine.Documents,
) (*snapshot, error) {
	snap := &snapshot{
		store:   s,
		space:   space,
		groups:  make(map[protocol.ClientGroupID]engine.ClientGroup, len(docs.Groups)),
		clients: make(map[protocol.ClientID]engine.Client, len(docs.Clients)),
		entries: make(map[string]engine.Entry, len(docs.Keys)),
	}
	wanted := snap.wanted(docs)
	found, err := s.getAll(ctx, wanted)
	if err != nil {
		return nil, err
	}
	for i, doc := range found {
		if !doc.Exists() {
			continue
		}
		if err := wanted[i].keep(doc); err != nil {
			return nil, err
		}
	}
	snap.moment = found[0].ReadTime
	if s.emulated && wanted[0].ref.Path == s.spaceRef(space).Path {
		snap.absent = !found[0].Exists()
		snap.moment = s.purges.moment(found[0], space)
	}
	return snap, nil
}

// torn reports whether a document is newer than the head it was read with.
func (s *snapshot) torn() bool {
	for _, e := range s.entries {
		if e.Version > s.head.Version {
			return true
		}
	}
	for _, c := range s.clients {
		if c.Version > s.head.Version {
			return true
		}
	}
	return false
}

// lookup is a document to be read by its id, and what to do with it.
type lookup struct {
	ref  *firestore.DocumentRef
	keep func(*firestore.DocumentSnapshot) error
}

// wanted is what to read. The head is the first, if it is among it.
func (s *snapshot) wanted(docs engine.Documents) []lookup {
	space := s.store.spaceRef(s.space)
	var wanted []lookup
	if docs.Head {
		wanted = append(wanted, lookup{space, s.keepHead})
	}
	for _, id := range docs.Groups {
		wanted = append(wanted, lookup{s.store.groupRef(id), keepIn(s.groups, id, decodeGroup)})
	}
	for _, id := range docs.Clients {
		wanted = append(wanted, lookup{clientRef(space, id), keepIn(s.clients, id, decodeClient)})
	}
	for _, key := range docs.Keys {
		wanted = append(wanted, lookup{entryRef(space, key), keepIn(s.entries, key, decodeEntry)})
	}
	if len(wanted) == 0 {
		nothing := func(*firestore.DocumentSnapshot) error { return nil }
		wanted = append(wanted, lookup{space, nothing})
	}
	return wanted
}

func keepIn[ID comparable, T any](
	into map[ID]T, id ID, decode func(*firestore.DocumentSnapshot) (T, error),
) func(*firestore.DocumentSnapshot) error {
	return func(doc *firestore.DocumentSnapshot) error {
		value, err := decode(doc)
		if err != nil {
			return err
		}
		into[id] = value
		return nil
	}
}

func (s *snapshot) keepHead(doc *firestore.DocumentSnapshot) (err error) {
	if s.head, err = decodeHead(doc, s.space); err != nil {
		return err
	}
	s.erasedAt, err = decodeErasedAt(doc, s.head)
	return err
}

// getAll reads documents at one moment. The SDK asks again for those it has not
// got when the stream breaks off, without saying at which moment: what it then
// returns is of two (client.go, v1.29.2). Such a read is read again in a transaction,
// which has one moment; that takes two calls more, and no locks. Read times that differ
// without a break, as the API allows, come to the same.
func (s *Store) getAll(
	ctx context.Context, wanted []lookup,
) ([]*firestore.DocumentSnapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	refs := make([]*firestore.DocumentRef, len(wanted))
	for i, w := range wanted {
		refs[i] = w.ref
	}
	docs, err := s.client.GetAll(ctx, refs)
	if err == nil && !ofOneMoment(docs) {
		docs, err = s.getAllInTransaction(ctx, refs)
	}
	if err != nil {
		return nil, unavailable(ctx, "reading documents", err)
	}
	return docs, nil
}

func (s *Store) getAllInTransaction(
	ctx context.Context, refs []*firestore.DocumentRef,
) (docs []*firestore.DocumentSnapshot, err error) {
	for range momentTries {
		err = s.client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) (err error) {
			docs, err = tx.GetAll(refs)
			return err
		}, firestore.ReadOnly)
		if err == nil || !passing(err) {
			break
		}
	}
	return docs, err
}

func ofOneMoment(docs []*firestore.DocumentSnapshot) bool {
	for _, doc := range docs {
		if !doc.ReadTime.Equal(docs[0].ReadTime) {
			return false
		}
	}
	return true
}

// Head is the space's head, if it was asked for.
func (s *snapshot) Head() engine.Head { return s.head }

// Group finds a client group that was asked for.
func (s *snapshot) Group(id protocol.ClientGroupID) (engine.ClientGroup, bool) {
	g, ok := s.groups[id]
	return g, ok
}

// Client finds a client that was asked for.
func (s *snapshot) Client(id protocol.ClientID) (engine.Client, bool) {
	c, ok := s.clients[id]
	return c, ok
}

// Entry finds an entry that was asked for.
func (s *snapshot) Entry(key string) (engine.Entry, bool) {
	e, ok := s.entries[key]
	return e, ok
}

// Entries is one query that is read ahead of whoever uses its result, or several if they do
// not keep up.
func (s *snapshot) Entries(ctx context.Context, after int64) iter.Seq2[engine.Entry, error] {
	return ahead(ctx, s, entriesByVersion, nil, after, reading[engine.Entry]{
		decode: decodeEntry, size: engine.Entry.Bytes, most: entriesAhead,
		version: func(e engine.Entry) int64 { return e.Version },
	})
}

// Clients is as Entries. A group whose id is too long to ask for is looked for among all
// clients.
func (s *snapshot) Clients(
	ctx context.Context, group protocol.ClientGroupID, after int64,
) iter.Seq2[engine.Client, error] {
	clients := reading[engine.Client]{
		decode: decodeClient, size: engine.Client.Bytes, most: clientsAhead,
		version: func(c engine.Client) int64 { return c.Version },
	}
	if group != "" && len(group) <= maxBoundBytes {
		return ahead(ctx, s, groupClientsByVersion, string(group), after, clients)
	}
	all := ahead(ctx, s, clientsByVersion, nil, after, clients)
	if group == "" {
		return all
	}
	return filter(all, func(c engine.Client) bool { return c.GroupID == group })
}

// ahead reads what is above a version.
func ahead[T any](
	ctx context.Context, s *snapshot, kind shape, equal any, after int64, r reading[T],
) iter.Seq2[T, error] {
	if s.absent {
		return nothing[T](ctx)
	}
	return func(yield func(T, error) bool) {
		client, err := s.store.pulls.open(ctx)
		if err != nil {
			var none T
			yield(none, unavailable(ctx, "querying", err))
			return
		}
		r.query = s.ask(client, kind, equal, bound{">", after})
		r.ahead(ctx)(yield)
	}
}

// nothing is what is found below a space that does not exist.
func nothing[T any](ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := ctx.Err(); err != nil {
			var none T
			yield(none, unavailable(ctx, "querying", err))
		}
	}
}

// Range is one query, and less exact than asked for where Firestore does not
// take the bounds.
func (s *snapshot) Range(ctx context.Context, r engine.Range) ([]engine.Entry, error) {
	var entries []engine.Entry
	bytes := 0
	found := nothing[engine.Entry](ctx)
	if !s.absent {
		found = stream(ctx, s.askRange(r), decodeEntry)
	}
	for entry, err := range found {
		if err != nil {
			return nil, err
		}
		if entry.Key < r.From {
			continue
		}
		if r.To != "" && entry.Key >= r.To {
			break
		}
		entries = append(entries, entry)
		if bytes += entry.Bytes(); r.Full(len(entries), bytes) {
			break // A resumed query has its whole limit again.
		}
	}
	return entries, nil
}

func (s *snapshot) askRange(r engine.Range) firestore.Query {
	from := storablePrefix(r.From)
	bounds := []bound{{">=", from}}
	toIsStorable := storablePrefix(r.To) == r.To
	if r.To != "" && toIsStorable {
		bounds = append(bounds, bound{"<", r.To})
	}
	query := s.ask(s.store.client, entriesByKey, nil, bounds...)
	if r.Limit > 0 && from == r.From && toIsStorable {
		query = query.Limit(r.Limit)
	}
	return query
}

// storablePrefix is as much of a key as a query can compare with: of UTF-8 only,
// and not longer than maxBoundBytes.
func storablePrefix(key string) string {
	n := 0
	for n < len(key) {
		r, size := utf8.DecodeRuneInString(key[n:])
		if r == utf8.RuneError && size == 1 || n+size > maxBoundBytes {
			break
		}
		n += size
	}
	return key[:n]
}

// ask is a query at the snapshot's moment, for one of the store's clients. It has to be made
// anew each time: the option changes what a query shares with the collection it was made
// from.
func (s *snapshot) ask(client *firestore.Client, kind shape, equal any, bounds ...bound) firestore.Query {
	query := kind.under(headRef(client, s.space), equal, bounds...)
	return *query.WithReadOptions(firestore.ReadTime(s.moment))
}

// filter yields what is wanted, and errors.
func filter[T any](all iter.Seq2[T, error], wanted func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for value, err := range all {
			if (err != nil || wanted(value)) && !yield(value, err) {
				return
			}
		}
	}
}
