package access_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/token"
	"github.com/replifire/replifire/internal/tokentest"
)

var update = flag.Bool("update", false, "write the golden file")

const golden = "testdata/matrix.txt"

// minCells is what the matrix has at the least: who removes rows shall notice.
const minCells = 500

// caller is a kind of token with the service it is shown to.
type caller struct {
	name          string
	authorization string
	firebase      *token.Firebase
}

func newFirebase(t *testing.T, s *tokentest.Server, client *http.Client) *token.Firebase {
	t.Helper()
	f, err := token.NewFirebase(token.FirebaseConfig{
		ProjectID: tokentest.Project, KeysURL: s.URL(), Client: client,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// callers are all kinds of tokens, and all states of the key server.
func callers(t *testing.T) []caller {
	t.Helper()
	now := time.Now()
	server := tokentest.Start(t)
	up := newFirebase(t, server, server.Client())
	know(t, up, server.Token("ann", now))
	list := []caller{
		{"good", "Bearer " + server.Token("ann", now), up},
		{"good, without Bearer", server.Token("ann", now), up},
		{"good, of a user without any space", server.Token("eve", now), up},
	}
	for _, bad := range server.Bad("ann", now) {
		list = append(list, caller{bad.Name, bad.Token, up})
	}
	return append(list, keyServers(t, now)...)
}

// know has the keys fetched.
func know(t *testing.T, f *token.Firebase, good string) {
	t.Helper()
	if _, err := f.Authenticate(t.Context(), good); err != nil {
		t.Fatal(err)
	}
}

// keyServers are good tokens whose keys change or cannot be had.
func keyServers(t *testing.T, now time.Time) []caller {
	t.Helper()
	down, known, slow, rotated := tokentest.Start(t), tokentest.Start(t), tokentest.Start(t), tokentest.Start(t)
	down.SetDown(true)

	cached := newFirebase(t, known, known.Client())
	know(t, cached, known.Token("ann", now))
	known.SetDown(true)

	t.Cleanup(slow.Hold())
	impatient := &http.Client{Transport: slow.Client().Transport, Timeout: 20 * time.Millisecond}

	old := rotated.Token("ann", now)
	rotated.Rotate(false)
	after := newFirebase(t, rotated, rotated.Client())
	know(t, after, rotated.Token("ann", now))
	return []caller{
		{"good, key server down", down.Token("ann", now), newFirebase(t, down, down.Client())},
		{"good, key server down, keys known", known.Token("ann", now), cached},
		{"good, key server slow", slow.Token("ann", now), newFirebase(t, slow, impatient)},
		{"of the key before the rotation", old, after},
		{"of the key after the rotation", rotated.Token("ann", now), after},
	}
}

// TestMatrix compares every cell with the golden file; -update writes it.
func TestMatrix(t *testing.T) { //nolint:paralleltest // beside TestIsolation a key server may seem slow
	var text strings.Builder
	m, cells := newMatrix(t), 0
	for _, c := range callers(t) {
		fmt.Fprintf(&text, "%s\n", c.name)
		for _, r := range routes {
			fmt.Fprintf(&text, "  %-15s", r.name)
			for _, space := range spaces {
				fmt.Fprintf(&text, " %s", space)
				for _, o := range r.of {
					fmt.Fprintf(&text, " %d", m.cell(t, c, r, space, o))
					cells++
				}
			}
			text.WriteString("\n")
		}
	}
	fmt.Fprintf(&text, "%d cells\n", cells)
	if cells < minCells {
		t.Errorf("%d cells, want %d or more", cells, minCells)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text.String(), "\n")); diff != "" {
		t.Errorf("the matrix has changed; go test ./test/access -update writes it (-want +got):\n%s", diff)
	}
}

// matrix is a world to ask in.
type matrix struct {
	firebase *current
	world    *world
	state    string
}

// current is the authenticator of the row.
type current struct{ now auth.Authenticator }

func (c *current) Authenticate(ctx context.Context, authorization string) (auth.Principal, error) {
	return c.now.Authenticate(ctx, authorization)
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{firebase: &current{}}
	m.world = newWorld(t, m.firebase)
	m.state = m.world.state(t)
	t.Cleanup(func() { m.world.close(t) })
	return m
}

func (m *matrix) renew(t *testing.T) {
	t.Helper()
	m.world.close(t)
	m.world = newWorld(t, m.firebase)
	m.state = m.world.state(t)
}

// cell asks, and checks what the status does not show. A world in which nothing has
// changed is as good as a new one for the next cell.
func (m *matrix) cell(t *testing.T, c caller, r route, space string, o whose) int {
	t.Helper()
	at := fmt.Sprintf("%s: %s in %s as %s", c.name, r.name, space, o)
	m.firebase.now = c.firebase
	w := m.world
	got := w.ask(r.request(space, o), c.authorization)
	done := got.status == http.StatusOK || got.status == http.StatusNoContent
	changed := w.state(t) != m.state
	if changed != (r.changes && done) {
		t.Errorf("%s: %d, and something changed: %v", at, got.status, changed)
	}
	if changed {
		defer m.renew(t)
	}
	checkLeak(t, at, got, space, done)
	if space == absent && !done {
		there := w.ask(r.request(foreign, o), c.authorization)
		if diff := cmp.Diff(there, got, cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%s: not there differs from not yours (-foreign +absent):\n%s", at, diff)
		}
	}
	return got.status
}

// checkLeak finds marks, and names, of what the caller may not see.
func checkLeak(t *testing.T, at string, got answer, space string, done bool) {
	t.Helper()
	for _, s := range spaces {
		if allowed := done && s == space; !allowed && strings.Contains(got.text, mark(s)) {
			t.Errorf("%s: the answer has what is in %s:\n%s", at, s, got.text)
		}
	}
	if !done && (strings.Contains(got.text, "olga") || strings.Contains(got.text, "bob")) {
		t.Errorf("%s: the refusal names somebody:\n%s", at, got.text)
	}
}
