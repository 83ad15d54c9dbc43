package members_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// counted is a directory that counts the roles read, and does before to each read
// what a test wants.
type counted struct {
	members.Directory

	reads  atomic.Int64
	before func(context.Context) error
}

func (c *counted) Role(
	ctx context.Context, space protocol.SpaceID, user string,
) (members.Role, error) {
	c.reads.Add(1)
	role, err := c.Directory.Role(ctx, space, user)
	if c.before != nil {
		err = errors.Join(err, c.before(ctx))
	}
	return role, err
}

func newCounted() *counted { return &counted{Directory: memory.New().Members()} }

// put is by an operator.
func put(t *testing.T, d members.Directory, user string, role members.Role) {
	t.Helper()
	m := members.Member{UserID: user, Role: role}
	if err := d.Put(t.Context(), members.Operator, "s", m, 0); err != nil {
		t.Fatal(err)
	}
}

// change is by a user, through a policy. Role "" ends the membership.
func change(t *testing.T, p *members.Policy, by, user string, role members.Role) error {
	t.Helper()
	who := auth.Principal{UserID: by}
	if role == "" {
		return p.Delete(t.Context(), who, "s", user)
	}
	return p.Put(t.Context(), who, "s", members.Member{UserID: user, Role: role})
}

func wantChange(t *testing.T, p *members.Policy, by, user string, role members.Role, want error) {
	t.Helper()
	if err := change(t, p, by, user, role); !errors.Is(err, want) {
		t.Errorf("%s gives %s the role %q: %v, want %v", by, user, role, err, want)
	}
}

func wantRole(t *testing.T, p *members.Policy, user string, want members.Role) {
	t.Helper()
	if got, err := p.Role(t.Context(), "s", user); err != nil || got != want {
		t.Errorf("role of %s is %q (%v), want %q", user, got, err, want)
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	d := newCounted()
	for _, role := range []members.Role{members.Owner, members.Writer, members.Reader} {
		put(t, d, string(role), role)
	}
	p := members.New(d, members.Options{})
	for _, test := range []struct {
		user   string
		space  protocol.SpaceID
		rights int // of Read, Write and Admin, in that order, that many
	}{
		{"owner", "s", 3},
		{"writer", "s", 2},
		{"reader", "s", 1},
		{"stranger", "s", 0},
		{"", "s", 0},
		{"\xff", "s", 0},
		{"owner", "absent", 0},
		{"owner", "S", 0},
	} {
		for i, action := range []auth.Action{auth.Read, auth.Write, auth.Admin, auth.Action(0), auth.Action(99)} {
			var want error
			if i >= test.rights {
				want = auth.ErrForbidden
			}
			who := auth.Principal{UserID: test.user}
			if err := p.Allow(t.Context(), who, test.space, action); !errors.Is(err, want) {
				t.Errorf("%q may %v in %s: %v, want %v", test.user, action, test.space, err, want)
			}
		}
	}
}

func TestRoleOfOthersMaking(t *testing.T) {
	t.Parallel()
	for role, want := range map[members.Role]bool{
		members.Reader: true, members.Writer: true, members.Owner: true, "": false, "admin": false, "Owner": false,
	} {
		if got := role.Valid(); got != want || role.Allows(auth.Read) != want {
			t.Errorf("role %q is valid: %t, may read: %t, want %t", role, got, role.Allows(auth.Read), want)
		}
	}
}

// TestChangesOfOthersCountInTime: within ten seconds, and until then one read is
// enough.
func TestChangesOfOthersCountInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newCounted()
		put(t, d, "olga", members.Owner)
		put(t, d, "ann", members.Writer)
		p := members.New(d, members.Options{})
		for range 100 {
			wantRole(t, p, "ann", members.Writer)
			wantRole(t, p, "bob", "")
		}
		if n := d.reads.Load(); n != 2 {
			t.Errorf("%d reads, want one for each user", n)
		}
		put(t, d, "bob", members.Reader)
		if err := d.Delete(t.Context(), members.Operator, "s", "ann"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second - members.DefaultReadTimeout)
		wantRole(t, p, "ann", "")
		wantRole(t, p, "bob", members.Reader)
	})
}

// TestSlowReadIsNotBelievedLonger: the time counts from the beginning of the read.
func TestSlowReadIsNotBelievedLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newCounted()
		d.before = func(context.Context) error { time.Sleep(3 * time.Second); return nil }
		p := members.New(d, members.Options{})
		wantRole(t, p, "ann", "")
		put(t, d, "ann", members.Owner)
		time.Sleep(2 * time.Second)
		wantRole(t, p, "ann", members.Owner)
	})
}

