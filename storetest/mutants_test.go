package storetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// onto commits c onto whatever the head is.
func onto(
	ctx context.Context, store engine.Store, space protocol.SpaceID, c engine.Commit,
) (engine.Head, error) {
	for {
		snap, err := store.Snapshot(ctx, space, engine.Documents{Head: true})
		if err != nil {
			return engine.Head{}, err
		}
		c.Prev = snap.Head()
		c.Next.Version = c.Prev.Version + 1
		for i := range c.Entries {
			c.Entries[i].Version = c.Next.Version
		}
		for i := range c.Clients {
			c.Clients[i].Version = c.Next.Version
		}
		if head, err := store.Commit(ctx, space, c); !errors.Is(err, engine.ErrConflict) {
			return head, err
		}
	}
}

// becomes changes the kind of a commit's errors.
func becomes(from, to error) func(engine.Store) engine.Store {
	return hooks(hooked{commit: func(
		ctx context.Context, s engine.Store, space protocol.SpaceID, c engine.Commit,
	) (engine.Head, error) {
		head, err := s.Commit(ctx, space, c)
		if errors.Is(err, from) {
			return head, to
		}
		return head, err
	}})
}

// edits changes commits on their way.
func edits(edit func(*engine.Commit)) func(engine.Store) engine.Store {
	return hooks(hooked{commit: func(
		ctx context.Context, s engine.Store, space protocol.SpaceID, c engine.Commit,
	) (engine.Head, error) {
		want := c.Next
		c.Entries, c.Clients = slices.Clone(c.Entries), slices.Clone(c.Clients)
		edit(&c)
		head, err := s.Commit(ctx, space, c)
		want.Revision = head.Revision
		return want, err
	}})
}

func commitMutants() map[string]mutant {
	checked, both := new(atomic.Int64), make(chan struct{})
	return map[string]mutant{
		"precondition ignored": {"StaleCommitConflicts", hooks(hooked{commit: onto})},
		"check then act": {"OneWinnerForEachVersion", hooks(hooked{commit: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID, c engine.Commit,
		) (engine.Head, error) {
			snap, err := s.Snapshot(ctx, space, engine.Documents{Head: true})
			if err != nil || snap.Head().Revision != c.Prev.Revision {
				return engine.Head{}, engine.ErrConflict
			}
			if checked.Add(1) == 2 {
				close(both)
			}
			<-both // another racer has checked, too
			return onto(ctx, s, space, c)
		}})},
		"existing groups ignored": {"ExistingGroupConflicts", hooks(hooked{commit: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID, c engine.Commit,
		) (engine.Head, error) {
			head, err := s.Commit(ctx, space, c)
			if errors.Is(err, engine.ErrConflict) {
				c.Groups = nil
				return s.Commit(ctx, space, c)
			}
			return head, err
		}})},
		"stored entries ignored":        {"StoredEntryConflicts", edits(func(c *engine.Commit) { c.Absent = nil })},
		"conflict called unavailable":   {"StaleCommitConflicts", becomes(engine.ErrConflict, engine.ErrUnavailable)},
		"impossible called unavailable": {"ImpossibleCommits", becomes(engine.ErrImpossible, engine.ErrUnavailable)},
		"lost reply called conflict":    {"LostReply", becomes(engine.ErrUnknownOutcome, engine.ErrConflict)},
		"lost reply called unavailable": {"LostReplyOfTheFirst", becomes(engine.ErrUnknownOutcome, engine.ErrUnavailable)},
		"failure called success":        {"FailureBeforeCommit", becomes(engine.ErrUnknownOutcome, nil)},
		"no revision": {"FirstCommitCreates", hooks(hooked{commit: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID, c engine.Commit,
		) (engine.Head, error) {
			_, err := s.Commit(ctx, space, c)
			return c.Next, err
		}})},
		"milliseconds": {"TimesRoundTrip", edits(func(c *engine.Commit) {
			for i := range c.Clients {
				c.Clients[i].LastSeen = c.Clients[i].LastSeen.Truncate(time.Millisecond)
			}
		})},
		"1970 for never": {"TimesRoundTrip", lenses(lens{head: func(h engine.Head) engine.Head {
			if h.Exists() && h.RestoredAt.IsZero() {
				h.RestoredAt = time.Unix(0, 0)
			}
			return h
		}})},
		"everybody told": {"PrivateRoundTrips", lenses(lens{head: func(h engine.Head) engine.Head {
			h.Private = ""
			return h
		}})},
		"names dropped": {"NamesRoundTrip", lenses(lens{head: func(h engine.Head) engine.Head {
			h.History = ""
			return h
		}})},
		"names kept from before": {"NamesRoundTrip", func(s engine.Store) engine.Store {
			var last atomic.Value
			last.Store(engine.History(""))
			return lenses(lens{head: func(h engine.Head) engine.Head {
				if h.History != "" {
					last.Store(h.History)
				}
				h.History, _ = last.Load().(engine.History)
				return h
			}})(s)
		}},
		"rejections dropped": {"RejectionsRoundTrip", edits(func(c *engine.Commit) {
			for i := range c.Clients {
				c.Clients[i].Rejections = nil
			}
		})},
		"deletions without a tombstone": {"VersionsCountUp", edits(func(c *engine.Commit) {
			c.Entries = slices.DeleteFunc(c.Entries, func(e engine.Entry) bool { return e.Deleted })
		})},
		"clients forgotten": {"FirstCommitCreates", edits(func(c *engine.Commit) { c.Clients = nil })},
		"half a large commit": {"LargeCommit", edits(func(c *engine.Commit) {
			c.Entries = c.Entries[:min(len(c.Entries), 250)]
		})},
	}
}

