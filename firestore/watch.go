package firestore

import (
	"context"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// Watch listens to the space's document and to nothing else: a listener to a
// query slows every commit (firestore.md §5.6). The SDK reconnects by itself
// after most errors, without a word and for as long as it takes; the errors after
// which it does not end the watch. So a watch may be silent although there are
// changes, and whoever relies on it polls now and then. It has no deadline, and
// occupies a stream of a connection until ctx ends; where all those for watches are occupied
// (Config.WatchConnections), it waits, silent, for one.
func (s *Store) Watch(
	ctx context.Context, space protocol.SpaceID, notify func(engine.Head),
) error {
	client, err := s.watches.open(ctx)
	if err != nil {
		return unavailable(ctx, "watching", err)
	}
	streamCtx, cancel := context.WithCancel(ctx)
	docs := headRef(client, space).Snapshots(streamCtx)
	// Stop alone only says that we send no more; cancel ends the stream.
	defer docs.Stop()
	defer cancel()

	var told time.Time // the moment of the newest head that was told
	for {
		doc, err := docs.Next()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return unavailable(ctx, "watching", err)
		}
		if told.IsZero() {
			if doc, err = s.listening(ctx, space); err != nil {
				return err
			}
		}
		if doc.ReadTime.Before(told) {
			continue
		}
		head, err := decodeHead(doc, space)
		if err != nil {
			return err
		}
		told = doc.ReadTime
		notify(head)
	}
}

// listening is what to tell first of a document that is listened to from now
// on. It reads it once more: the emulator loses one in fifty of the changes that
// are committed while a listener begins, between the state it begins with and its
// taking part in commits. It costs one read, and production is asked too.
func (s *Store) listening(
	ctx context.Context, space protocol.SpaceID,
) (*firestore.DocumentSnapshot, error) {
	docs, err := s.getAll(ctx, []lookup{{ref: s.spaceRef(space)}})
	if err != nil {
		return nil, err
	}
	return docs[0], nil
}
