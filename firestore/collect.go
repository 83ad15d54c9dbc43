package firestore

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// purgeable yields a finder for each kind of document that a head makes useless.
func (s *Store) purgeable(ctx context.Context, snap *snapshot) iter.Seq2[finder, error] {
	ref, head := s.spaceRef(snap.space), snap.head
	return func(yield func(finder, error) bool) {
		if head.DeletedVersion > 0 {
			// The rights of members go first: who is none any more cannot come back.
			collections, err := s.foreign(ctx, ref)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, c := range collections {
				if !yield(olderThan(c, snap.erasedAt), nil) {
					return
				}
			}
			if !yield(upTo(clientsByVersion, ref, head.DeletedVersion), nil) {
				return
			}
		}
		if head.Base > 0 && !yield(upTo(entriesByVersion, ref, head.Base), nil) {
			return
		}
		if head.Floor > head.Base {
			yield(tombstonesUpTo(ref, head.Floor), nil)
		}
	}
}

func (s *Store) foreign(
	ctx context.Context, space *firestore.DocumentRef,
) ([]*firestore.CollectionRef, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	collections, err := foreign(ctx, space)
	if err != nil {
		return nil, unavailable(ctx, "listing collections", err)
	}
	return collections, nil
}

// upTo finds the documents at or below a version.
func upTo(kind shape, space *firestore.DocumentRef, version int64) finder {
	return func(ctx context.Context) ([]*firestore.DocumentSnapshot, error) {
		query := kind.under(space, nil, bound{"<=", version}).Select().Limit(purgePage)
		return query.Documents(ctx).GetAll()
	}
}

// tombstonesUpTo finds tombstones at or below the floor. The oldest come first, and
// ages grow with versions: if the first is above the floor, so are all. Mostly it is,
// and a page of those that stay would be read, and paid for, by each collection.
func tombstonesUpTo(space *firestore.DocumentRef, floor int64) finder {
	query := tombstonesByAge.under(space, nil).Select(fieldVersion)
	return func(ctx context.Context) ([]*firestore.DocumentSnapshot, error) {
		first, err := query.Limit(1).Documents(ctx).GetAll()
		if err != nil || len(first) == 0 || versionOf(first[0]) > floor {
			return nil, err
		}
		page, err := query.Limit(purgePage).Documents(ctx).GetAll()
		return slices.DeleteFunc(page, func(doc *firestore.DocumentSnapshot) bool {
			version := versionOf(doc)
			return version < 1 || version > floor
		}), err
	}
}

// versionOf is 0 for a document that has none.
func versionOf(doc *firestore.DocumentSnapshot) int64 {
	return field[int64](readFields(doc), fieldVersion)
}

// olderThan finds the documents of any collection that were last written before a
// time. What is stored below such a document stays.
func olderThan(documents *firestore.CollectionRef, before time.Time) finder {
	var last *firestore.DocumentSnapshot // of the pages in which all were younger
	return func(ctx context.Context) ([]*firestore.DocumentSnapshot, error) {
		for {
			query := byName(documents).Limit(purgePage)
			if last != nil {
				query = query.StartAfter(last)
			}
			page, err := query.Documents(ctx).GetAll()
			if err != nil || len(page) == 0 {
				return nil, err
			}
			end := page[len(page)-1]
			page = slices.DeleteFunc(page, func(doc *firestore.DocumentSnapshot) bool {
				return doc.UpdateTime.After(before)
			})
			if len(page) > 0 {
				return page, nil
			}
			last = end
		}
	}
}

// Expired is one query, which reads the tombstones that it finds.
func (s *Store) Expired(
	ctx context.Context, space protocol.SpaceID, before time.Time, limit int,
) (engine.Expired, error) {
	query := tombstonesByAge.under(s.spaceRef(space), nil, bound{"<", before}).
		Select(fieldVersion, fieldDeletedAt) // both: it is resumed behind the last
	var found engine.Expired
	for version, err := range streamUpTo(ctx, query, limit, decodeVersion) {
		if err != nil {
			return engine.Expired{}, err
		}
		found.Tombstones++
		found.Floor = max(found.Floor, version)
	}
	return found, nil
}

func decodeVersion(doc *firestore.DocumentSnapshot) (int64, error) {
	f := readFields(doc)
	version := field[int64](f, fieldVersion)
	return version, f.err
}

// Spaces lists the spaces in the order of their documents' names.
func (s *Store) Spaces(
	ctx context.Context, after protocol.SpaceID, limit int,
) ([]protocol.SpaceID, error) {
	query := spacesByName.in(s.client.Collection(spacesCollection), nil).
		Select(fieldSpace)
	if after != "" {
		query = query.StartAfter(s.spaceRef(after).ID)
	}
	var ids []protocol.SpaceID
	for id, err := range streamUpTo(ctx, query, limit, decodeSpaceID) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func decodeSpaceID(doc *firestore.DocumentSnapshot) (protocol.SpaceID, error) {
	f := readFields(doc)
	id := field[string](f, fieldSpace)
	if f.err == nil && escapeID(id) != doc.Ref.ID {
		f.fail(errors.New("field " + fieldSpace + " is not what the document is named after"))
	}
	return protocol.SpaceID(id), f.err
}
