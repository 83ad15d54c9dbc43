package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	for _, step := range []struct {
		args           string
		code           int
		stdout, stderr string // all of it; in it
	}{
		{"list s", 0, "", ""},
		{"set s olga --role=owner", 0, `"olga" has the role owner in space "s"` + "\n", ""},
		{"set s bob --role=reader", 0, `"bob" has the role reader in space "s"` + "\n", ""},
		{"set s bob --role=writer", 0, `"bob" has the role writer in space "s"` + "\n", ""},
		{"set s a/b\x1b[2J --role=reader", 0, `"a/b\x1b[2J" has the role reader in space "s"` + "\n", ""},
		{"list s", 0, "reader  \"a/b\\x1b[2J\"\nwriter  bob\nowner   olga\n", ""},
		{"list t", 0, "", ""},
		{"set s olga --role=writer", 1, "", "space would have no owner"},
		{"remove s olga", 1, "", "space would have no owner"},
		{"remove s a/b\x1b[2J", 0, `"a/b\x1b[2J" is no member of space "s"` + "\n", ""},
		{"remove s nobody", 0, `"nobody" is no member of space "s"` + "\n", ""},
		{"list s --json", 0, `{"userID":"bob","role":"writer"}` + "\n" + `{"userID":"olga","role":"owner"}` + "\n", ""},
	} {
		args := append([]string{"members"}, strings.Fields(step.args)...)
		code, stdout, stderr := execute(t.Context(), d.environment(), args...)
		if code != step.code || stdout != step.stdout || !strings.Contains(stderr, step.stderr) ||
			(step.stderr == "") != (stderr == "") {
			t.Errorf("members %q exits with %d, prints %q, %q, want %+v", step.args, code, stdout, stderr, step)
		}
	}
}

// TestMembersListsAll: also what does not fit into one page.
func TestMembersListsAll(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	store, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const all = membersPage + 1
	for i := range all {
		m := members.Member{UserID: fmt.Sprintf("user%04d", i), Role: members.Owner}
		if err := store.Members().Put(t.Context(), members.Operator, "s", m, 0); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := execute(t.Context(), d.environment(), "members", "list", "s")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != 0 || stderr != "" || len(lines) != all || lines[all-1] != "owner   user0100" {
		t.Errorf("list exits with %d, %q; %d lines, want %d", code, stderr, len(lines), all)
	}
}

// TestDamagedMember: the error, which a service logs, names no user; the command does.
func TestDamagedMember(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.patch(t, "spaces/s/members/mallory", `{"fields":{"userID":{"stringValue":"mallory"}}}`)
	code, _, stderr := execute(t.Context(), d.environment(), "members", "list", "s")
	trouble, document, _ := strings.Cut(stderr, "\n")
	if code != 1 || !strings.Contains(trouble, "documents/spaces/s/members/-: ") || strings.Contains(trouble, "mallory") ||
		!strings.Contains(document, `/documents/spaces/s/members/mallory"`) {
		t.Errorf("members list exits with %d, %q", code, stderr)
	}
}

// TestRemovedBesideAService: a service that remembers an owner whom an operator has
// removed, or whose space an operator has deleted, lets them change nothing.
func TestRemovedBesideAService(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"members", "remove", "s", "eve"},
		{"members", "set", "s", "eve", "--role=reader"},
		{"delete", "s", "--yes"},
	} {
		t.Run(args[0]+" "+args[1], func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			d.fill(t)
			store, err := d.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			for _, user := range []string{"ann", "eve"} {
				m := members.Member{UserID: user, Role: members.Owner}
				if err := store.Members().Put(t.Context(), members.Operator, "s", m, 0); err != nil {
					t.Fatal(err)
				}
			}
			service := members.New(store.Members(), members.Options{RoleLife: time.Hour})
			eve := auth.Principal{UserID: "eve"}
			if err := service.Allow(t.Context(), eve, "s", auth.Admin); err != nil {
				t.Fatal(err)
			}
			if code, _, stderr := execute(t.Context(), d.environment(), args...); code != 0 {
				t.Fatalf("%v exits with %d, %q", args, code, stderr)
			}
			for _, user := range []string{"eve", "mallory"} {
				m := members.Member{UserID: user, Role: members.Owner}
				if err := service.Put(t.Context(), eve, "s", m); !errors.Is(err, auth.ErrForbidden) {
					t.Errorf("eve makes %s an owner: %v, want %v", user, err, auth.ErrForbidden)
				}
			}
			if err := service.Create(t.Context(), eve, "s"); !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("eve makes the space her own: %v, want %v", err, auth.ErrForbidden)
			}
		})
	}
}
