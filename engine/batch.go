package engine

import (
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// errStale: a refusal, or that there is nothing to do, was decided from memory.
// Only a fresh read may decide that.
var errStale = errors.New("decided from memory")

// batch is one try of one commit: what was read, what is to be written.
type batch struct {
	space *space
	base  *base
	done  *layer    // the writes of the mutations decided so far
	fresh bool      // the head was read in this very try
	snap  Snapshot  // the last one that was read
	now   time.Time // of all that it writes
	tried Commit    // the commit that was tried; the zero Commit before
	sent  time.Time // when
	head  Head      // after the commit; base.head if none was needed
}

// maxWantedBytes bounds the values that are read at once in another try.
const maxWantedBytes = 8 << 20

// wantedAfter are the keys to read at once in another try, when this one had wanted some:
// as many as a request takes, and with values that are not too much for one moment. Those
// that are left, and all if this try could not read at once, are read as they are asked for.
func (b *batch) wantedAfter(wanted []string) []string {
	if b.base == nil {
		return nil
	}
	if len(b.base.used) == 0 {
		return wanted
	}
	keys := slices.Sorted(maps.Keys(b.base.used))
	names, bytes := 0, 0
	for i, key := range keys {
		v, _ := b.base.find(key)
		names, bytes = names+len(key)+nameBytes, bytes+len(v.json)
		if names > maxNames || bytes > maxWantedBytes {
			return keys[:i]
		}
	}
	return keys
}

// nonce names the commit that was tried, "" if none was.
func (b *batch) nonce() string { return b.tried.Next.Nonce }

// open begins with what is known, which is of one version.
func (b *batch) open() {
	b.base = newBase(b.space.known.head, &b.space.known.entries)
	b.done = &layer{}
	b.head = b.base.head
	b.now = laterThan(b.head.UpdatedAt)
}

// laterThan is the time now, or the first one after last where this clock is behind
// that of who committed last: the times in a space grow with its versions.
func laterThan(last time.Time) time.Time {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if now.After(last) {
		return now
	}
	return last.UTC().Truncate(time.Microsecond).Add(time.Microsecond)
}

// load reads documents at one moment, the head always among them, and learns
// them.
func (b *batch) load(docs Documents) (Snapshot, error) {
	docs.Head = true
	ctx, cancel := b.space.storeContext()
	defer cancel()
	snap, err := b.space.engine.snapshot(ctx, b.space.id, docs)
	if err != nil {
		return nil, err
	}
	b.fresh, b.snap = true, snap
	b.space.known.learn(snap, docs)
	b.space.found(snap.Head())
	return snap, nil
}

// read fetches what the mutators asked for in vain: all keys in one round trip,
// the ranges beside them, of the last moment that was read where there are no keys. It need
// not be of the head's version: if anything has changed since, the commit will not succeed.
func (b *batch) read(keys []string, ranges []Range) error {
	ctx, cancel := b.space.storeContext()
	defer cancel()
	if len(keys) > 0 || b.snap == nil {
		snap, err := b.space.engine.snapshot(ctx, b.space.id, Documents{Keys: keys, Head: len(keys) == 0})
		if err != nil {
			return err
		}
		b.snap = snap
	}
	results := make([][]Entry, len(ranges))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i, r := range ranges {
		group.Go(func() (err error) {
			results[i], err = b.snap.Range(ctx, r)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b.addKeys(b.snap, keys)
	for i, r := range ranges {
		b.base.addRange(r, results[i])
	}
	return nil
}

func (b *batch) addKeys(snap Snapshot, keys []string) {
	for _, key := range keys {
		e, ok := snap.Entry(key)
		b.base.addEntry(key, b.base.visible(e, ok))
	}
}

// entries are the writes as they are stored. The deletion of a key that never
// had a value to be seen needs no tombstone.
func (b *batch) entries(version int64) []Entry {
	var entries []Entry
	b.done.writes.Scan(func(key string, v value) bool {
		if v.live || !b.base.absent(key) {
			e := Entry{Key: key, Value: v.json, Version: version, Deleted: !v.live}
			if e.Deleted {
				e.DeletedAt = b.now
			}
			entries = append(entries, e)
		}
		return true
	})
	return entries
}

// successor is the head after one commit.
func (b *batch) successor() Head {
	next := b.base.head
	next.Version++
	next.Nonce = b.space.engine.chance.nonce()
	next.UpdatedAt = b.now
	next.Revision = ""
	next.Private = "" // but for a readers' batch, everybody is to hear of it
	if !b.base.head.Exists() {
		next.Epoch, next.CreatedAt = b.space.engine.chance.epoch(), b.now
	}
	return next
}

// commit is the point of no return: when it succeeds, everything in c is durable
// and visible, and when its outcome is unknown, only a fresh read can tell.
func (b *batch) commit(c Commit) error {
	ctx, cancel := b.space.storeContext()
	defer cancel()
	c = c.Named()
	b.tried, b.sent = c, time.Now()
	b.space.turns.sending(b.sent)
	head, err := b.space.engine.store.Commit(ctx, b.space.id, c)
	if err != nil {
		return err
	}
	b.head = head
	b.space.turns.won(time.Since(b.sent))
	return nil
}
