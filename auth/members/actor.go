package members

// Actor is who changes members. What an actor may do is decided by the role that the
// change itself reads, never by one that somebody remembers: a right that was taken
// away cannot be used to get it back. The zero Actor may change nothing.
type Actor struct {
	user     string
	operator bool
}

// Operator is who has the database anyway: nobody's role is looked at.
var Operator = Actor{operator: true}

// User is a user of the service.
func User(id string) Actor { return Actor{user: id} }

// UserID is the user whose role decides, and false if no role does.
func (a Actor) UserID() (string, bool) { return a.user, !a.operator }

// May reports why the actor may not give a user a role, or, with role "", end the
// membership: an owner may, and everybody may end their own. has is the actor's role.
func (a Actor) May(has Role, user string, role Role) error {
	leaves := role == "" && user == a.user
	if a.operator || has == Owner || leaves {
		return nil
	}
	return ErrNotTheirs
}
