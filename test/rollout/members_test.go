package rollout_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"
)

// testMembers manages the members of a space at both programs. Each holds to what was
// said to the other, after the seconds for which an instance remembers a role.
func testMembers(t *testing.T, p programs) {
	t.Helper()
	d := newDatabase(t, "REPLIFIRE_POLICY=members")
	before, now := d.start(p.before, "of before"), d.start(p.now, "of now")
	both := []*instance{before, now}

	before.put("ann", "ann", "owner") // nobody's space becomes hers
	before.put("ann", "bob", "writer")
	now.put("ann", "cid", "reader")
	ann, bob, cid := newTab("ann", "s", "ann"), newTab("bob", "s", "bob"), newTab("cid", "s", "cid")
	for _, i := range both {
		d.await("ann writes", func() bool { return ann.writes(i) })
		d.await("bob writes", func() bool { return bob.writes(i) })
		d.await("cid reads", func() bool { return cid.reads(i) })
		if cid.writes(i) {
			t.Errorf("a reader has written at the program %s", i.name)
		}
	}
	before.put("ann", "cid", "owner")
	for _, i := range both {
		d.await("cid writes, who was a reader", func() bool { return cid.writes(i) })
		d.await("cid sees the members", func() bool { return i.member(http.MethodGet, "cid", "").status == http.StatusOK })
	}
	now.remove("cid", "ann")
	before.remove("cid", "bob")
	for _, i := range both {
		d.await("ann is refused, who was removed", func() bool { return !ann.reads(i) && !ann.writes(i) })
		d.await("bob is refused, who was removed", func() bool { return !bob.reads(i) && !bob.writes(i) })
		if a := i.member(http.MethodPut, "ann", "ann", "owner"); a.status < 400 {
			t.Errorf("an owner who was removed comes back: %v", a)
		}
		if got := i.roles("cid"); !maps.Equal(got, map[string]string{"cid": "owner"}) {
			t.Errorf("the members are %v at the program %s, want cid alone, an owner", got, i.name)
		}
	}
	settle(t, []*tab{cid}, both...)
	same(t, []*tab{cid}, both...)
	d.checkStored(p, "s")
}

// await waits until something is so.
func (d *database) await(what string, so func() bool) {
	d.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.Fatalf("it never comes true that %s", what)
		}
	}
}

// member asks for a member of the space, or for all, with a role for a PUT.
func (i *instance) member(method, actor, user string, role ...string) answer {
	i.Helper()
	path, body := "/api/spaces/s/members/"+user, ""
	if len(role) > 0 {
		body = fmt.Sprintf(`{"role":%q}`, role[0])
	}
	a, err := i.ask(method, path, actor, body)
	if err != nil {
		i.Fatal(err)
	}
	return a
}

// put gives a user a role, in the name of an owner whose own role the instance may have
// to learn first.
func (i *instance) put(actor, user, role string) {
	i.Helper()
	i.await(fmt.Sprintf("%s makes %s %s", actor, user, role), func() bool {
		return i.member(http.MethodPut, actor, user, role).status == http.StatusOK
	})
}

func (i *instance) remove(actor, user string) {
	i.Helper()
	i.await(fmt.Sprintf("%s removes %s", actor, user), func() bool {
		return i.member(http.MethodDelete, actor, user).status == http.StatusNoContent
	})
}

// roles are those of all members.
func (i *instance) roles(actor string) map[string]string {
	i.Helper()
	a := i.member(http.MethodGet, actor, "")
	var list struct {
		Members []struct{ UserID, Role string }
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		i.Errorf("%v: %v", a, err)
	}
	roles := map[string]string{}
	for _, m := range list.Members {
		roles[m.UserID] = m.Role
	}
	return roles
}

// reads reports whether an instance lets the tab pull.
func (c *tab) reads(i *instance) bool {
	i.Helper()
	a, err := balance(i).ask(c.path("pull"), c.user, c.PullRequest())
	if err != nil {
		i.Fatal(err)
	}
	return a.status == http.StatusOK
}

// writes reports whether a message that the tab sends to an instance is seen afterwards.
// What was refused without being acknowledged goes with the next one, as a client's does.
func (c *tab) writes(i *instance) bool {
	i.Helper()
	key := fmt.Sprintf("%s/%d", c.ID(), time.Now().UnixNano())
	c.mutate("createMessage", map[string]any{"id": key, "from": c.user, "content": i.name, "order": 1})
	a, err := balance(i).ask(c.path("push"), c.user, c.PushRequest())
	if err != nil {
		i.Fatal(err)
	}
	if a.status != http.StatusOK || !c.reads(i) {
		return false
	}
	if err := c.pull(balance(i)); err != nil {
		i.Fatal(err)
	}
	return c.View()["message/"+key] != nil
}