func readMutants() map[string]mutant {
	return map[string]mutant{
		"entries from the version itself": {"EntriesByVersion", lenses(lens{
			after: func(v int64) int64 { return max(v, -9) - 1 },
		})},
		"entries backwards": {"EntriesByVersion", lenses(lens{entries: func(
			all iter.Seq2[engine.Entry, error],
		) iter.Seq2[engine.Entry, error] {
			return func(yield func(engine.Entry, error) bool) {
				var entries []engine.Entry
				for e, err := range all {
					if err != nil {
						yield(e, err)
						return
					}
					entries = append(entries, e)
				}
				for _, e := range slices.Backward(entries) {
					if !yield(e, nil) {
						return
					}
				}
			}
		}})},
		"entries twice": {"LargeSpace", lenses(lens{entries: func(
			all iter.Seq2[engine.Entry, error],
		) iter.Seq2[engine.Entry, error] {
			return func(yield func(engine.Entry, error) bool) {
				n := 0
				for e, err := range all {
					if n++; !yield(e, err) || n == 1_000 && !yield(e, err) {
						return
					}
				}
			}
		}})},
		"goes on behind the version": {"SlowReadersMissNothing", lenses(lens{entries: func(
			all iter.Seq2[engine.Entry, error],
		) iter.Seq2[engine.Entry, error] {
			return func(yield func(engine.Entry, error) bool) {
				bytes, last := 0, int64(0)
				for e, err := range all {
					if bytes > 512<<10 && e.Version == last {
						continue
					}
					if bytes += e.Bytes(); !yield(e, err) {
						return
					}
					last = e.Version
				}
			}
		}})},
		"limit ignored": {"RangeBounds", ranges(func(r engine.Range) engine.Range {
			r.Limit = 0
			return r
		})},
		"bytes ignored": {"RangeBounds", ranges(func(r engine.Range) engine.Range {
			r.MaxBytes = 0
			return r
		})},
		"end included": {"RangeBounds", ranges(func(r engine.Range) engine.Range {
			if r.To != "" {
				r.To += "\x00"
			}
			return r
		})},
		"end ignored": {"RangeBounds", ranges(func(r engine.Range) engine.Range {
			r.To = ""
			return r
		})},
		"UTF-16 order": {"RangeByBytes", lenses(lens{ranges: func(
			ctx context.Context, s engine.Snapshot, r engine.Range,
		) ([]engine.Entry, error) {
			all, err := s.Range(ctx, r)
			slices.SortFunc(all, func(a, b engine.Entry) int {
				return slices.Compare(utf16.Encode([]rune(a.Key)), utf16.Encode([]rune(b.Key)))
			})
			return all, err
		}})},
		"another text of the same value": {"EveryShapeOfValue", lenses(lens{ranges: func(
			ctx context.Context, s engine.Snapshot, r engine.Range,
		) ([]engine.Entry, error) {
			all, err := s.Range(ctx, r)
			for i, e := range all {
				all[i].Value = bytes.ReplaceAll(e.Value, []byte("/"), []byte(`\/`))
			}
			return all, err
		}})},
		"group ignored": {"ClientsByGroupAndVersion", lenses(lens{
			group: func(protocol.ClientGroupID) protocol.ClientGroupID { return "" },
		})},
		"unnamed documents": {"SnapshotShowsWhatWasNamed", hooks(hooked{
			docs: func(d engine.Documents) engine.Documents {
				d.Head, d.Keys = true, append(d.Keys, "a")
				return d
			},
		})},
		"a snapshot kept": {"CommitIsSeenAtOnce", func(s engine.Store) engine.Store {
			var kept engine.Snapshot
			return hooks(hooked{snapshot: func(snap engine.Snapshot) engine.Snapshot {
				if kept == nil || kept.Head().Version < snap.Head().Version-1 {
					kept = snap
				}
				return kept
			}})(s)
		}},
		"reads of now": {"SnapshotStandsStill", func(s engine.Store) engine.Store {
			return &lively{s}
		}},
		"contexts ignored": {"EndedContexts", hooks(hooked{context: context.WithoutCancel})},
	}
}

