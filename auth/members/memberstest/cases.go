package memberstest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/protocol"
)

var plainCases = []testCase{
	{"NobodyIsAMemberOfNothing", testNothing},
	{"RolesChange", testRoles},
	{"SpacesAreApart", testApart},
	{"Pages", testPages},
	{"OddIDs", testOddIDs},
	{"LastOwnerStays", testLastOwner},
	{"EndedContext", testEnded},
}

func testNothing(k *kit) {
	k.is("s", "ann", "")
	k.lists("s", "", 10)
	k.remove("s", "ann")
	k.is("s", "ann", "")
}

func testRoles(k *kit) {
	k.put("s", "olga", members.Owner)
	for _, role := range []members.Role{
		members.Reader, members.Writer, members.Owner, members.Writer, members.Writer,
	} {
		k.put("s", "ann", role)
		k.is("s", "ann", role)
	}
	k.lists("s", "", 10, "ann", "olga")
	for range 2 {
		k.remove("s", "ann")
		k.is("s", "ann", "")
	}
	k.lists("s", "", 10, "olga")
}

func testApart(k *kit) {
	k.put("s", "ann", members.Owner)
	k.put("t", "ann", members.Reader)
	k.is("s", "ann", members.Owner)
	k.is("t", "ann", members.Reader)
	k.remove("t", "ann")
	k.lists("s", "", 10, "ann")
	k.lists("t", "", 10)
}

func testPages(k *kit) {
	k.lists("s", "", members.MaxListed+1)
	var all []string
	for i := range 23 {
		all = append(all, fmt.Sprintf("user%02d", i))
		k.put("s", all[i], members.Owner)
	}
	k.lists("s", "", members.MaxListed+1, all...)
	k.lists("s", "", 10, all[:10]...)
	k.lists("s", all[9], 10, all[10:20]...)
	k.lists("s", all[19], 10, all[20:]...)
	k.lists("s", all[22], 10)
	k.lists("s", "user07x", 2, all[8:10]...)
	k.lists("s", "zzz", 10)
}

// odd are ids that break paths, escapes, reserved names and the order of bytes.
func odd() []string {
	return []string{
		"plain", "a/b", "a//b", "/", "/a", "a/", ".", "..", "__x__", "__name__", "%", "%2F", "a%2Fb", "%%", "%2E",
		"\x00", "a\x00b", "\n", " ", "a ", "é", "e\u0301", "\uffff", "\U00010000", "😀", "日本語", "A", "a",
		"members", "spaces", "default", "auth0|123", "ann@example.com",
		strings.Repeat("a", protocol.MaxIDBytes), strings.Repeat("/", protocol.MaxIDBytes),
		strings.Repeat("/", protocol.MaxIDBytes-1) + "a", strings.Repeat("é", protocol.MaxIDBytes/2),
	}
}

// testOddIDs has each id as a user of one space, and as a space with one user.
func testOddIDs(k *kit) {
	ids := odd()
	for i, id := range ids {
		k.put("s", id, members.Owner)
		k.put(protocol.SpaceID(id), ids[len(ids)-1-i], members.Owner)
	}
	sorted := slices.Sorted(slices.Values(ids))
	k.lists("s", "", members.MaxListed, sorted...)
	for i, id := range sorted {
		k.lists("s", id, 1, sorted[i+1:min(i+2, len(ids))]...)
	}
	for i, id := range ids {
		k.lists(protocol.SpaceID(id), "", 10, ids[len(ids)-1-i])
		k.is("s", id, members.Owner)
	}
	k.remove("s", "a/b")
	k.is("s", "a/b", "")
	k.is("s", "a%2Fb", members.Owner)
}

func testLastOwner(k *kit) {
	reader := members.Member{UserID: "ann", Role: members.Reader}
	k.put("s", "bob", members.Writer) // a space of old may have no owner
	k.put("s", "bob", members.Reader)
	k.put("s", "ann", members.Owner)
	k.put("s", "ann", members.Owner)
	k.want(members.ErrLastOwner, k.Directory.Put(k.ctx, members.Operator, "s", reader, 0))
	k.want(members.ErrLastOwner, k.Directory.Delete(k.ctx, members.Operator, "s", "ann"))
	k.is("s", "ann", members.Owner)
	k.remove("s", "bob")
	k.put("s", "cid", members.Owner)
	k.want(nil, k.Directory.Put(k.ctx, members.Operator, "s", reader, 0))
	k.is("s", "ann", members.Reader)
	k.want(members.ErrLastOwner, k.Directory.Delete(k.ctx, members.Operator, "s", "cid"))
	k.lists("s", "", 10, "ann", "cid")
}

// testEnded: a call whose context has ended fails, and changes nothing.
func testEnded(k *kit) {
	k.put("s", "ann", members.Owner)
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	_, roleErr := k.Directory.Role(ctx, "s", "ann")
	_, listErr := k.Directory.List(ctx, "s", "", 10)
	for what, err := range map[string]error{
		"Role": roleErr, "List": listErr,
		"Put":    k.Directory.Put(ctx, members.Operator, "s", members.Member{UserID: "bob", Role: members.Owner}, 0),
		"Delete": k.Directory.Delete(ctx, members.Operator, "s", "ann"),
		"Create": k.Directory.Create(ctx, "t", "ann", 0),
	} {
		if err == nil {
			k.Errorf("%s succeeds", what)
		}
	}
	k.lists("s", "", 10, "ann")
	k.lists("t", "", 10)
}
