package memberstest

import (
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/protocol"
)

var deletionCases = []testCase{
	{"MembersGoWithTheirSpace", testDeletion},
	{"NewMembersOfADeletedSpaceStay", testNewMembers},
	{"SpaceIsDeletedTwice", testDeletedTwice},
	{"FormerOwnersChangeNothing", testFormerOwners},
}

// fill, delete and purge are those of the Harness.
func (k *kit) fill(space protocol.SpaceID) {
	k.Helper()
	k.want(nil, k.Fill(k.ctx, space))
}

func (k *kit) delete(space protocol.SpaceID) {
	k.Helper()
	k.want(nil, k.Delete(k.ctx, space))
}

func (k *kit) purge(space protocol.SpaceID) {
	k.Helper()
	k.want(nil, k.Purge(k.ctx, space))
}

// testDeletion: nobody, whether purged or not, can make the space his own.
func testDeletion(k *kit) {
	k.want(nil, k.Directory.Create(k.ctx, "s", "ann", 0))
	k.put("s", "bob", members.Reader)
	k.put("t", "ann", members.Owner)
	for _, space := range []protocol.SpaceID{"s", "t"} {
		k.fill(space)
		k.purge(space)
	}
	k.lists("s", "", 10, "ann", "bob")
	k.delete("s")
	k.want(members.ErrExists, k.Directory.Create(k.ctx, "s", "eve", 0))
	k.want(members.ErrExists, k.Directory.Create(k.ctx, "s", "bob", 0))
	k.purge("s")
	for _, user := range []string{"ann", "bob", "eve"} {
		k.is("s", user, "")
		k.want(members.ErrExists, k.Directory.Create(k.ctx, "s", user, 0))
	}
	k.lists("s", "", 10)
	k.lists("t", "", 10, "ann")
	k.put("s", "cid", members.Owner)
	k.purge("s")
	k.lists("s", "", 10, "cid")
	// The space that is gone was created all the same.
	k.want(members.ErrTooManySpaces, k.Directory.Create(k.ctx, "u", "ann", 1))
}

// testNewMembers: whatever the clock of who deleted the space said, members of before go
// and those of after stay, even if the purge comes when the space is in use again.
func testNewMembers(k *kit) {
	for _, user := range []string{"ann", "bob", "cid"} {
		k.put("s", user, members.Owner)
	}
	k.fill("s")
	k.delete("s")
	k.put("s", "bob", members.Writer)
	k.remove("s", "cid")
	k.put("s", "cid", members.Reader)
	k.put("s", "dan", members.Owner)
	k.fill("s")
	k.put("s", "eve", members.Reader)
	k.fill("s")
	for range 2 {
		k.purge("s")
		k.lists("s", "", 10, "bob", "cid", "dan", "eve")
	}
	k.is("s", "bob", members.Writer)
	k.is("s", "ann", "")
}

func testDeletedTwice(k *kit) {
	k.put("s", "ann", members.Owner)
	k.fill("s")
	k.delete("s")
	k.put("s", "bob", members.Owner)
	k.fill("s")
	k.delete("s")
	k.put("s", "cid", members.Owner)
	k.fill("s")
	k.purge("s")
	k.lists("s", "", 10, "cid")
}

// testFormerOwners: neither before a purge nor after it does an owner of before make the
// space their own again, nor stand in for the owner that it needs.
func testFormerOwners(k *kit) {
	k.put("s", "ann", members.Owner)
	k.put("s", "bob", members.Reader)
	k.fill("s")
	k.delete("s")
	refused := func() {
		k.Helper()
		for _, user := range []string{"ann", "bob", "eve"} {
			k.want(members.ErrNotTheirs, k.by("ann", "s", user, members.Owner))
		}
		k.want(members.ErrNotTheirs, k.by("ann", "s", "bob", ""))
		k.want(members.ErrExists, k.Directory.Create(k.ctx, "s", "ann", 0))
	}
	refused()
	k.put("s", "cid", members.Owner)
	k.want(members.ErrLastOwner, k.by("cid", "s", "cid", ""))
	k.want(nil, k.by("cid", "s", "dan", members.Owner))
	k.want(nil, k.by("cid", "s", "cid", members.Writer))
	k.want(members.ErrLastOwner, k.by("dan", "s", "dan", ""))
	refused()
	k.purge("s")
	refused()
	k.lists("s", "", 10, "cid", "dan")
}