func ranges(edit func(engine.Range) engine.Range) func(engine.Store) engine.Store {
	return lenses(lens{ranges: func(
		ctx context.Context, s engine.Snapshot, r engine.Range,
	) ([]engine.Entry, error) {
		return s.Range(ctx, edit(r))
	}})
}

// lively has snapshots whose further reads are of the moment they are made.
type lively struct{ engine.Store }

func (l *lively) Snapshot(
	ctx context.Context, space protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	snap, err := l.Store.Snapshot(ctx, space, docs)
	return &lens{Snapshot: snap, ranges: func(
		ctx context.Context, _ engine.Snapshot, r engine.Range,
	) ([]engine.Entry, error) {
		now, err := l.Store.Snapshot(ctx, space, docs)
		if err != nil {
			return nil, err
		}
		return now.Range(ctx, r)
	}}, err
}

func idMutants() map[string]mutant {
	key := func(change func(string) string) func(engine.Store) engine.Store {
		return edits(func(c *engine.Commit) {
			for i := range c.Entries {
				c.Entries[i].Key = change(c.Entries[i].Key)
			}
		})
	}
	value := func(change func(json.RawMessage) json.RawMessage) func(engine.Store) engine.Store {
		return edits(func(c *engine.Commit) {
			for i, e := range c.Entries {
				if !e.Deleted {
					c.Entries[i].Value = change(e.Value)
				}
			}
		})
	}
	return map[string]mutant{
		"slash escaped, percent not": {"KeysMadeToHurt", key(func(k string) string {
			return strings.ReplaceAll(k, "/", "%2F")
		})},
		"keys trimmed": {"KeysMadeToHurt", key(strings.TrimSpace)},
		"keys cut": {"KeysMadeToHurt", key(func(k string) string {
			return k[:min(len(k), engine.MaxKeyBytes-1)]
		})},
		"paths cleaned": {"IDsMadeToHurt", hooks(hooked{
			space: func(s protocol.SpaceID) protocol.SpaceID {
				return protocol.SpaceID(path.Clean(string(s)))
			},
		})},
		"case folded": {"IDsMadeToHurt", hooks(hooked{
			space: func(s protocol.SpaceID) protocol.SpaceID {
				return protocol.SpaceID(strings.ToLower(string(s)))
			},
		})},
		"clients' NULs lost": {"GroupIDsMadeToHurt", edits(func(c *engine.Commit) {
			for i := range c.Clients {
				id := string(c.Clients[i].ID)
				c.Clients[i].ID = protocol.ClientID(strings.ReplaceAll(id, "\x00", ""))
			}
		})},
		"whole numbers only": {"EveryShapeOfValue", value(func(v json.RawMessage) json.RawMessage {
			if strings.ContainsAny(string(v), ".e") && json.Valid([]byte("["+string(v)+"]")) &&
				!strings.ContainsAny(string(v), `"[{`) {
				return json.RawMessage("0")
			}
			return v
		})},
		"empty names lost": {"AnyValue", value(func(v json.RawMessage) json.RawMessage {
			return json.RawMessage(strings.ReplaceAll(string(v), `"":`, `"empty":`))
		})},
		"large values cut": {"LargeValues", value(func(v json.RawMessage) json.RawMessage {
			if len(v) > 500_000 {
				return json.RawMessage(`"cut"`)
			}
			return v
		})},
	}
}