func TestOwnChangesCountAtOnce(t *testing.T) {
	t.Parallel()
	d := newCounted()
	put(t, d, "olga", members.Owner)
	p := members.New(d, members.Options{RoleLife: time.Hour})
	wantRole(t, p, "ann", "")
	for _, role := range []members.Role{members.Reader, members.Writer, ""} {
		wantChange(t, p, "olga", "ann", role, nil)
		wantRole(t, p, "ann", role)
	}
	wantChange(t, p, "olga", "olga", "", members.ErrLastOwner)
	list, err := p.List(t.Context(), "s", "", 10)
	if err != nil || len(list) != 1 || list[0].UserID != "olga" {
		t.Errorf("List is %v, %v, want olga", list, err)
	}
}

// TestReadBesideAChange: what was read before a change is not remembered after it.
func TestReadBesideAChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newCounted()
		put(t, d, "olga", members.Owner)
		put(t, d, "ann", members.Writer)
		p := members.New(d, members.Options{RoleLife: time.Hour})
		hold := make(chan struct{})
		d.before = func(context.Context) error { <-hold; return nil }
		var asked sync.WaitGroup
		asked.Go(func() { wantRole(t, p, "ann", members.Writer) }) // it asked before
		synctest.Wait()
		wantChange(t, p, "olga", "ann", members.Reader, nil)
		d.before = nil
		wantRole(t, p, "ann", members.Reader)
		close(hold) // the older answer comes last
		asked.Wait()
		wantRole(t, p, "ann", members.Reader)
	})
}

func TestManyShareARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newCounted()
		hold := make(chan struct{})
		d.before = func(ctx context.Context) error { <-hold; return ctx.Err() }
		p := members.New(d, members.Options{})
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() { _, _ = p.Role(ctx, "s", "ann") })
		synctest.Wait()
		for range 50 {
			all.Go(func() { wantRole(t, p, "ann", "") })
		}
		synctest.Wait()
		cancel() // he who asked first leaves; the others get their answer
		close(hold)
		all.Wait()
		if n := d.reads.Load(); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
	})
}

// TestRolesAreBounded: what was not asked for in long is forgotten.
func TestRolesAreBounded(t *testing.T) {
	t.Parallel()
	d := newCounted()
	p := members.New(d, members.Options{MaxRoles: 2, RoleLife: time.Hour})
	for _, user := range []string{"a", "b", "a", "c", "a", "b"} {
		wantRole(t, p, user, "")
	}
	if n := d.reads.Load(); n != 4 {
		t.Errorf("%d reads, want 4: b was forgotten", n)
	}
}

// TestDirectoryInTrouble: nobody gets in, nobody is told that they have no right,
// nothing is remembered, and no read lasts for ever.
func TestDirectoryInTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newCounted()
		put(t, d, "ann", members.Owner)
		broken := errors.New("broken")
		p := members.New(d, members.Options{})
		ann := auth.Principal{UserID: "ann"}
		d.before = func(context.Context) error { return broken }
		err := p.Allow(t.Context(), ann, "s", auth.Read)
		if !errors.Is(err, broken) || errors.Is(err, auth.ErrForbidden) {
			t.Errorf("Allow: %v, want %v", err, broken)
		}
		d.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		err = p.Allow(t.Context(), ann, "s", auth.Read)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, auth.ErrForbidden) {
			t.Errorf("Allow: %v, want %v", err, context.DeadlineExceeded)
		}
		d.before = nil
		if err := p.Allow(t.Context(), ann, "s", auth.Admin); err != nil {
			t.Errorf("Allow after the trouble: %v", err)
		}
	})
}

