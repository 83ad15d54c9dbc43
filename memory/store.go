package memory

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/protocol"
)

var _ engine.Store = (*Store)(nil)

// Store is an engine.Store in memory. Make it with New; it needs no closing and
// starts no goroutines. All methods are safe for concurrent use.
type Store struct {
	// mu guards all below. It is held for the length of one commit or purge step,
	// never while a caller's code runs.
	mu     sync.Mutex
	spaces map[protocol.SpaceID]*space
	// groups are of all spaces: a group belongs to one for ever.
	groups map[protocol.ClientGroupID]engine.ClientGroup
	bells  map[protocol.SpaceID]*bell
	// members and created are the directory's: who may use a space, and how many
	// spaces each user has created.
	members map[protocol.SpaceID]roles
	created map[string]int
	// former are the members of before a space was deleted, until it is purged.
	former map[protocol.SpaceID]users
	// revisions counts all commits ever, so that no revision comes twice, not even
	// after Wipe.
	revisions uint64
}

// New returns an empty Store.
func New() *Store {
	return &Store{
		spaces: map[protocol.SpaceID]*space{},
		groups: map[protocol.ClientGroupID]engine.ClientGroup{},
		bells:  map[protocol.SpaceID]*bell{},

		members: map[protocol.SpaceID]roles{},
		created: map[string]int{},
		former:  map[protocol.SpaceID]users{},
	}
}

// Commit applies c, as engine.Store says. It never fails with
// engine.ErrUnknownOutcome. Like any store it holds a commit to the invariants of
// package fsck first; what breaks one is an engine.ErrImpossible.
func (s *Store) Commit(
	ctx context.Context, id protocol.SpaceID, c engine.Commit,
) (engine.Head, error) {
	if err := alive(ctx); err != nil {
		return engine.Head{}, err
	}
	if err := fsck.CheckCommit(id, c); err != nil {
		return engine.Head{}, err
	}
	change := own(c)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conflict(id, c); err != nil {
		return engine.Head{}, err
	}
	// Point of no return: nothing below can fail.
	s.revisions++
	change.head.Revision = strconv.FormatUint(s.revisions, 10)
	if s.spaces[id] == nil {
		s.spaces[id] = newSpace()
	}
	s.spaces[id].apply(change)
	for _, g := range c.Groups {
		s.groups[g.ID] = g
	}
	if change.head.Deleted() {
		s.former[id] = s.members[id].users()
	}
	s.ring(id)
	return change.head, nil
}

// conflict says why c cannot be applied to the space as it is now.
func (s *Store) conflict(id protocol.SpaceID, c engine.Commit) error {
	head := s.head(id)
	if c.Prev.Revision != head.Revision || c.Prev.Version != head.Version {
		return fmt.Errorf("%w: at version %d, commit follows %d",
			engine.ErrConflict, head.Version, c.Prev.Version)
	}
	for _, key := range c.Absent {
		if sp := s.spaces[id]; sp != nil && sp.stores(key) {
			return fmt.Errorf("%w: an entry is stored that must be absent", engine.ErrConflict)
		}
	}
	for _, g := range c.Groups {
		if _, ok := s.groups[g.ID]; ok {
			return fmt.Errorf("%w: client group %q exists", engine.ErrConflict, g.ID)
		}
	}
	return nil
}

// head is the zero Head for a space nobody has written to.
func (s *Store) head(id protocol.SpaceID) engine.Head {
	if sp := s.spaces[id]; sp != nil {
		return sp.live.head
	}
	return engine.Head{}
}

// Ping succeeds while ctx lives.
func (s *Store) Ping(ctx context.Context) error { return alive(ctx) }

// Wipe forgets all spaces, members and client groups, as resetting an emulator does,
// and tells the watchers of each space. Snapshots taken before still show what they
// showed. It is for tests and development; it cannot be undone.
func (s *Store) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.spaces)
	clear(s.groups)
	clear(s.members)
	clear(s.created)
	clear(s.former)
	for id := range s.bells {
		s.ring(id)
	}
}

// alive keeps a call whose context has ended from doing anything.
func alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	return nil
}
