package memory

import (
	"cmp"
	"slices"

	"github.com/tidwall/btree"

	"github.com/replifire/replifire/engine"
)

// state is what a space holds at one moment. Each entry and client is in two
// trees, as one value that is never changed once it is in.
type state struct {
	head      engine.Head
	byKey     *btree.BTreeG[*engine.Entry]
	byVersion *btree.BTreeG[*engine.Entry] // then by key
	byID      *btree.BTreeG[*engine.Client]
	byGroup   *btree.BTreeG[*engine.Client] // then by version, then by id
}

// copy shares all nodes with s; whichever of the two writes copies the nodes on
// its way.
func (s state) copy() state {
	return state{
		head:      s.head,
		byKey:     s.byKey.Copy(),
		byVersion: s.byVersion.Copy(),
		byID:      s.byID.Copy(),
		byGroup:   s.byGroup.Copy(),
	}
}

// space is one space of a Store, guarded by the Store's lock.
type space struct {
	live state
	// frozen is a copy of live for any number of snapshots, nil when none has been
	// taken since the last change. It is only ever read.
	frozen *state
}

func newSpace() *space { return &space{live: emptyState()} }

func emptyState() state {
	return state{
		byKey:     tree(compareKeys),
		byVersion: tree(compareVersions),
		byID:      tree(compareIDs),
		byGroup:   tree(compareGroups),
	}
}

// tree has no lock of its own: a live tree is used under the Store's, a frozen
// one is only read.
func tree[T any](compare func(a, b *T) int) *btree.BTreeG[*T] {
	less := func(a, b *T) bool { return compare(a, b) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// compareKeys orders by bytes, which for UTF-8 is the order of code points: that
// of Replicache and of Firestore, not that of UTF-16.
func compareKeys(a, b *engine.Entry) int { return cmp.Compare(a.Key, b.Key) }

func compareVersions(a, b *engine.Entry) int {
	return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Key, b.Key))
}

func compareIDs(a, b *engine.Client) int { return cmp.Compare(a.ID, b.ID) }

func compareGroups(a, b *engine.Client) int {
	return cmp.Or(
		cmp.Compare(a.GroupID, b.GroupID),
		cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.ID, b.ID),
	)
}

func (s *space) freeze() *state {
	if s.frozen == nil {
		frozen := s.live.copy()
		s.frozen = &frozen
	}
	return s.frozen
}

// stores reports whether there is an entry of that key, a tombstone too.
func (s *space) stores(key string) bool {
	_, ok := s.live.byKey.Get(&engine.Entry{Key: key})
	return ok
}

// change is a commit whose documents belong to the store.
type change struct {
	head    engine.Head
	entries []*engine.Entry
	clients []*engine.Client
}

// own copies what a caller might still change.
func own(c engine.Commit) change {
	owned := change{head: c.Next}
	for _, e := range c.Entries {
		// Clipped: an append by a reader must not write into the shared value.
		e.Value = slices.Clip(slices.Clone(e.Value))
		owned.entries = append(owned.entries, &e)
	}
	for _, cl := range c.Clients {
		cl.Rejections = slices.Clone(cl.Rejections)
		owned.clients = append(owned.clients, &cl)
	}
	return owned
}

func (s *space) apply(c change) {
	s.frozen = nil
	s.live.head = c.head
	for _, e := range c.entries {
		if old, ok := s.live.byKey.Set(e); ok {
			s.live.byVersion.Delete(old)
		}
		s.live.byVersion.Set(e)
	}
	for _, cl := range c.clients {
		if old, ok := s.live.byID.Set(cl); ok {
			s.live.byGroup.Delete(old)
		}
		s.live.byGroup.Set(cl)
	}
}
