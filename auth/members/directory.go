package members

import (
	"context"
	"errors"
	"fmt"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/protocol"
)

// Role is what a member may do in a space. Each role includes those before it.
type Role string

// The roles. "" is that of everybody who is no member.
const (
	// Reader may pull and be poked.
	Reader Role = "reader"
	// Writer may push too.
	Writer Role = "writer"
	// Owner may empty the space and say who its members are, too.
	Owner Role = "owner"
)

// Valid reports whether r is one of the three roles.
func (r Role) Valid() bool { return r == Reader || r == Writer || r == Owner }

// Allows reports whether a member with this role may do a.
func (r Role) Allows(a auth.Action) bool {
	switch a {
	case auth.Read:
		return r.Valid()
	case auth.Write:
		return r == Writer || r == Owner
	case auth.Admin:
		return r == Owner
	default:
		return false
	}
}

// Member is a user of a space.
type Member struct {
	UserID string `json:"userID"`
	Role   Role   `json:"role"`
}

// What a Directory refuses with. Nothing was changed.
var (
	// ErrExists: there is a space of this name already, with members or with data.
	ErrExists = errors.New("space exists")
	// ErrLastOwner: the change would leave the space without an owner. Make somebody
	// else an owner first.
	ErrLastOwner = errors.New("space would have no owner")
	// ErrTooManySpaces: the user has created as many spaces as one may.
	ErrTooManySpaces = errors.New("user has created too many spaces")
	// ErrTooManyMembers: the space has as many members as one may have.
	ErrTooManyMembers = errors.New("space has too many members")
	// ErrNotTheirs: the change is not the actor's to make. It is an auth.ErrForbidden.
	ErrNotTheirs = fmt.Errorf("who asks may not change this membership: %w", auth.ErrForbidden)
)

// MaxListed is how many members List returns at the most.
const MaxListed = 1000

// Directory knows the members of spaces. Who they are is independent of what a
// space holds: a change of members moves no version, and client groups keep their
// owners. Only when a space is deleted do its members of then go with what it held, as
// soon as that is purged; until then they change no members any more. Whoever becomes a
// member after the deletion stays. The space is not vacant afterwards. Each change is
// atomic, also beside changes of other processes, and may be repeated: it has the same
// end.
//
// Implementations MUST be safe for concurrent use. They fail with one of the errors
// above or, where it is not known what is stored or whether a change was made, with
// an error that a policy may fail with (see [auth.Policy]). Ids of spaces and users, of
// actors too, MUST have passed [protocol.CheckID], and roles that are written MUST be Valid.
type Directory interface {
	// Role is the user's role, "" for who is no member. It costs one read, the same
	// for a space that does not exist.
	Role(ctx context.Context, space protocol.SpaceID, user string) (Role, error)
	// List returns the members whose ids come after the given one in the order of
	// UTF-8 bytes, in that order: limit of them, MaxListed at the most. After "" are
	// all. A member whose role somebody else has written, and wrongly, has role "".
	List(ctx context.Context, space protocol.SpaceID, after string, limit int) ([]Member, error)
	// Put makes the user a member or changes the role. limit is how many members the space
	// may have for that to make one more, 0 for any number. Fails with ErrNotTheirs, by the
	// role that the actor has at that moment, with ErrLastOwner or with ErrTooManyMembers.
	Put(ctx context.Context, by Actor, space protocol.SpaceID, m Member, limit int) error
	// Delete ends a membership; of who is no member it does nothing. Fails with
	// ErrNotTheirs, as Put does, or with ErrLastOwner.
	Delete(ctx context.Context, by Actor, space protocol.SpaceID, user string) error
	// Create gives a space that has neither members nor data its first owner; of who
	// owns the space already it does nothing. limit is how many spaces the user may
	// create in all, 0 for any number. Fails with ErrTooManySpaces, and that whether or
	// not the space exists; else with ErrExists.
	Create(ctx context.Context, space protocol.SpaceID, owner string, limit int) error
}
