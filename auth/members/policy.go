package members

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/protocol"
)

// Defaults of Options.
const (
	// DefaultRoleLife is within the 10 s after which a change of members counts on
	// every instance.
	DefaultRoleLife = 5 * time.Second
	// DefaultMaxRoles are at the worst, all ids of the greatest length, 40 MB.
	DefaultMaxRoles = 20_000
	// DefaultMaxMembers is more than people who know each other; to count as many costs
	// ten reads of Firestore. An operator's command may go beyond it.
	DefaultMaxMembers = 10_000
	// DefaultReadTimeout bounds one read of a role.
	DefaultReadTimeout = 4 * time.Second
)

// Options are those of New. Zero fields are the defaults.
type Options struct {
	// MaxSpaces is how many spaces one user may create in all; 0: any number.
	MaxSpaces int
	// MaxMembers is how many members a space may have.
	MaxMembers int
	// RoleLife is how long a role that was read is believed, counted from the
	// beginning of the read.
	RoleLife time.Duration
	// MaxRoles bounds the roles remembered. Those not asked for go first.
	MaxRoles int
	// ReadTimeout bounds one read of the directory.
	ReadTimeout time.Duration
}

func (o Options) withDefaults() Options {
	o.MaxMembers = cmp.Or(o.MaxMembers, DefaultMaxMembers)
	o.RoleLife = cmp.Or(o.RoleLife, DefaultRoleLife)
	o.MaxRoles = cmp.Or(o.MaxRoles, DefaultMaxRoles)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, DefaultReadTimeout)
	return o
}

// Policy lets the members of a space use it, by their roles in a Directory. What is
// changed through the Policy counts at once in this process, what others change
// within Options.RoleLife.
//
// Many who ask for one role at once share one read, and wait for it also when their
// context ends, up to Options.ReadTimeout. Make it with New; it starts no goroutines
// and needs no closing. Its methods are safe for concurrent use.
type Policy struct {
	directory Directory
	opts      Options
	reads     singleflight.Group

	mu    sync.Mutex
	roles *simplelru.LRU[membership, believed] // guarded by mu
	// changes counts those made here: a read begun before one is not remembered.
	changes uint64 // guarded by mu
}

var _ auth.Rereader = (*Policy)(nil)

// membership names a role: whose, and where.
type membership struct {
	space protocol.SpaceID
	user  string
}

// flight is the membership as one string, which no other membership has.
func (m membership) flight() string {
	return strconv.Itoa(len(m.space)) + ":" + string(m.space) + m.user
}

// believed is a role, and until when.
type believed struct {
	role  Role
	until time.Time
}

// New makes the policy of a directory. It panics if an option is negative.
func New(d Directory, o Options) *Policy {
	o = o.withDefaults()
	roles, err := simplelru.NewLRU[membership, believed](o.MaxRoles, nil)
	if err != nil || min(o.RoleLife, o.ReadTimeout) < 0 || min(o.MaxSpaces, o.MaxMembers) < 0 {
		panic(fmt.Sprintf("members: an option is negative: %+v", o))
	}
	return &Policy{directory: d, opts: o, roles: roles}
}

// Allow looks at the principal's role. For auth.Admin that is the directory's, since what
// an owner does cannot be undone and is rare; for the others it may be a remembered one.
// It fails with auth.ErrForbidden, or with the error of a directory that does not answer.
func (p *Policy) Allow(
	ctx context.Context, who auth.Principal, space protocol.SpaceID, a auth.Action,
) error {
	find := p.Role
	if a == auth.Admin {
		find = p.roleNow
	}
	role, err := find(ctx, space, who.UserID)
	if err != nil {
		return err
	}
	return role.check(a)
}

// AllowAnew is Allow by a role that is read from the directory, which is remembered then. It
// does not share a read with others, which may have begun before.
func (p *Policy) AllowAnew(
	ctx context.Context, who auth.Principal, space protocol.SpaceID, a auth.Action,
) error {
	if invalid := protocol.CheckID(who.UserID); invalid != nil {
		return Role("").check(a)
	}
	role, err := p.read(ctx, membership{space, who.UserID})
	if err != nil {
		return err
	}
	return role.check(a)
}

// check is nil if the role allows the action, else auth.ErrForbidden.
func (r Role) check(a auth.Action) error {
	if r.Allows(a) {
		return nil
	}
	return fmt.Errorf("role %q does not give the right to %v: %w", r, a, auth.ErrForbidden)
}

