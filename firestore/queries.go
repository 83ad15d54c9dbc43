package firestore

import (
	"context"
	"slices"

	"cloud.google.com/go/firestore"
)

// shape is a kind of query: which index it needs, which is all that production
// wants to know beforehand. Every query of this package is made from one, and
// a test compares them with firestore.indexes.json: the emulator answers a
// query without its index, production refuses it.
type shape struct {
	// collection is the id of the collections that are queried.
	collection string
	// equal is the field compared with one value, "" for none.
	equal string
	// order is the field the result is ordered and bounded by, ascending.
	order string
}

var (
	// entriesByVersion finds what has changed since a cookie, and what lies at or
	// below the base.
	entriesByVersion = shape{collection: entriesCollection, order: fieldVersion}
	// entriesByKey finds what a mutator scans.
	entriesByKey = shape{collection: entriesCollection, order: fieldKey}
	// tombstonesByAge finds tombstones, the oldest first: other entries lack the
	// field, so that the index costs them nothing.
	tombstonesByAge = shape{collection: entriesCollection, order: fieldDeletedAt}
	// spacesByName lists the spaces. Names are always indexed.
	spacesByName = shape{collection: spacesCollection, order: firestore.DocumentID}
	// clientsByVersion finds all clients of a space.
	clientsByVersion = shape{collection: clientsCollection, order: fieldVersion}
	// groupClientsByVersion finds the acknowledgements a pull delivers.
	groupClientsByVersion = shape{
		collection: clientsCollection, equal: fieldGroupID, order: fieldVersion,
	}
	// membersByUser lists the members of a space.
	membersByUser = shape{collection: membersCollection, order: fieldUserID}
	// membersByRole finds the owners of a space.
	membersByRole = shape{collection: membersCollection, order: fieldRole}

	shapes = []shape{
		entriesByVersion, entriesByKey, tombstonesByAge, spacesByName,
		clientsByVersion, groupClientsByVersion, membersByUser, membersByRole,
	}
)

// bound is one end of the range of a query's order field.
type bound struct {
	operator string
	value    any
}

// under is the query below a space's document. equal is ignored by a shape
// without an equal field.
func (s shape) under(space *firestore.DocumentRef, equal any, bounds ...bound) firestore.Query {
	return s.in(space.Collection(s.collection), equal, bounds...)
}

// in is the query in a collection.
func (s shape) in(documents *firestore.CollectionRef, equal any, bounds ...bound) firestore.Query {
	query := documents.Query
	if s.equal != "" {
		query = query.Where(s.equal, "==", equal)
	}
	for _, b := range bounds {
		query = query.Where(s.order, b.operator, b.value)
	}
	return query.OrderBy(s.order, firestore.Asc)
}

// position is a document of a query that is ordered by versions. It does not keep the
// document in memory.
type position struct {
	version int64
	id      string
}

// behind is the rest of a query: it is ordered by names too, which it is without saying so.
func (p position) behind(query firestore.Query) firestore.Query {
	return query.OrderBy(firestore.DocumentID, firestore.Asc).StartAfter(p.version, p.id)
}

// foreign are the collections below a space's document that this package does not
// know.
func foreign(ctx context.Context, space *firestore.DocumentRef) ([]*firestore.CollectionRef, error) {
	all, err := space.Collections(ctx).GetAll()
	return slices.DeleteFunc(all, func(c *firestore.CollectionRef) bool {
		return c.ID == entriesCollection || c.ID == clientsCollection
	}), err
}

// byName are the documents of a collection in the order of their names, without
// their fields.
func byName(documents *firestore.CollectionRef) firestore.Query {
	return documents.Select().OrderBy(firestore.DocumentID, firestore.Asc)
}
