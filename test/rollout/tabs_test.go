package rollout_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

// balancer sends each request to the next of some instances. It is safe for concurrent use.
type balancer struct {
	instances []*instance
	n         atomic.Int64
}

func balance(instances ...*instance) *balancer { return &balancer{instances: instances} }

func (b *balancer) next() *instance {
	return b.instances[int(b.n.Add(1))%len(b.instances)]
}

// ask asks until the answer is one that does not pass.
func (b *balancer) ask(path, user string, body []byte) (answer, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		a, err := b.next().ask(http.MethodPost, path, user, string(body))
		if err != nil || !a.passes() || time.Now().After(deadline) {
			return a, err
		}
	}
}

// tab is a Replicache client of a user's, with what it was told.
type tab struct {
	*replica.Client

	user, space string
	own         map[string]string // the contents of its own messages, by key
	contested   map[int64]string  // keys that others create too, by the mutation's id
	rejected    map[int64]string  // reasons, by id
	clears      int
}

// newTab is the first tab of a group of its own.
func newTab(user, space, name string) *tab {
	return open(replica.New(protocol.ClientID(space+"-"+name), protocol.ClientGroupID("g-"+space+"-"+name)), user, space)
}

// sibling opens another tab of the group.
func (c *tab) sibling(name string) *tab {
	return open(c.Fork(protocol.ClientID(c.space+"-"+name)), c.user, c.space)
}

func open(c *replica.Client, user, space string) *tab {
	return &tab{
		Client: c, user: user, space: space,
		own: map[string]string{}, contested: map[int64]string{}, rejected: map[int64]string{},
	}
}

func (c *tab) path(what string) string { return "/api/replicache/" + what + "?space=" + c.space }

// mutate calls a mutator of the chat and returns the mutation's id.
func (c *tab) mutate(name string, args map[string]any) int64 {
	raw, err := json.Marshal(args)
	if err != nil {
		panic(err) // cannot be: these are strings and numbers
	}
	return c.Mutate(name, raw, time.Now()).ID
}

// write writes messages of its own, changes and deletes older ones, and creates one
// that others create too.
func (c *tab) write(round int) {
	id := func(n int) string { return fmt.Sprintf("own/%s/%d", c.ID(), n) }
	content := fmt.Sprintf("<%d> of \u2028 %q 😀", round, c.ID())
	c.mutate("createMessage", map[string]any{
		"id": id(round), "from": c.user, "content": content, "order": float64(round) / 4 * 1e20,
	})
	c.own["message/"+id(round)] = content
	if _, ok := c.own["message/"+id(round-1)]; ok {
		c.mutate("updateMessage", map[string]any{"id": id(round - 1), "content": content + " again"})
		c.own["message/"+id(round-1)] = content + " again"
	}
	if round%2 == 0 {
		c.mutate("deleteMessage", map[string]any{"id": id(round - 2)})
		delete(c.own, "message/"+id(round-2))
	}
	contested := fmt.Sprintf("contested/%d", round)
	n := c.mutate("createMessage", map[string]any{
		"id": contested, "from": c.user, "content": string(c.ID()), "order": round,
	})
	c.contested[n] = "message/" + contested
}

// push sends all that is pending, as a client does.
func (c *tab) push(to *balancer) error {
	body := c.PushRequest()
	if body == nil {
		return nil
	}
	a, err := to.ask(c.path("push"), c.user, body)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || strings.Contains(a.body, `"error"`) {
		return fmt.Errorf("push of %s: %v", c.ID(), a)
	}
	return nil
}

// pull takes over an answer.
func (c *tab) pull(from *balancer) error {
	asked := c.Cookie()
	a, err := from.ask(c.path("pull"), c.user, c.PullRequest())
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("pull of %s: %v", c.ID(), a)
	}
	outcome, err := c.Apply(asked, []byte(a.body))
	if err != nil || outcome != replica.Applied && outcome != replica.Unchanged {
		return fmt.Errorf("pull of %s with %s: %v, %w: %v", c.ID(), asked, outcome, err, a)
	}
	return c.learn(a.body)
}

