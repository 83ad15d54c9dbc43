package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/limit"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// messages is a push of n messages of a user's one client, to the space hers.
func messages(s *service, user string, n int) *httptest.ResponseRecorder {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"clientID":"c-%s","id":%d,"name":"createMessage","timestamp":1,`+
			`"args":{"id":"%s-%d","from":"x","content":"y","order":1}}`, user, i+1, user, i)
	}
	body := fmt.Sprintf(`{"pushVersion":1,"profileID":"p","clientGroupID":"g-%s","schemaVersion":"","mutations":[%s]}`,
		user, strings.Join(list, ","))
	return do(s, request("POST", pushPath+"?space=hers", body, "Authorization", "token "+user))
}

// pulled is the answer to a user's first pull.
func pulled(s *service, user string) string {
	body := strings.Replace(firstPull, "g1", "g-"+user, 1)
	return do(s, request("POST", pullPath+"?space=hers", body, "Authorization", "token "+user)).Body.String()
}

// TestPushOfReader: a reader's push is acknowledged and changes nothing; a stranger's is refused.
func TestPushOfReader(t *testing.T) {
	t.Parallel()
	s := newClub(t, nil)
	if w := messages(s, "rita", 1); w.Code != 403 {
		t.Errorf("reader's push that would create the space: %d %s", w.Code, w.Body)
	}
	if w := messages(s, "will", 1); w.Code != 200 {
		t.Fatalf("writer: %d %s", w.Code, w.Body)
	}
	if w := messages(s, "rita", 2); w.Code != 200 {
		t.Fatalf("reader: %d %s", w.Code, w.Body)
	}
	if got := pulled(s, "rita"); strings.Contains(got, "rita-0") || !strings.Contains(got, `"c-rita":2`) {
		t.Errorf("reader's pull: %s", got)
	}
	refused(t, messages(s, "eve", 1), 403, "forbidden", "not allowed")
}

// directory is one that may fail, and counts the roles that are read.
type directory struct {
	members.Directory
	down  bool
	reads int
}

func (d *directory) Role(ctx context.Context, space protocol.SpaceID, user string) (members.Role, error) {
	d.reads++
	if d.down {
		return "", errors.New("directory is down")
	}
	return d.Directory.Role(ctx, space, user)
}

// TestPushOfReaderReadsTheRole: the role that rejects is read for the commit that records it,
// though the policy remembers another one.
func TestPushOfReaderReadsTheRole(t *testing.T) {
	t.Parallel()
	var d *directory
	store := memory.New()
	s := newServiceOn(t, store, func(c *handlers.Config) {
		d = &directory{Directory: store.Members()}
		policy := members.New(d, members.Options{RoleLife: time.Hour})
		c.Dev, c.Authenticator, c.Policy = false, guard{}, policy
	}, "hers")
	put := func(user string, role members.Role) {
		t.Helper()
		m := members.Member{UserID: user, Role: role}
		if err := store.Members().Put(t.Context(), members.Operator, "hers", m, 0); err != nil {
			t.Fatal(err)
		}
	}
	put("will", members.Writer)
	put("rita", members.Reader)
	if w := messages(s, "will", 1); w.Code != 200 {
		t.Fatalf("writer: %d %s", w.Code, w.Body)
	}
	if w := messages(s, "rita", 1); w.Code != 200 || d.reads != 3 { // will's, rita's, rita's again
		t.Fatalf("reader: %d %s after %d reads", w.Code, w.Body, d.reads)
	}

	d.down = true
	refused503(t, messages(s, "rita", 2))
	d.down = false

	put("rita", members.Writer) // by another instance: this one remembers the reader
	if w := messages(s, "rita", 2); w.Code != 200 {
		t.Fatalf("writer by now: %d %s", w.Code, w.Body)
	}
	if got := pulled(s, "rita"); !strings.Contains(got, "rita-1") || strings.Contains(got, "rita-0") {
		t.Errorf("the mutation after the promotion is not there, or the one before is: %s", got)
	}

	put("rob", members.Reader)
	if got := pulled(s, "rob"); !strings.Contains(got, "will-0") {
		t.Fatalf("rob's pull: %s", got)
	}
	if err := store.Members().Delete(t.Context(), members.Operator, "hers", "rob"); err != nil { // by another instance
		t.Fatal(err)
	}
	refused(t, messages(s, "rob", 1), 403, "forbidden", "not allowed")
}

func refused503(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != 503 || problemOf(t, w)["kind"] != "unavailable" {
		t.Errorf("status = %d, want 503 unavailable: %s", w.Code, w.Body)
	}
}

// TestReadersBudget: a user's rejected mutations, and a space's, are bounded; a backlog gets on
// as the budget does.
func TestReadersBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newClub(t, func(c *handlers.Config) {
			c.UserRejections = limit.Rate{PerSecond: 1. / 60, Burst: 2}
			c.SpaceRejections = limit.Rate{PerSecond: 1, Burst: 3}
		})
		defer s.hub.Close()
		if w := messages(s, "will", 1); w.Code != 200 {
			t.Fatalf("writer: %d %s", w.Code, w.Body)
		}
		w := messages(s, "rita", 3)
		refused(t, w, 429, "rate_limited", "Of one user, 1 mutations a minute")
		if got := w.Header().Get("Retry-After"); got != "60" {
			t.Errorf("Retry-After = %s, want 60", got)
		}
		if got := pulled(s, "rita"); !strings.Contains(got, `"c-rita":2`) {
			t.Errorf("the first two are not acknowledged: %s", got)
		}
		time.Sleep(time.Minute)
		if w := messages(s, "rita", 3); w.Code != 200 {
			t.Errorf("the third, a minute later: %d %s", w.Code, w.Body)
		}
		if w := messages(s, "will", 50); w.Code != 200 {
			t.Errorf("a writer has no such budget: %d %s", w.Code, w.Body)
		}
	})
}

// TestNewClientsBudget: a group, and a user, makes known so many clients.
func TestNewClientsBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *handlers.Config) {
			c.Authenticator, c.Policy = guard{}, auth.Open{}
			c.NewClients = limit.Rate{PerSecond: 1. / 60, Burst: 2}
		})
		defer s.hub.Close()
		push := func(user, group, client string) *httptest.ResponseRecorder {
			body := strings.NewReplacer("g1", group, "c1", client, "m1", "m-"+client).Replace(onePush)
			return do(s, request("POST", pushPath, body, "Authorization", "token "+user))
		}
		for _, client := range []string{"a", "b", "a", "b"} {
			if w := push("ann", "ga", client); w.Code != 200 {
				t.Fatalf("client %s: %d %s", client, w.Code, w.Body)
			}
		}
		w := push("ann", "ga", "c")
		refused(t, w, 429, "rate_limited", "One user may begin 60 new clients an hour, and 2 at once.")
		refused(t, push("ann", "another", "c"), 429, "rate_limited", "One user")
		if w := push("bob", "gb", "d"); w.Code != 200 {
			t.Errorf("another user: %d %s", w.Code, w.Body)
		}
		time.Sleep(time.Minute)
		if w := push("ann", "ga", "c"); w.Code != 200 {
			t.Errorf("after the time that was said: %d %s", w.Code, w.Body)
		}
	})
}
