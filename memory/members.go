package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/protocol"
)

// directory is the Store as a members.Directory. What it knows is the Store's and
// under its lock.
type directory struct{ store *Store }

// Members is the directory of the spaces' members. Wipe empties it too.
func (s *Store) Members() members.Directory { return directory{s} }

// roles are those of a space's users.
type roles map[string]members.Role

// users are some of a space's users.
type users map[string]bool

// users are those with a role.
func (r roles) users() users {
	all := users{}
	for user := range r {
		all[user] = true
	}
	return all
}

// role is the user's, "" of who was a member before the space was deleted only, whom a
// purge is going to remove. It is called with the lock held.
func (s *Store) role(space protocol.SpaceID, user string) members.Role {
	if s.former[space][user] {
		return ""
	}
	return s.members[space][user]
}

// losesOwner reports whether the space has no owner any more when the user's role
// becomes the given one, and had one before. It is called with the lock held.
func (s *Store) losesOwner(space protocol.SpaceID, user string, role members.Role) bool {
	if role == members.Owner || s.role(space, user) != members.Owner {
		return false
	}
	for other := range s.members[space] {
		if other != user && s.role(space, other) == members.Owner {
			return false
		}
	}
	return true
}

// allows reports why a membership may not be changed. It is called with the lock held.
func (d directory) allows(
	by members.Actor, space protocol.SpaceID, user string, role members.Role,
) error {
	var has members.Role
	if actor, ok := by.UserID(); ok {
		has = d.store.role(space, actor)
	}
	if err := by.May(has, user, role); err != nil {
		return err
	}
	if d.store.losesOwner(space, user, role) {
		return members.ErrLastOwner
	}
	return nil
}

func (d directory) Role(
	ctx context.Context, space protocol.SpaceID, user string,
) (members.Role, error) {
	if err := alive(ctx); err != nil {
		return "", err
	}
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	return d.store.members[space][user], nil
}

func (d directory) List(
	ctx context.Context, space protocol.SpaceID, after string, limit int,
) ([]members.Member, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	var list []members.Member
	for user, role := range d.store.members[space] {
		if user > after {
			list = append(list, members.Member{UserID: user, Role: role})
		}
	}
	slices.SortFunc(list, func(a, b members.Member) int { return cmp.Compare(a.UserID, b.UserID) })
	return list[:min(len(list), limit, members.MaxListed)], nil
}

func (d directory) Put(
	ctx context.Context, by members.Actor, space protocol.SpaceID, m members.Member, limit int,
) error {
	if err := alive(ctx); err != nil {
		return err
	}
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if err := d.allows(by, space, m.UserID, m.Role); err != nil {
		return err
	}
	all := d.store.members[space]
	if _, member := all[m.UserID]; !member && limit > 0 && len(all) >= limit {
		return members.ErrTooManyMembers
	}
	d.store.put(space, m)
	return nil
}

func (d directory) Delete(
	ctx context.Context, by members.Actor, space protocol.SpaceID, user string,
) error {
	if err := alive(ctx); err != nil {
		return err
	}
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if err := d.allows(by, space, user, ""); err != nil {
		return err
	}
	delete(d.store.members[space], user)
	delete(d.store.former[space], user)
	return nil
}

func (d directory) Create(
	ctx context.Context, space protocol.SpaceID, owner string, limit int,
) error {
	if err := alive(ctx); err != nil {
		return err
	}
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if d.store.role(space, owner) == members.Owner {
		return nil
	}
	if limit > 0 && d.store.created[owner] >= limit {
		return members.ErrTooManySpaces
	}
	if d.store.head(space).Exists() || len(d.store.members[space]) > 0 {
		return members.ErrExists
	}
	d.store.created[owner]++
	d.store.put(space, members.Member{UserID: owner, Role: members.Owner})
	return nil
}

// purgeMembers removes the members of before the space was deleted, and says how many.
// It is called with the lock held.
func (s *Store) purgeMembers(space protocol.SpaceID) int {
	gone := len(s.former[space])
	for user := range s.former[space] {
		delete(s.members[space], user)
	}
	delete(s.former, space)
	return gone
}

// put is called with the lock held.
func (s *Store) put(space protocol.SpaceID, m members.Member) {
	if s.members[space] == nil {
		s.members[space] = roles{}
	}
	s.members[space][m.UserID] = m.Role
	delete(s.former[space], m.UserID) // of after the deletion, if there was one
}