func TestCreate(t *testing.T) {
	t.Parallel()
	p := members.New(newCounted(), members.Options{MaxSpaces: 2, RoleLife: time.Hour})
	create := func(user string, space protocol.SpaceID) error {
		return p.Create(t.Context(), auth.Principal{UserID: user}, space)
	}
	wantRole(t, p, "ann", "")
	if err := create("ann", "s"); err != nil {
		t.Fatal(err)
	}
	wantRole(t, p, "ann", members.Owner)
	for name, test := range map[string]struct {
		user  string
		space protocol.SpaceID
		want  error
	}{
		"a space of others": {"bob", "s", auth.ErrForbidden},
		"nobody":            {"", "t", auth.ErrForbidden},
		"impossible user":   {"\xff", "t", auth.ErrForbidden},
		"the second":        {"ann", "s2", nil},
	} {
		if err := create(test.user, test.space); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	for _, space := range []protocol.SpaceID{"s3", "s4"} {
		if err := create("ann", space); !errors.Is(err, members.ErrTooManySpaces) {
			t.Errorf("%s: %v, want %v", space, err, members.ErrTooManySpaces)
		}
	}
}

// TestRememberedOwner: two instances, on one directory. What the second one remembers of
// an owner that the first one, or an operator, has removed lets them change nothing.
func TestRememberedOwner(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*testing.T, members.Directory, *members.Policy){
		"by an owner": func(t *testing.T, _ members.Directory, p *members.Policy) {
			t.Helper()
			wantChange(t, p, "ann", "eve", "", nil)
		},
		"to be a reader": func(t *testing.T, _ members.Directory, p *members.Policy) {
			t.Helper()
			wantChange(t, p, "ann", "eve", members.Reader, nil)
		},
		"by an operator": func(t *testing.T, d members.Directory, _ *members.Policy) {
			t.Helper()
			if err := d.Delete(t.Context(), members.Operator, "s", "eve"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newCounted()
			put(t, d, "ann", members.Owner)
			put(t, d, "eve", members.Owner)
			here, there := members.New(d, members.Options{}), members.New(d, members.Options{RoleLife: time.Hour})
			wantRole(t, there, "eve", members.Owner)
			remove(t, d, here)
			wantRole(t, there, "eve", members.Owner) // as far as it knows
			wantChange(t, there, "eve", "eve", members.Owner, auth.ErrForbidden)
			wantChange(t, there, "eve", "mallory", members.Owner, auth.ErrForbidden)
			wantChange(t, there, "eve", "ann", "", auth.ErrForbidden)
			role, err := d.Directory.Role(t.Context(), "s", "eve")
			if err != nil {
				t.Fatal(err)
			}
			wantRole(t, there, "eve", role) // it has found out
			list, err := d.List(t.Context(), "s", "", 10)
			for _, m := range list {
				if m.UserID != "ann" && m.Role == members.Owner {
					t.Errorf("%s is an owner", m.UserID)
				}
			}
			if err != nil || len(list) == 0 {
				t.Errorf("members are %v (%v), want ann among them", list, err)
			}
		})
	}
}

// TestAdminIsNotRemembered: an owner who was removed at another instance empties nothing
// here, and what was found out counts for everything.
func TestAdminIsNotRemembered(t *testing.T) {
	t.Parallel()
	d := newCounted()
	put(t, d, "ann", members.Owner)
	put(t, d, "eve", members.Owner)
	p := members.New(d, members.Options{RoleLife: time.Hour})
	eve := auth.Principal{UserID: "eve"}
	for _, a := range []auth.Action{auth.Read, auth.Admin} {
		if err := p.Allow(t.Context(), eve, "s", a); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Delete(t.Context(), members.Operator, "s", "eve"); err != nil {
		t.Fatal(err)
	}
	if err := p.Allow(t.Context(), eve, "s", auth.Read); err != nil {
		t.Errorf("reading is remembered: %v", err)
	}
	for _, a := range []auth.Action{auth.Admin, auth.Read} {
		if err := p.Allow(t.Context(), eve, "s", a); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%v: %v, want %v", a, err, auth.ErrForbidden)
		}
	}
}

// TestNobodyChangesMembers: who is not signed in has no role to be looked at.
func TestNobodyChangesMembers(t *testing.T) {
	t.Parallel()
	p := members.New(newCounted(), members.Options{})
	for _, user := range []string{"", "\xff"} {
		wantChange(t, p, user, "ann", members.Owner, auth.ErrForbidden)
		wantChange(t, p, user, "ann", "", auth.ErrForbidden)
	}
}

func TestMaxMembers(t *testing.T) {
	t.Parallel()
	d := newCounted()
	put(t, d, "ann", members.Owner)
	p := members.New(d, members.Options{MaxMembers: 2})
	wantChange(t, p, "ann", "bob", members.Reader, nil)
	wantChange(t, p, "ann", "cid", members.Reader, members.ErrTooManyMembers)
	wantChange(t, p, "ann", "bob", members.Writer, nil)
	if n := members.New(d, members.Options{}).MaxMembers(); n != members.DefaultMaxMembers {
		t.Errorf("MaxMembers is %d where nothing is said, want %d", n, members.DefaultMaxMembers)
	}
}

func TestNewRefusesNegativeOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]members.Options{
		"MaxSpaces": {MaxSpaces: -1}, "MaxMembers": {MaxMembers: -1}, "RoleLife": {RoleLife: -1}, "MaxRoles": {MaxRoles: -1},
		"ReadTimeout": {ReadTimeout: -1},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of -1 is taken", name)
				}
			}()
			members.New(newCounted(), o)
		}()
	}
}
