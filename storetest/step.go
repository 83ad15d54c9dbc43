package storetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// began is when all test data begins: its microseconds are what stores keep of a
// time, and must keep.
var began = time.Date(2026, time.March, 4, 5, 6, 7, 890_123_000, time.UTC)

// at is a time of its own for each version.
func at(version int64) time.Time {
	return began.Add(time.Duration(version) * time.Microsecond)
}

// Change is a part of a commit, for Step.
type Change func(*engine.Commit)

// Step makes the commit that follows prev with the changes in it, all of them at
// its version. The nonce, and at creation the epoch, are random; the times are
// made up.
func Step(prev engine.Head, changes ...Change) engine.Commit {
	next := prev
	next.Version++
	next.Nonce = rand.Text()
	next.UpdatedAt = at(next.Version)
	next.Revision, next.Private = "", ""
	if !prev.Exists() {
		next.Epoch = rand.Text()
		next.CreatedAt = next.UpdatedAt
	}
	c := engine.Commit{Prev: prev, Next: next}
	for _, change := range changes {
		change(&c)
	}
	return c.Named()
}

// Apply commits what follows the space's head, with the changes in it.
func Apply(
	ctx context.Context, store engine.Store, space protocol.SpaceID, changes ...Change,
) error {
	snap, err := store.Snapshot(ctx, space, engine.Documents{Head: true})
	if err != nil {
		return err
	}
	_, err = store.Commit(ctx, space, Step(snap.Head(), changes...))
	return err
}

// Put gives key a value, which is JSON: its canonical text, if there is one.
func Put(key, value string) Change {
	return func(c *engine.Commit) {
		c.Entries = append(c.Entries, engine.Entry{
			Key: key, Value: canonical(value), Version: c.Next.Version,
		})
	}
}

func canonical(value string) json.RawMessage {
	text, err := protocol.Canonical(json.RawMessage(value))
	if err != nil {
		return json.RawMessage(value)
	}
	return text
}

// Del writes key's tombstone, made at the commit's time.
func Del(key string) Change {
	return func(c *engine.Commit) {
		c.Entries = append(c.Entries, engine.Entry{
			Key: key, Version: c.Next.Version, Deleted: true, DeletedAt: at(c.Next.Version),
		})
	}
}

// Absent has the commit refused if key, which it also writes, is stored.
func Absent(key string) Change {
	return func(c *engine.Commit) { c.Absent = append(c.Absent, key) }
}

// Client writes a client whole.
func Client(
	id protocol.ClientID, group protocol.ClientGroupID, lastMutationID int64,
	rejections ...engine.Rejection,
) Change {
	return func(c *engine.Commit) {
		c.Clients = append(c.Clients, engine.Client{
			ID: id, GroupID: group, LastMutationID: lastMutationID,
			Version: c.Next.Version, Rejections: rejections,
			LastSeen: at(c.Next.Version),
		})
	}
}

// Group creates a client group of the space.
func Group(id protocol.ClientGroupID, user string, space protocol.SpaceID) Change {
	return func(c *engine.Commit) {
		c.Groups = append(c.Groups, engine.ClientGroup{
			ID: id, UserID: user, Space: space, CreatedAt: at(c.Next.Version),
		})
	}
}

// Floor raises the floor.
func Floor(version int64) Change {
	return func(c *engine.Commit) { c.Next.Floor = version }
}

// Delete deletes the space: a reset after which the clients of before are gone too.
func Delete() Change {
	return func(c *engine.Commit) {
		Reset()(c)
		c.Next.DeletedVersion, c.Next.DeletedAt = c.Next.Version, c.Next.UpdatedAt
	}
}

// Reset moves base and floor to the commit's version and changes the epoch: what
// was written before is gone.
func Reset() Change {
	return func(c *engine.Commit) {
		c.Next.Base, c.Next.Floor = c.Next.Version, c.Next.Version
		c.Next.Epoch = rand.Text()
	}
}
