package firestore

import (
	"context"
	"errors"
	"fmt"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

const (
	// purgePage is how many documents are deleted at once: enough that a page costs
	// more than its round trips, few enough that other commits need not wait long.
	purgePage = 250
	// purgeTries bounds how often in a row a page may be lost to others who write
	// the same documents.
	purgeTries = 10
)

// finder finds a page of documents to be purged: names and update times. An empty
// page says that there are no more.
type finder func(ctx context.Context) ([]*firestore.DocumentSnapshot, error)

// Purge deletes what engine.Store says, page by page, each document on the condition
// that it is still the one that was found: a key that was written again in the
// meantime survives. What was deleted in a page whose reply was lost is not in the
// count.
func (s *Store) Purge(ctx context.Context, space protocol.SpaceID) (int, error) {
	snap, err := s.read(ctx, space, engine.Documents{Head: true})
	if err != nil {
		return 0, err
	}
	purged := 0
	for find, err := range s.purgeable(ctx, snap) {
		if err != nil {
			return purged, err
		}
		n, err := s.purge(ctx, space, find)
		purged += n
		if err != nil {
			return purged, err
		}
	}
	return purged, nil
}

// purge deletes all that find finds.
func (s *Store) purge(ctx context.Context, space protocol.SpaceID, find finder) (int, error) {
	purged := 0
	for try := 0; ; {
		page, err := s.find(ctx, find)
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

func (s *Store) find(ctx context.Context, find finder) ([]*firestore.DocumentSnapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	page, err := find(ctx)
	if err != nil {
		return nil, unavailable(ctx, "looking for documents to purge", err)
	}
	return page, nil
}

func deleteAll(tx *firestore.Transaction, page []*firestore.DocumentSnapshot) error {
	for _, doc := range page {
		if err := tx.Delete(doc.Ref, firestore.LastUpdateTime(doc.UpdateTime)); err != nil {
			return fmt.Errorf("deleting %s: %w", doc.Ref.ID, err)
		}
	}
	return nil
}
