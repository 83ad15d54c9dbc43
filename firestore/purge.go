package firestore

import (
	"context"
	"errors"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

const (
	// purgePage is how many entries are deleted at once: enough that a page costs
	// more than its round trips, few enough that other commits need not wait long.
	purgePage = 250
	// purgeTries bounds how often in a row a page may be lost to others who write
	// the same entries.
	purgeTries = 10
)

// Purge deletes the entries at or below the base, page by page, each on the
// condition that it is still the document that was found: a key that was written
// again in the meantime is above the base and survives. What was deleted in a
// page whose reply was lost is not in the count.
func (s *Store) Purge(ctx context.Context, space protocol.SpaceID) (int, error) {
	snap, err := s.Snapshot(ctx, space, engine.Documents{Head: true})
	if err != nil {
		return 0, err
	}
	base := snap.Head().Base
	if base == 0 {
		return 0, nil
	}
	purged := 0
	for try := 0; ; {
		page, err := s.purgeable(ctx, space, base)
		if err != nil || len(page) == 0 {
			return purged, err
		}
		response, err := s.transact(ctx, func(tx *firestore.Transaction) error {
			return deleteAll(tx, page)
		})
		switch {
		case err == nil:
			purged += len(page)
			s.purges.note(space, response.CommitTime())
			try = 0
		case ctx.Err() == nil && again(err) && try < purgeTries:
			// Look again: whatever was in the way shows in what there is now.
			try++
		default:
			// Of one kind only: whether this page is gone matters to nobody.
			return purged, unavailable(ctx, "purging", errors.New(err.Error()))
		}
	}
}

// again reports whether a page that failed with err is worth another look.
func again(err error) bool {
	return errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrUnknownOutcome)
}

// purgeable finds a page of what is to be purged: names and update times.
func (s *Store) purgeable(
	ctx context.Context, space protocol.SpaceID, base int64,
) ([]*firestore.DocumentSnapshot, error) {
	query := entriesByVersion.under(s.spaceRef(space), nil, bound{"<=", base}).
		Select().Limit(purgePage)
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	page, err := query.Documents(ctx).GetAll()
	if err != nil {
		return nil, unavailable(ctx, "looking for entries to purge", err)
	}
	return page, nil
}

func deleteAll(tx *firestore.Transaction, page []*firestore.DocumentSnapshot) error {
	for _, doc := range page {
		if err := tx.Delete(doc.Ref, firestore.LastUpdateTime(doc.UpdateTime)); err != nil {
			return err
		}
	}
	return nil
}