// Role is the remembered role, or the directory's. Of an id that no member can have
// it is "".
func (p *Policy) Role(ctx context.Context, space protocol.SpaceID, user string) (Role, error) {
	if invalid := protocol.CheckID(user); invalid != nil {
		return "", nil //nolint:nilerr // that is the answer
	}
	key := membership{space, user}
	if role, ok := p.remembered(key); ok {
		return role, nil
	}
	// Whoever is the first reads for all, and all wait: it takes ReadTimeout at most.
	read, err, _ := p.reads.Do(key.flight(), func() (any, error) { return p.read(ctx, key) })
	role, _ := read.(Role)
	return role, err
}

// roleNow is the directory's, and remembered.
func (p *Policy) roleNow(ctx context.Context, space protocol.SpaceID, user string) (Role, error) {
	if invalid := protocol.CheckID(user); invalid != nil {
		return "", nil //nolint:nilerr // that is the answer
	}
	return p.read(ctx, membership{space, user})
}

func (p *Policy) remembered(key membership) (Role, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.roles.Get(key)
	return b.role, ok && time.Now().Before(b.until)
}

// read asks the directory. Others wait for it too, so the end of the request that
// began it does not end it.
func (p *Policy) read(ctx context.Context, key membership) (Role, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.opts.ReadTimeout)
	defer cancel()
	p.mu.Lock()
	changes := p.changes
	p.mu.Unlock()
	until := time.Now().Add(p.opts.RoleLife)
	role, err := p.directory.Role(ctx, key.space, key.user)
	if err != nil {
		return "", fmt.Errorf("reading a role: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changes == changes {
		p.roles.Add(key, believed{role, until})
	}
	return role, nil
}

// List is the directory's.
func (p *Policy) List(
	ctx context.Context, space protocol.SpaceID, after string, limit int,
) ([]Member, error) {
	return p.directory.List(ctx, space, after, limit)
}

// Put is the directory's, by a principal, and counts at once.
func (p *Policy) Put(ctx context.Context, who auth.Principal, space protocol.SpaceID, m Member) error {
	return p.change(who, membership{space, m.UserID}, func(by Actor) error {
		return p.directory.Put(ctx, by, space, m, p.opts.MaxMembers)
	})
}

// Delete is the directory's, by a principal, and counts at once.
func (p *Policy) Delete(ctx context.Context, who auth.Principal, space protocol.SpaceID, user string) error {
	return p.change(who, membership{space, user}, func(by Actor) error {
		return p.directory.Delete(ctx, by, space, user)
	})
}

// change has the directory change a membership. Who is refused may have lost a right
// that is still remembered here.
func (p *Policy) change(who auth.Principal, of membership, do func(Actor) error) error {
	if err := protocol.CheckID(who.UserID); err != nil {
		return fmt.Errorf("user id %w: %w", err, auth.ErrForbidden)
	}
	defer p.forget(of)
	err := do(User(who.UserID))
	if errors.Is(err, auth.ErrForbidden) {
		p.forget(membership{of.space, who.UserID})
	}
	return err
}

// Create makes a principal who is signed in the first owner of a space that has
// neither members nor data, within Options.MaxSpaces; it counts at once. It fails
// with auth.ErrForbidden if the space exists, as everything else that a stranger
// tries there does, and with ErrTooManySpaces whether or not it exists.
func (p *Policy) Create(ctx context.Context, who auth.Principal, space protocol.SpaceID) error {
	if err := protocol.CheckID(who.UserID); err != nil {
		return fmt.Errorf("user id %w: %w", err, auth.ErrForbidden)
	}
	defer p.forget(membership{space, who.UserID})
	err := p.directory.Create(ctx, space, who.UserID, p.opts.MaxSpaces)
	if errors.Is(err, ErrExists) {
		return fmt.Errorf("%w: %w", auth.ErrForbidden, err)
	}
	return err
}

// MaxSpaces is Options.MaxSpaces.
func (p *Policy) MaxSpaces() int { return p.opts.MaxSpaces }

// MaxMembers is Options.MaxMembers.
func (p *Policy) MaxMembers() int { return p.opts.MaxMembers }

// forget has the next question read again, also when the change failed: it may
// have been made all the same.
func (p *Policy) forget(key membership) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	p.roles.Remove(key)
	p.reads.Forget(key.flight())
}