func otherMutants() map[string]mutant {
	return map[string]mutant{
		"purge does nothing": {"PurgeBelowBase", hooks(hooked{purge: func(
			context.Context, engine.Store, protocol.SpaceID,
		) (int, error) {
			return 0, nil
		}})},
		"purge counts only": {"PurgeMany", hooks(hooked{purge: func(
			context.Context, engine.Store, protocol.SpaceID,
		) (int, error) {
			return 1_100, nil
		}})},
		"purge is a change": {"PurgeBelowBase", hooks(hooked{purge: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID,
		) (int, error) {
			n, err := s.Purge(ctx, space)
			if err != nil {
				return n, err
			}
			_, err = onto(ctx, s, space, storetest.Step(engine.Head{}))
			return n, err
		}})},
		"purge takes all tombstones": {"PurgeBelowFloor", edits(func(c *engine.Commit) {
			if slices.ContainsFunc(c.Entries, func(e engine.Entry) bool { return e.Deleted }) {
				c.Next.Floor = c.Next.Version
			}
		})},
		"clients survive the space": {"PurgeDeleted", edits(func(c *engine.Commit) {
			c.Next.DeletedVersion = min(c.Next.DeletedVersion, 1)
		})},
		"tombstones are for ever": {"ExpiredTombstones", edits(func(c *engine.Commit) {
			for i := range c.Entries {
				c.Entries[i].DeletedAt = time.Time{}
			}
		})},
		"expired one too low": {"ExpiredTombstones", hooks(hooked{expired: func(
			x engine.Expired, _ int,
		) engine.Expired {
			x.Floor = max(0, x.Floor-1)
			return x
		}})},
		"spaces without the first": {"Spaces", hooks(hooked{spaces: func(
			ids []protocol.SpaceID,
		) []protocol.SpaceID {
			return ids[min(len(ids), 1):]
		}})},
		"watch of nothing": {"WatchTellsTheHeadAtOnce", hooks(hooked{watch: func(
			ctx context.Context, _ engine.Store, _ protocol.SpaceID, _ func(engine.Head),
		) error {
			<-ctx.Done()
			return ctx.Err()
		}})},
		"watch tells once": {"WatchTellsEachChange", hooks(hooked{watch: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID, notify func(engine.Head),
		) error {
			var once sync.Once
			return s.Watch(ctx, space, func(h engine.Head) { once.Do(func() { notify(h) }) })
		}})},
		"watch tells the first 3": {"WatchOfASlowReader", hooks(hooked{watch: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID, notify func(engine.Head),
		) error {
			return s.Watch(ctx, space, func(h engine.Head) {
				if h.Version < 3 {
					notify(h)
				}
			})
		}})},
		"watch without revisions": {"WatchTellsOthersChanges", hooks(hooked{watch: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID, notify func(engine.Head),
		) error {
			return s.Watch(ctx, space, func(h engine.Head) {
				h.Revision = ""
				notify(h)
			})
		}})},
		"watch ends by itself": {"WatchByMany", hooks(hooked{watch: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID, notify func(engine.Head),
		) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			return s.Watch(ctx, space, func(h engine.Head) {
				notify(h)
				cancel()
			})
		}})},
		"wipe goes unseen": {"WatchAfterWipe", hooks(hooked{watch: func(
			ctx context.Context, s engine.Store, space protocol.SpaceID, notify func(engine.Head),
		) error {
			return s.Watch(ctx, space, func(h engine.Head) {
				if h.Exists() {
					notify(h)
				}
			})
		}})},
	}
}