// learn notes what an answer says beside the view.
func (c *tab) learn(body string) error {
	var told struct {
		Patch      []struct{ Op protocol.Op }
		Rejections map[protocol.ClientID][]protocol.Rejection
	}
	if err := json.Unmarshal([]byte(body), &told); err != nil {
		return err
	}
	for _, op := range told.Patch {
		if op.Op == protocol.OpClear {
			c.clears++
		}
	}
	for _, r := range told.Rejections[c.ID()] {
		c.rejected[r.ID] = r.Reason
	}
	return nil
}

// settle sends all that is pending, then has each instance answer every tab.
func settle(t *testing.T, tabs []*tab, instances ...*instance) {
	t.Helper()
	all := balance(instances...)
	for _, tab := range tabs {
		if err := tab.push(all); err != nil {
			t.Fatal(err)
		}
	}
	for _, tab := range tabs {
		for range instances {
			if err := tab.pull(all); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(tab.Pending()); n > 0 {
			t.Errorf("%d mutations of %s are pending after they were answered 200 and pulled", n, tab.ID())
		}
	}
}

// view is what a tab shows, with one text for each value: an earlier program has several.
func (c *tab) view() map[string]string {
	view := map[string]string{}
	for key, value := range c.View() {
		text, err := protocol.Canonical(value)
		if err != nil {
			text = fmt.Appendf(nil, "%s: %v", value, err)
		}
		view[key] = string(text)
	}
	return view
}

// same fails the test unless all tabs, and new ones at each instance, show the same.
func same(t *testing.T, tabs []*tab, instances ...*instance) map[string]string {
	t.Helper()
	want := tabs[0].view()
	for _, tab := range tabs[1:] {
		compare(t, string(tab.ID()), tab.view(), want)
	}
	for n, i := range instances {
		fresh := newTab(tabs[0].user, tabs[0].space, fmt.Sprint("fresh-", n))
		if err := fresh.pull(balance(i)); err != nil {
			t.Fatal(err)
		}
		compare(t, "a new client of "+i.name, fresh.view(), want)
	}
	return want
}

// compare reports the keys of which two views say different things.
func compare(t *testing.T, who string, got, want map[string]string) {
	t.Helper()
	keys := maps.Clone(want)
	maps.Copy(keys, got)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if got[key] != want[key] {
			t.Errorf("%s shows %q as %.300q, others as %.300q", who, key, got[key], want[key])
		}
	}
}

// check holds a view to what the tab has written and was told: its own messages are
// there, once and as it left them; and of each that others created too it has either
// won, or was told that it was refused.
func (c *tab) check(t *testing.T, view map[string]string) {
	t.Helper()
	content := map[string]string{}
	own := 0
	for key, text := range view {
		var m struct{ Content string }
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Error(err)
		}
		content[key] = m.Content
		if strings.HasPrefix(key, fmt.Sprintf("message/own/%s/", c.ID())) {
			own++
		}
	}
	if own != len(c.own) {
		t.Errorf("%s has left %d messages, %d are there", c.ID(), len(c.own), own)
	}
	for key, want := range c.own {
		if content[key] != want {
			t.Errorf("%s has left %q as %q, it is %q", c.ID(), key, want, content[key])
		}
	}
	lost := 0
	for id, key := range c.contested {
		won := content[key] == string(c.ID())
		if reason, told := c.rejected[id]; told == won {
			t.Errorf("%s has created %q: %t, was told otherwise: %t (%s)", c.ID(), key, won, told, reason)
		}
		if !won {
			lost++
		}
	}
	if len(c.rejected) != lost {
		t.Errorf("%s was told of rejections %v, %d are right", c.ID(), c.rejected, lost)
	}
}
