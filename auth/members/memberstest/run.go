package memberstest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/protocol"
)

// Harness is a directory for one case.
type Harness struct {
	// Directory is fresh: it has no members.
	Directory members.Directory
	// Second is another handle on the same data, as another instance would have.
	Second members.Directory
	// Fill writes something into a space, as a push would.
	Fill func(ctx context.Context, space protocol.SpaceID) error
	// Delete deletes a space that was filled, and leaves what is stored in it to Purge.
	Delete func(ctx context.Context, space protocol.SpaceID) error
	// Purge removes what the deletion of a space has left.
	Purge func(ctx context.Context, space protocol.SpaceID) error
}

// Run runs the suite, each case a parallel subtest with a directory from open, which
// registers on its t what closes it.
func Run(t *testing.T, open func(t testing.TB) Harness) {
	t.Helper()
	for _, c := range slices.Concat(plainCases, actorCases, spaceCases, deletionCases, raceCases) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&kit{TB: t, Harness: open(t), ctx: t.Context()})
		})
	}
}

type testCase struct {
	name string
	run  func(*kit)
}

// kit is what a case has at hand.
type kit struct {
	testing.TB
	Harness

	ctx context.Context //nolint:containedctx // of this one case
}

// put and remove are by an operator.
func (k *kit) put(space protocol.SpaceID, user string, role members.Role) {
	k.Helper()
	m := members.Member{UserID: user, Role: role}
	k.want(nil, k.Directory.Put(k.ctx, members.Operator, space, m, 0))
}

func (k *kit) remove(space protocol.SpaceID, user string) {
	k.Helper()
	k.want(nil, k.Directory.Delete(k.ctx, members.Operator, space, user))
}

// want compares an error with the one it must be.
func (k *kit) want(want, err error) {
	k.Helper()
	if !errors.Is(err, want) {
		k.Fatalf("error is %v, want %v", err, want)
	}
}

// is compares roles, as both handles see them.
func (k *kit) is(space protocol.SpaceID, user string, want members.Role) {
	k.Helper()
	for _, d := range []members.Directory{k.Directory, k.Second} {
		got, err := d.Role(k.ctx, space, user)
		if err != nil || got != want {
			k.Errorf("role of %q in %q is %q (%v), want %q", user, space, got, err, want)
		}
	}
}

// lists compares one page, as both handles see it.
func (k *kit) lists(space protocol.SpaceID, after string, limit int, want ...string) {
	k.Helper()
	for _, d := range []members.Directory{k.Directory, k.Second} {
		list, err := d.List(k.ctx, space, after, limit)
		if err != nil {
			k.Fatal(err)
		}
		var got []string
		for _, m := range list {
			got = append(got, m.UserID)
		}
		if !slices.Equal(got, want) {
			k.Errorf("members of %q after %q, %d at the most, are %q, want %q", space, after, limit, got, want)
		}
	}
}
