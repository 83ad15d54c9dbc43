package memberstest

import (
	"fmt"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/protocol"
)

var actorCases = []testCase{
	{"OwnersChangeMembers", testActors},
	{"WhoWasRemovedChangesNothing", testRemovedActor},
	{"MembersAreLimited", testMemberLimit},
	{"RemovedOwnerIsGoneInARace", testRenewalRace},
	{"MembersAreLimitedInARace", testMemberLimitRace},
}

// by changes a member as a user, through the second handle: what another instance has
// done counts at once.
func (k *kit) by(actor string, space protocol.SpaceID, user string, role members.Role) error {
	if role == "" {
		return k.Second.Delete(k.ctx, members.User(actor), space, user)
	}
	return k.Second.Put(k.ctx, members.User(actor), space, members.Member{UserID: user, Role: role}, 0)
}

// testActors has everybody try everything: owners may, others may only leave.
func testActors(k *kit) {
	for user, role := range map[string]members.Role{
		"olga": members.Owner, "will": members.Writer, "rita": members.Reader,
	} {
		k.put("s", user, role)
		k.put("other", "eve", members.Owner)
	}
	for _, actor := range []string{"will", "rita", "eve"} {
		for _, user := range []string{"olga", "will", "rita", "eve", "new"} {
			for _, role := range []members.Role{members.Reader, members.Writer, members.Owner, ""} {
				if role == "" && user == actor {
					continue
				}
				err := k.by(actor, "s", user, role)
				k.want(members.ErrNotTheirs, err)
				k.want(auth.ErrForbidden, err)
				k.want(members.ErrNotTheirs, k.by(actor, "absent", user, role))
			}
		}
	}
	k.is("s", "will", members.Writer)
	k.lists("s", "", 10, "olga", "rita", "will")
	k.lists("absent", "", 10)
	for range 2 {
		k.want(nil, k.by("rita", "s", "rita", ""))
		k.want(nil, k.by("eve", "s", "eve", "")) // who is none changes nothing
	}
	k.want(nil, k.by("olga", "s", "will", members.Owner))
	k.want(nil, k.by("will", "s", "new", members.Reader))
	k.want(nil, k.by("will", "s", "olga", ""))
	k.lists("s", "", 10, "new", "will")
	k.want(members.ErrLastOwner, k.by("will", "s", "will", ""))
}

// testRemovedActor: a right that is gone gives nothing, whoever took it away.
func testRemovedActor(k *kit) {
	k.put("s", "ann", members.Owner)
	for name, lose := range map[string]func(){
		"demoted":             func() { k.want(nil, k.by("ann", "s", "eve", members.Writer)) },
		"removed by an owner": func() { k.want(nil, k.by("ann", "s", "eve", "")) },
		"removed":             func() { k.remove("s", "eve") },
		"gone":                func() { k.want(nil, k.by("eve", "s", "eve", "")) },
	} {
		k.put("s", "eve", members.Owner)
		lose()
		for _, user := range []string{"eve", "mallory", "ann"} {
			if err := k.by("eve", "s", user, members.Owner); err == nil {
				k.Errorf("%s: eve makes %s an owner", name, user)
			}
		}
		k.want(members.ErrNotTheirs, k.by("eve", "s", "ann", ""))
		k.remove("s", "eve")
		k.lists("s", "", 10, "ann")
	}
}

// testMemberLimit: at the limit nobody comes, and everything else goes on.
func testMemberLimit(k *kit) {
	put := func(user string, role members.Role, limit int) error {
		m := members.Member{UserID: user, Role: role}
		return k.Directory.Put(k.ctx, members.User("ann"), "s", m, limit)
	}
	k.put("s", "ann", members.Owner)
	k.put("t", "ann", members.Owner)
	k.want(nil, put("bob", members.Reader, 3))
	k.want(nil, put("cid", members.Owner, 3))
	k.want(members.ErrTooManyMembers, put("dan", members.Owner, 3))
	k.want(members.ErrTooManyMembers, put("dan", members.Reader, 2))
	k.want(nil, put("bob", members.Writer, 3))
	k.want(nil, put("cid", members.Reader, 1)) // one of those that are there already
	k.lists("s", "", 10, "ann", "bob", "cid")
	k.want(nil, k.by("ann", "s", "bob", ""))
	k.want(nil, put("dan", members.Reader, 3))
	k.want(members.ErrTooManyMembers, put("bob", members.Reader, 3))
	k.want(nil, put("eve", members.Reader, 0))
	k.put("s", "flo", members.Reader)
	k.lists("s", "", 10, "ann", "cid", "dan", "eve", "flo")
}

// testRenewalRace has an owner renew their role while another one removes them: in
// whatever order that happens, they are gone.
func testRenewalRace(k *kit) {
	for round := range rounds {
		space := protocol.SpaceID(fmt.Sprint("s", round))
		k.put(space, "ann", members.Owner)
		k.put(space, "eve", members.Owner)
		var calls []func(members.Directory) error
		for i := range 5 {
			calls = append(calls, func(d members.Directory) error {
				if i == 2 {
					return d.Delete(k.ctx, members.User("ann"), space, "eve")
				}
				m := members.Member{UserID: "eve", Role: members.Owner}
				return d.Put(k.ctx, members.User("eve"), space, m, 0)
			})
		}
		k.count(k.race(calls...), members.ErrNotTheirs)
		k.is(space, "eve", "")
	}
}

func testMemberLimitRace(k *kit) {
	k.put("s", "ann", members.Owner)
	var calls []func(members.Directory) error
	for i := range 6 {
		calls = append(calls, func(d members.Directory) error {
			m := members.Member{UserID: fmt.Sprint("user", i), Role: members.Owner}
			return d.Put(k.ctx, members.User("ann"), "s", m, 4)
		})
	}
	if n := k.count(k.race(calls...), members.ErrTooManyMembers); n != 3 {
		k.Errorf("%d of 6 are told that there are too many members, want 3", n)
	}
}
