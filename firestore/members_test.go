package firestore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/auth/members/memberstest"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	memberstest.Run(t, func(t testing.TB) memberstest.Harness {
		t.Helper()
		f := open(t)
		return memberstest.Harness{
			Directory: f.Members(),
			Second:    openProject(t, f.project).Members(),
			Fill: func(ctx context.Context, space protocol.SpaceID) error {
				return storetest.Apply(ctx, f, space, storetest.Put("k", `1`))
			},
			Delete: func(ctx context.Context, space protocol.SpaceID) error {
				return storetest.Apply(ctx, f, space, storetest.Delete())
			},
			Purge: func(ctx context.Context, space protocol.SpaceID) error {
				_, err := f.Purge(ctx, space)
				return err
			},
		}
	})
}

// TestMemberDocuments: what the console shows, which the rules and others read.
func TestMemberDocuments(t *testing.T) {
	t.Parallel()
	f := open(t)
	if err := f.Members().Create(t.Context(), "s", "ann", 0); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]map[string]any{
		"spaces/s/members/ann": {"userID": "ann", "role": "owner"},
		"creators/ann":         {"userID": "ann", "spaces": int64(1)},
	} {
		doc, err := f.raw(t).Doc(path).Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for field, value := range want {
			if got := doc.Data()[field]; got != value {
				t.Errorf("%s of %s is %v, want %v", field, path, got, value)
			}
		}
		if n := len(doc.Data()); n != len(want) {
			t.Errorf("%s has %d fields, want %d", path, n, len(want))
		}
	}
}

// TestMemberWrittenByOthers: what cannot be told to be a right is none.
func TestMemberWrittenByOthers(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, test := range map[string]struct {
		fields map[string]any
		want   error
	}{
		"unknown-role": {map[string]any{"userID": "unknown-role", "role": "admin"}, nil},
		"no-role":      {map[string]any{"userID": "no-role"}, engine.ErrCorrupt},
		"no-user":      {map[string]any{"role": "owner"}, engine.ErrCorrupt},
		"other-user":   {map[string]any{"userID": "ann", "role": "owner"}, engine.ErrCorrupt},
		"role-1":       {map[string]any{"userID": "role-1", "role": 1}, engine.ErrCorrupt},
	} {
		if _, err := f.raw(t).Doc("spaces/s/members/"+name).Set(t.Context(), test.fields); err != nil {
			t.Fatal(err)
		}
		role, err := f.Members().Role(t.Context(), "s", name)
		if role != "" || !errors.Is(err, test.want) {
			t.Errorf("role of %s is %q, %v, want none and %v", name, role, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), name) {
			t.Errorf("the error names the user, and is logged: %v", err)
		}
	}
}

// TestMembersCost: a question about a role is one read, whether or not there is
// anything.
func TestMembersCost(t *testing.T) {
	t.Parallel()
	f := open(t)
	if err := f.Members().Create(t.Context(), "s", "ann", 0); err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		space protocol.SpaceID
		user  string
	}{{"s", "ann"}, {"s", "bob"}, {"absent", "ann"}} {
		f.counter.Reset()
		if _, err := f.Members().Role(t.Context(), at.space, at.user); err != nil {
			t.Fatal(err)
		}
		if cost := f.counter.Counts(); cost.Total() != 1 || cost.Read+cost.Missing != 1 {
			t.Errorf("role of %s in %s costs %+v, want one read", at.user, at.space, cost)
		}
	}
}

// TestChangeOfMembersCost: a change reads the space, the membership and that of who asks,
// two owners at the most, and counts the members only where there will be one more.
func TestChangeOfMembersCost(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := f.Members()
	if err := d.Create(t.Context(), "s", "ann", 0); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name          string
		member        members.Member
		reads, counts int
	}{
		{"one more", members.Member{UserID: "bob", Role: members.Reader}, 4, 1},
		{"another role", members.Member{UserID: "bob", Role: members.Writer}, 4, 0},
		{"an owner", members.Member{UserID: "bob", Role: members.Owner}, 3, 0},
	} {
		f.counter.Reset()
		if err := d.Put(t.Context(), members.User("ann"), "s", step.member, 10); err != nil {
			t.Fatal(err)
		}
		cost := f.counter.Counts()
		if cost.Read+cost.Missing != step.reads || cost.RPCs["RunAggregationQuery"] != step.counts {
			t.Errorf("%s costs %+v, want %d reads and %d counts", step.name, cost, step.reads, step.counts)
		}
	}
}

// TestMembersUnavailable: trouble of the connection is no answer about anybody.
func TestMembersUnavailable(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := f.Members()
	owner := members.Member{UserID: "ann", Role: members.Owner}
	for name, test := range map[string]struct {
		method string
		call   func() error
	}{
		"Role":   {"BatchGetDocuments", func() error { _, err := d.Role(t.Context(), "s", "ann"); return err }},
		"Put":    {"Commit", func() error { return d.Put(t.Context(), members.Operator, "s", owner, 0) }},
		"Delete": {"RunQuery", func() error { return d.Delete(t.Context(), members.Operator, "s", "ann") }},
		"Limit": {"RunAggregationQuery", func() error {
			return d.Put(t.Context(), members.Operator, "s", owner, 9)
		}},
		"Create": {"BeginTransaction", func() error { return d.Create(t.Context(), "s", "ann", 0) }},
		"List":   {"RunQuery", func() error { _, err := d.List(t.Context(), "s", "", 9); return err }},
	} {
		const text = "no right to projects/p/databases/d/documents/spaces/s/members/ann"
		f.faults.add(fault{method: test.method, code: codes.PermissionDenied, text: text})
		err := test.call()
		if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "no right to") {
			t.Errorf("%s: %v, want %v and the reason", name, err, engine.ErrUnavailable)
		} else if strings.Contains(err.Error(), "ann") {
			t.Errorf("%s: the error names the user, and is logged: %v", name, err)
		}
		f.faults.clear()
	}
}

// TestCreateWhoseReplyWasLost: the creation that was made is found by who repeats it.
func TestCreateWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := f.Members()
	f.faults.add(fault{method: "Commit", applied: true, code: codes.Internal})
	if err := d.Create(t.Context(), "s", "ann", 1); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("the first try: %v, want %v", err, engine.ErrUnavailable)
	}
	// The SDK repeats by itself what was aborted.
	f.faults.add(fault{method: "Commit", code: codes.Aborted})
	if err := d.Create(t.Context(), "s", "ann", 1); err != nil {
		t.Errorf("the second try: %v", err)
	}
	doc, err := f.raw(t).Doc("creators/ann").Get(t.Context())
	if err != nil || doc.Data()["spaces"] != int64(1) {
		t.Errorf("count is %v (%v), want 1", doc.Data(), err)
	}
}
