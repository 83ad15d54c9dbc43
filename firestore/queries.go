package firestore

import "cloud.google.com/go/firestore"

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
		entriesByVersion, entriesByKey, clientsByVersion, groupClientsByVersion,
		membersByUser, membersByRole,
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
	query := space.Collection(s.collection).Query
	if s.equal != "" {
		query = query.Where(s.equal, "==", equal)
	}
	for _, b := range bounds {
		query = query.Where(s.order, b.operator, b.value)
	}
	return query.OrderBy(s.order, firestore.Asc)
}
