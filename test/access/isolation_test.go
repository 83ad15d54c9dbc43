package access_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// requests is a million in the run that docs/security.md has the figures of.
var requests = flag.Int("access.requests", 10_000, "requests of TestIsolation")

const (
	tenants = 50 // as many users as spaces
	workers = 8
	// changing is one request in so many that changes a membership.
	changing = 20
)

// byName takes the Authorization header for the user's id.
type byName struct{}

func (byName) Authenticate(_ context.Context, authorization string) (auth.Principal, error) {
	return auth.Principal{UserID: authorization}, nil
}

// membership is what the test knows of a user in a space.
type membership struct {
	mu      sync.RWMutex
	changes int // odd while a change is under way
	role    members.Role
}

func (m *membership) now() (int, members.Role) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.changes, m.role
}

// crowd is tenants, each of whom owns a space, with random rights in the others'.
type crowd struct {
	http.Handler
	store  *memory.Store
	roles  [tenants][tenants]membership // by space and user
	groups [tenants][tenants]sync.Mutex // one push of a client at a time
	pushed [tenants][tenants]int64
	counts map[string]*atomic.Int64
}

func name(user int) string     { return fmt.Sprintf("user-%d", user) }
func spaceName(s int) string   { return fmt.Sprintf("space-%d", s) }
func tenantMark(s int) string  { return fmt.Sprintf("MARK-%d;", s) }
func pathOf(s, u int) string   { return memberPath(spaceName(s), name(u)) }
func roleBody(r string) string { return `{"role":"` + r + `"}` }

var anyMark = regexp.MustCompile(`MARK-\d+;`)

