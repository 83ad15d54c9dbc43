package firestore

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/protocol"
)

// Commit is one transaction without reads: two RPCs. It returns at the latest 5 s
// after ctx has ended, which is how long the SDK tries to roll back.
func (s *Store) Commit(
	ctx context.Context, space protocol.SpaceID, c engine.Commit,
) (engine.Head, error) {
	if err := check(space, c); err != nil {
		return engine.Head{}, err
	}
	condition, err := condition(c.Prev)
	if err != nil {
		return engine.Head{}, err
	}
	head := storedHead(c.Next)
	fields := headFields(space, head)
	if c.Prev.Deleted() {
		fields[fieldErasedAt], err = written(c.Prev)
		if err != nil {
			return engine.Head{}, err
		}
	}
	response, err := s.transact(ctx, func(tx *firestore.Transaction) error {
		return s.write(tx, space, fields, condition, c)
	})
	if err != nil {
		return engine.Head{}, err
	}
	head.Revision = revision(headTime(response))
	return head, nil
}

// headTime is when the head, written last, was updated: at the time of the commit,
// like all its documents, as far as is known (firestore.md §4).
func headTime(response *firestore.CommitResponse) time.Time {
	results, err := response.WriteResults()
	if err != nil || len(results) == 0 {
		return response.CommitTime()
	}
	return results[len(results)-1].UpdateTime
}

// check refuses, before any RPC, what breaks the invariants or what Firestore
// cannot hold. After it, only the size of the whole is left to find out.
func check(space protocol.SpaceID, c engine.Commit) error {
	if err := fsck.CheckCommit(space, c); err != nil {
		return err
	}
	texts := []string{c.Next.Epoch, c.Next.Nonce, c.Next.Importing}
	for _, g := range c.Groups {
		texts = append(texts, g.UserID)
	}
	for _, text := range texts {
		// gRPC cannot send it, and would call it an unknown outcome.
		if !utf8.ValidString(text) {
			return fmt.Errorf("%w: %.100q is not UTF-8", engine.ErrImpossible, text)
		}
	}
	return nil
}

// write is everything that c changes. Its head comes last, for the emulator's
// sake (emulator.go).
func (s *Store) write(
	tx *firestore.Transaction, space protocol.SpaceID, head map[string]any,
	condition firestore.Precondition, c engine.Commit,
) error {
	ref := s.spaceRef(space)
	absent := make(map[string]bool, len(c.Absent))
	for _, key := range c.Absent {
		absent[key] = true
	}
	var errs []error
	for _, g := range c.Groups {
		errs = append(errs, tx.Create(s.groupRef(g.ID), groupFields(g)))
	}
	for _, client := range c.Clients {
		errs = append(errs, tx.Set(clientRef(ref, client.ID), clientFields(client)))
	}
	for _, e := range c.Entries {
		errs = append(errs, writeEntry(tx, entryRef(ref, e.Key), e, absent[e.Key]))
	}
	errs = append(errs, writeHead(tx, ref, head, condition))
	return errors.Join(errs...)
}

// writeEntry creates the entry if it must be absent, else it may replace one.
func writeEntry(tx *firestore.Transaction, ref *firestore.DocumentRef, e engine.Entry, absent bool) error {
	if absent {
		return tx.Create(ref, entryFields(e))
	}
	return tx.Set(ref, entryFields(e))
}

// writeHead creates the head, or replaces its fields on the condition. The SDK's
// Set takes no condition; Update does, and leaves alone what it does not name, so
// it names all fields there can be, but for the one that stays as it is once it is there.
func writeHead(
	tx *firestore.Transaction, ref *firestore.DocumentRef,
	fields map[string]any, condition firestore.Precondition,
) error {
	if condition == nil {
		return tx.Create(ref, fields)
	}
	updates := make([]firestore.Update, 0, len(fields)+7)
	for name, value := range fields {
		updates = append(updates, firestore.Update{FieldPath: []string{name}, Value: value})
	}
	for _, name := range []string{
		fieldHistory, fieldRestoredAt, fieldDeletedAt, fieldDeletedVersion, fieldImporting, fieldImported, fieldPrivate,
	} {
		if _, ok := fields[name]; !ok {
			updates = append(updates, firestore.Update{
				FieldPath: []string{name}, Value: firestore.Delete,
			})
		}
	}
	return tx.Update(ref, updates, condition)
}

// transact commits the writes that f makes, once: trying again is for the engine,
// which reads again first.
func (s *Store) transact(
	ctx context.Context, f func(*firestore.Transaction) error,
) (*firestore.CommitResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for {
		t := s.prepared.take()
		if t == nil {
			return s.begin(ctx).commit(ctx, f)
		}
		response, err := t.commit(ctx, f)
		if !errors.Is(err, errNotBegun) {
			return response, err
		}
	}
}

// revision is the update time of the head's document: Firestore gives each
// change of a document a later one (firestore.md §3.3).
func revision(updated time.Time) string { return updated.UTC().Format(time.RFC3339Nano) }

// condition is that the head is still prev: nil if there must be none.
func condition(prev engine.Head) (firestore.Precondition, error) {
	if prev.Revision == "" {
		return nil, nil
	}
	updated, err := written(prev)
	if err != nil {
		return nil, err
	}
	return firestore.LastUpdateTime(updated), nil
}

// written is when a head was written.
func written(h engine.Head) (time.Time, error) {
	updated, err := time.Parse(time.RFC3339Nano, h.Revision)
	if err != nil {
		// It is the name of no document of ours, so no document has it now.
		return time.Time{}, fmt.Errorf("%w: revision: %w", engine.ErrConflict, err)
	}
	return updated, nil
}
