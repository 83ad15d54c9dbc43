package memberstest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/protocol"
)

var spaceCases = []testCase{
	{"CreateGivesAnOwner", testCreate},
	{"CreateIsForVacantSpaces", testCreateTaken},
	{"CreateIsLimited", testCreateLimit},
	{"CreateCanBeRepeated", testCreateAgain},
}

var raceCases = []testCase{
	{"OneCreator", testCreationRace},
	{"LimitHoldsInARace", testLimitRace},
	{"TwoOwnersDemoteEachOther", testDemotionRace},
	{"TwoOwnersLeave", testLeavingRace},
}

func testCreate(k *kit) {
	k.want(nil, k.Directory.Create(k.ctx, "s", "ann", 0))
	k.is("s", "ann", members.Owner)
	k.lists("s", "", 10, "ann")
}

func testCreateTaken(k *kit) {
	k.put("members", "bob", members.Reader)
	k.want(nil, k.Directory.Create(k.ctx, "created", "bob", 0))
	if err := k.Fill(k.ctx, "data"); err != nil {
		k.Fatal(err)
	}
	for _, space := range []protocol.SpaceID{"members", "created", "data"} {
		k.want(members.ErrExists, k.Directory.Create(k.ctx, space, "ann", 0))
		k.want(members.ErrExists, k.Directory.Create(k.ctx, space, "ann", 1))
		k.is(space, "ann", "")
	}
	// A refusal does not count.
	k.want(nil, k.Directory.Create(k.ctx, "own", "ann", 1))
	// Who is a member, but no owner, cannot become one this way.
	k.want(members.ErrExists, k.Directory.Create(k.ctx, "members", "bob", 0))
	k.is("members", "bob", members.Reader)
}

// testCreateLimit: at the limit a space that exists and one that does not are refused
// alike.
func testCreateLimit(k *kit) {
	k.put("taken", "bob", members.Owner)
	for i := range 3 {
		k.want(nil, k.Directory.Create(k.ctx, protocol.SpaceID(fmt.Sprint("s", i)), "ann", 3))
	}
	for _, space := range []protocol.SpaceID{"vacant", "taken"} {
		k.want(members.ErrTooManySpaces, k.Directory.Create(k.ctx, space, "ann", 3))
		k.want(members.ErrTooManySpaces, k.Directory.Create(k.ctx, space, "ann", 1))
	}
	k.lists("vacant", "", 10)
	k.want(nil, k.Directory.Create(k.ctx, "s3", "ann", 4))
	k.want(nil, k.Directory.Create(k.ctx, "s4", "ann", 0))
	k.want(members.ErrTooManySpaces, k.Directory.Create(k.ctx, "vacant", "ann", 5))
	// Another user has a count of their own, and who was made an owner has created nothing.
	k.want(nil, k.Directory.Create(k.ctx, "bobs", "bob", 1))
}

func testCreateAgain(k *kit) {
	for range 3 {
		k.want(nil, k.Directory.Create(k.ctx, "s", "ann", 2))
	}
	k.want(nil, k.Directory.Create(k.ctx, "t", "ann", 2))
	k.want(nil, k.Directory.Create(k.ctx, "s", "ann", 2)) // at the limit too
}

// rounds is how often each race is run. Whoever loses waits for a second or more,
// where the store has locks.
const rounds = 3

// race runs functions at once, each on one of the handles in turn, until each has
// got an answer that counts: one that is busy with the others is asked again, as a
// client would.
func (k *kit) race(calls ...func(members.Directory) error) []error {
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		d := []members.Directory{k.Directory, k.Second}[i%2]
		wg.Go(func() {
			for range 20 {
				if errs[i] = call(d); final(errs[i]) {
					return
				}
			}
		})
	}
	wg.Wait()
	return errs
}

func final(err error) bool {
	return err == nil || errors.Is(err, members.ErrExists) || errors.Is(err, members.ErrLastOwner) ||
		errors.Is(err, members.ErrTooManySpaces) || errors.Is(err, members.ErrTooManyMembers) ||
		errors.Is(err, members.ErrNotTheirs)
}

// count is how many of the errors are the given one; all others must be nil.
func (k *kit) count(errs []error, want error) int {
	k.Helper()
	n := 0
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, want):
			n++
		default:
			k.Errorf("error is %v, want none or %v", err, want)
		}
	}
	return n
}

func testCreationRace(k *kit) {
	for round := range rounds {
		space := protocol.SpaceID(fmt.Sprint("s", round))
		var calls []func(members.Directory) error
		for i := range 4 {
			calls = append(calls, func(d members.Directory) error {
				return d.Create(k.ctx, space, fmt.Sprint("user", i), 0)
			})
		}
		if n := k.count(k.race(calls...), members.ErrExists); n != 3 {
			k.Errorf("%d of 4 are told that the space exists, want 3", n)
		}
		list, err := k.Directory.List(k.ctx, space, "", 10)
		if err != nil || len(list) != 1 || list[0].Role != members.Owner {
			k.Errorf("members are %v (%v), want one owner", list, err)
		}
	}
}

func testLimitRace(k *kit) {
	var calls []func(members.Directory) error
	for i := range 6 {
		calls = append(calls, func(d members.Directory) error {
			return d.Create(k.ctx, protocol.SpaceID(fmt.Sprint("s", i)), "ann", 4)
		})
	}
	if n := k.count(k.race(calls...), members.ErrTooManySpaces); n != 2 {
		k.Errorf("%d of 6 are told that there are too many spaces, want 2", n)
	}
}

func testDemotionRace(k *kit) {
	testOwnersRace(k, func(d members.Directory, space protocol.SpaceID, user string) error {
		return d.Put(k.ctx, members.Operator, space, members.Member{UserID: user, Role: members.Writer}, 0)
	})
}

func testLeavingRace(k *kit) {
	testOwnersRace(k, func(d members.Directory, space protocol.SpaceID, user string) error {
		return d.Delete(k.ctx, members.Operator, space, user)
	})
}

// testOwnersRace has three owners lose their role at once: one stays.
func testOwnersRace(k *kit, lose func(members.Directory, protocol.SpaceID, string) error) {
	for round := range rounds {
		space := protocol.SpaceID(fmt.Sprint("s", round))
		var calls []func(members.Directory) error
		for _, user := range []string{"ann", "bob", "cid"} {
			k.put(space, user, members.Owner)
			calls = append(calls, func(d members.Directory) error { return lose(d, space, user) })
		}
		if n := k.count(k.race(calls...), members.ErrLastOwner); n != 1 {
			k.Errorf("%d of 3 owners are told that they are the last one, want 1", n)
		}
		owners := 0
		for _, user := range []string{"ann", "bob", "cid"} {
			role, err := k.Second.Role(k.ctx, space, user)
			if err != nil {
				k.Fatal(err)
			}
			if role == members.Owner {
				owners++
			}
		}
		if owners != 1 {
			k.Errorf("there are %d owners, want 1", owners)
		}
	}
}