// newCrowd makes the spaces over HTTP, as users do.
func newCrowd(t *testing.T) *crowd {
	t.Helper()
	store := memory.New()
	e := engine.New(store, chat.Mutators(), engine.Options{Logger: quiet})
	policy := members.New(store.Members(), members.Options{})
	hub := poke.NewHub(poke.Options{
		Watch: func(ctx context.Context, _ protocol.SpaceID, _ func(int64, poke.Concerns)) error {
			<-ctx.Done()
			return ctx.Err()
		},
		Head:   func(context.Context, protocol.SpaceID) (int64, poke.Concerns, error) { return 0, nil, nil },
		Logger: quiet,
	})
	h, err := handlers.New(handlers.Config{
		Engine: e, Hub: hub, Authenticator: byName{}, Policy: policy, Members: policy, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hub.Close()
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c := &crowd{Handler: h, store: store, counts: map[string]*atomic.Int64{}}
	for _, what := range []string{"push", "pull", "poke", "ticket", "list", "change", "allowed", "refused"} {
		c.counts[what] = &atomic.Int64{}
	}
	for s := range tenants {
		if status, body := c.ask(http.MethodPut, pathOf(s, s), name(s), roleBody("owner")); status != http.StatusOK {
			t.Fatalf("making %s: %d %s", spaceName(s), status, body)
		}
		c.roles[s][s].role = members.Owner
		if status, body := c.push(t, s, s); status != http.StatusOK {
			t.Fatalf("first push to %s: %d %s", spaceName(s), status, body)
		}
	}
	return c
}

func (c *crowd) ask(method, path, user, body string) (int, string) {
	r := with(method, post(path, body))
	r.Header.Set("Authorization", user)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code, fmt.Sprint(w.Header(), w.Body)
}

// change gives a user another role in a space, or takes it.
func (c *crowd) change(t *testing.T, r *rand.Rand, s, u int) {
	t.Helper()
	if s == u {
		return // an owner stays
	}
	m := &c.roles[s][u]
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes++
	role := []members.Role{"", "", members.Reader, members.Writer}[r.IntN(4)]
	method, change := http.MethodPut, roleBody(string(role))
	if role == "" {
		method, change = http.MethodDelete, ""
	}
	status, body := c.ask(method, pathOf(s, u), name(s), change)
	if status != http.StatusOK && status != http.StatusNoContent {
		t.Errorf("%q for %s in %s: %d %s", role, name(u), spaceName(s), status, body)
	}
	m.role = role
	m.changes++
	c.counts["change"].Add(1)
}

// act makes one request at random, of any user in any space.
func (c *crowd) act(t *testing.T, r *rand.Rand) {
	t.Helper()
	s, u := r.IntN(tenants), r.IntN(tenants)
	if r.IntN(3) == 0 {
		s = u // one's own more often
	}
	if r.IntN(changing) == 0 {
		c.change(t, r, s, u)
		return
	}
	what := []string{"push", "pull", "pull", "poke", "ticket", "list"}[r.IntN(6)]
	c.counts[what].Add(1)
	before, role := c.roles[s][u].now()
	status, text := c.request(t, what, s, u)
	after, _ := c.roles[s][u].now()
	c.judge(t, fmt.Sprintf("%s of %s in %s", what, name(u), spaceName(s)), verdict{
		status: status, text: text, space: s, certain: before == after, allowed: may(role, what),
	})
}

func may(role members.Role, what string) bool {
	switch what {
	case "list":
		return role.Allows(auth.Admin)
	default:
		return role.Allows(auth.Read)
	}
}

// verdict is what a request was answered, and what is known of the right to it.
type verdict struct {
	status  int
	text    string
	space   int
	certain bool // nothing changed meanwhile
	allowed bool // at the beginning
}

func (c *crowd) judge(t *testing.T, at string, v verdict) {
	t.Helper()
	done := v.status == http.StatusOK
	if done {
		c.counts["allowed"].Add(1)
	} else {
		c.counts["refused"].Add(1)
	}
	if !done && v.status != http.StatusForbidden || v.certain && done != v.allowed {
		t.Errorf("%s: %d, and may: %v (certain: %v)\n%s", at, v.status, v.allowed, v.certain, v.text)
	}
	for _, m := range anyMark.FindAllString(v.text, -1) {
		if !done || m != tenantMark(v.space) {
			t.Fatalf("%s: %d with %s", at, v.status, m)
		}
	}
}

func (c *crowd) request(t *testing.T, what string, s, u int) (int, string) {
	t.Helper()
	space := "?space=" + spaceName(s)
	user := name(u)
	switch what {
	case "push":
		return c.push(t, s, u)
	case "pull":
		return c.ask(http.MethodPost, "/api/replicache/pull"+space, user, fmt.Sprintf(
			`{"pullVersion":1,"profileID":"p","schemaVersion":"","clientGroupID":%q,"cookie":null}`, group(user, spaceName(s))))
	case "poke":
		return c.ask(http.MethodHead, "/api/replicache/poke"+space, user, "")
	case "ticket":
		return c.ask(http.MethodPost, "/api/replicache/poke-ticket"+space, user, "{}")
	default:
		return c.ask(http.MethodGet, "/api/spaces/"+spaceName(s)+"/members", user, "")
	}
}

// push writes one of a few keys, so that spaces stay small. A reader's is acknowledged, and
// MUST write nothing.
func (c *crowd) push(t *testing.T, s, u int) (int, string) {
	t.Helper()
	c.groups[s][u].Lock()
	defer c.groups[s][u].Unlock()
	before, role := c.roles[s][u].now()
	id := c.pushed[s][u] + 1
	kind, user := "createMessage", name(u)
	if id > 1 {
		kind = "updateMessage"
	}
	status, text := c.ask(http.MethodPost, "/api/replicache/push?space="+spaceName(s), user, fmt.Sprintf(
		`{"pushVersion":1,"profileID":"p","schemaVersion":"","clientGroupID":%q,"mutations":[{"clientID":%q,"id":%d,`+
			`"name":%q,"timestamp":1,"args":{"id":"m-%d","from":"x","content":"%s %d","order":1}}]}`,
		group(user, spaceName(s)), client(user, spaceName(s)), id, kind, u, tenantMark(s), id))
	if status == http.StatusOK {
		c.pushed[s][u] = id
	}
	after, _ := c.roles[s][u].now()
	if stored := c.stored(t, s, u); before == after && !role.Allows(auth.Write) &&
		strings.Contains(stored, fmt.Sprintf("%s %d\"", tenantMark(s), id)) {
		t.Errorf("push of %s in %s as %q is stored: %s", user, spaceName(s), role, stored)
	}
	return status, text
}

// stored is the message of a user in a space.
func (c *crowd) stored(t *testing.T, s, u int) string {
	t.Helper()
	key := fmt.Sprintf("message/m-%d", u)
	snap, err := c.store.Snapshot(t.Context(), protocol.SpaceID(spaceName(s)), engine.Documents{Keys: []string{key}})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := snap.Entry(key)
	return string(e.Value)
}

// TestIsolation: while rights change under load, no answer has a byte of another
// space than the one that was asked for, none of a space without the right, and
// whoever has the right is served.
func TestIsolation(t *testing.T) { //nolint:paralleltest // it takes the whole machine
	c := newCrowd(t)
	began := time.Now()
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for i := 0; i < *requests/workers && !t.Failed(); i++ {
				c.act(t, r)
			}
		})
	}
	all.Wait()
	var figures strings.Builder
	for what, n := range c.counts {
		fmt.Fprintf(&figures, " %s %d", what, n.Load())
		if n.Load() == 0 {
			t.Errorf("nothing was %s", what)
		}
	}
	t.Logf("%d requests in %.1f s:%s", *requests, time.Since(began).Seconds(), figures.String())
}
