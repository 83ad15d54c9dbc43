package memory_test

import (
	"context"
	"testing"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/auth/members/memberstest"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	memberstest.Run(t, func(testing.TB) memberstest.Harness {
		store := memory.New()
		return memberstest.Harness{
			Directory: store.Members(),
			Second:    store.Members(),
			Fill: func(ctx context.Context, space protocol.SpaceID) error {
				return storetest.Apply(ctx, store, space, storetest.Put("k", `1`))
			},
			Delete: func(ctx context.Context, space protocol.SpaceID) error {
				return storetest.Apply(ctx, store, space, storetest.Delete())
			},
			Purge: func(ctx context.Context, space protocol.SpaceID) error {
				_, err := store.Purge(ctx, space)
				return err
			},
		}
	})
}

func TestWipeForgetsMembers(t *testing.T) {
	t.Parallel()
	store := memory.New()
	d := store.Members()
	if err := d.Create(t.Context(), "s", "ann", 1); err != nil {
		t.Fatal(err)
	}
	store.Wipe()
	role, err := d.Role(t.Context(), "s", "ann")
	if err != nil || role != "" {
		t.Errorf("role is %q (%v), want none", role, err)
	}
	if err := d.Create(t.Context(), "s", "bob", 1); err != nil {
		t.Errorf("create by another user: %v", err)
	}
	owner := members.Member{UserID: "ann", Role: members.Owner}
	if err := d.Put(t.Context(), members.Operator, "t", owner, 0); err != nil {
		t.Error(err)
	}
	if err := d.Create(t.Context(), "u", "ann", 1); err != nil {
		t.Errorf("create by the same user, whose count is gone: %v", err)
	}
}
