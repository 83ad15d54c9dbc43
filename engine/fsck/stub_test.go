package fsck_test

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// stub is a store that shows what a test tells it, right or wrong. Each way into
// the data is a field of its own.
type stub struct {
	engine.Store // nil: what Check must not call

	head      engine.Head
	byVersion []engine.Entry
	byKey     []engine.Entry
	entryByID map[string]engine.Entry
	clients   []engine.Client
	byGroup   map[protocol.ClientGroupID][]engine.Client
	client    map[protocol.ClientID]engine.Client
	groups    map[protocol.ClientGroupID]engine.ClientGroup

	// broken is what a way in fails with, by its name.
	broken map[string]error
	// snapshots counts; moves changes the head for the second one and on.
	snapshots int
	moves     bool
	// most is how many bytes of entries one reading by key or by id has had at the most.
	most int
}

// measure takes note of what one reading has.
func (s *stub) measure(entries []engine.Entry) {
	bytes := 0
	for _, e := range entries {
		bytes += e.Bytes()
	}
	s.most = max(s.most, bytes)
}

// healthy is a space with all sorts of documents and nothing wrong.
func healthy() *stub {
	s := &stub{
		head: engine.Head{
			Version: 9, Epoch: "e", Nonce: "n", Revision: "r", Base: 2, Floor: 3,
		},
		byVersion: []engine.Entry{
			{Key: "below base", Version: 1, Value: json.RawMessage(`1`)},
			{Key: "b", Version: 4, Value: json.RawMessage(`{"a":[1]}`)},
			{Key: "", Version: 4, Value: json.RawMessage(`null`)},
			{Key: "gone", Version: 5, Deleted: true},
			{Key: strings.Repeat("k", engine.MaxKeyBytes), Version: 9, Value: json.RawMessage(`""`)},
		},
		clients: []engine.Client{
			{ID: "c", GroupID: "g", LastMutationID: 7, Version: 9, Rejections: []engine.Rejection{
				{MutationID: 2, Version: 3}, {MutationID: 7, Version: 9},
			}},
			{ID: "d", GroupID: "g", LastMutationID: 1, Version: 1},
			{ID: "x", GroupID: "h", LastMutationID: protocol.MaxMutationID, Version: 2},
		},
		groups: map[protocol.ClientGroupID]engine.ClientGroup{
			"g": {ID: "g", Space: "s"}, "h": {ID: "h", Space: "s"},
		},
		broken: map[string]error{},
	}
	s.index()
	return s
}

// index makes all ways in agree with byVersion and clients.
func (s *stub) index() {
	s.byKey = slices.SortedFunc(slices.Values(s.byVersion), func(a, b engine.Entry) int {
		return strings.Compare(a.Key, b.Key)
	})
	s.entryByID = map[string]engine.Entry{}
	for _, e := range s.byVersion {
		s.entryByID[e.Key] = e
	}
	s.byGroup = map[protocol.ClientGroupID][]engine.Client{}
	s.client = map[protocol.ClientID]engine.Client{}
	for _, c := range s.clients {
		s.byGroup[c.GroupID] = append(s.byGroup[c.GroupID], c)
		s.client[c.ID] = c
	}
}

func (s *stub) Snapshot(
	ctx context.Context, _ protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	if s.snapshots++; s.snapshots == 2 && s.moves {
		s.head.Revision = "moved"
	}
	if s.snapshots > 1 {
		var named []engine.Entry
		for _, key := range docs.Keys {
			named = append(named, s.entryByID[key])
		}
		s.measure(named)
		return &stubSnapshot{stub: s, docs: docs}, s.broken["second snapshot"]
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &stubSnapshot{stub: s, docs: docs}, s.broken["snapshot"]
}

type stubSnapshot struct {
	*stub
	docs engine.Documents
}

func (s *stubSnapshot) Head() engine.Head { return s.head }

func (s *stubSnapshot) Group(id protocol.ClientGroupID) (engine.ClientGroup, bool) {
	g, ok := s.groups[id]
	return g, ok && slices.Contains(s.docs.Groups, id)
}

func (s *stubSnapshot) Client(id protocol.ClientID) (engine.Client, bool) {
	c, ok := s.client[id]
	return c, ok && slices.Contains(s.docs.Clients, id)
}

func (s *stubSnapshot) Entry(key string) (engine.Entry, bool) {
	e, ok := s.entryByID[key]
	return e, ok && slices.Contains(s.docs.Keys, key)
}

func (s *stubSnapshot) Entries(
	_ context.Context, after int64,
) iter.Seq2[engine.Entry, error] {
	shown := slices.Clone(s.byVersion)
	shown = slices.DeleteFunc(shown, func(e engine.Entry) bool { return e.Version <= after })
	return yieldAll(shown, s.broken["entries"])
}

func (s *stubSnapshot) Range(
	_ context.Context, r engine.Range,
) ([]engine.Entry, error) {
	from := slices.IndexFunc(s.byKey, func(e engine.Entry) bool { return e.Key >= r.From })
	if from < 0 || s.broken["range"] != nil {
		return nil, s.broken["range"]
	}
	n, bytes := 0, 0
	for n < len(s.byKey)-from && !r.Full(n, bytes) {
		bytes += s.byKey[from+n].Bytes()
		n++
	}
	s.measure(s.byKey[from : from+n])
	return s.byKey[from : from+n], nil
}

func (s *stubSnapshot) Clients(
	_ context.Context, group protocol.ClientGroupID, _ int64,
) iter.Seq2[engine.Client, error] {
	if group == "" {
		return yieldAll(s.clients, s.broken["clients"])
	}
	return yieldAll(s.byGroup[group], s.broken["clients by group"])
}

func yieldAll[T any](items []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
		if err != nil {
			var none T
			yield(none, err)
		}
	}
}
