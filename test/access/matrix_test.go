package access_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// keyServers are good tokens whose keys change or cannot be had.
func keyServers(t *testing.T, now time.Time) []caller {
	t.Helper()
	down, known, slow, rotated := tokentest.Start(t), tokentest.Start(t), tokentest.Start(t), tokentest.Start(t)
	down.SetDown(true)

	cached := newFirebase(t, known, known.Client())
	if _, err := cached.Authenticate(t.Context(), known.Token("ann", now)); err != nil {
		t.Fatal(err)
	}
	known.SetDown(true)

	t.Cleanup(slow.Hold())
	impatient := &http.Client{Transport: slow.Client().Transport, Timeout: 20 * time.Millisecond}

	old := rotated.Token("ann", now)
	rotated.Rotate(false)
	after := newFirebase(t, rotated, rotated.Client())
	return []caller{
		{"good, key server down", down.Token("ann", now), newFirebase(t, down, down.Client())},
		{"good, key server down, keys known", known.Token("ann", now), cached},
		{"good, key server slow", slow.Token("ann", now), newFirebase(t, slow, impatient)},
		{"of the key before the rotation", old, after},
		{"of the key after the rotation", rotated.Token("ann", now), after},
	}
}

// TestMatrix compares every cell with the golden file; -update writes it.
func TestMatrix(t *testing.T) {
	t.Parallel()
	var matrix strings.Builder
	cells := 0
	for _, c := range callers(t) {
		fmt.Fprintf(&matrix, "%s\n", c.name)
		for _, r := range routes {
			fmt.Fprintf(&matrix, "  %-15s", r.name)
			for _, space := range spaces {
				fmt.Fprintf(&matrix, " %s", space)
				for _, o := range r.of {
					fmt.Fprintf(&matrix, " %d", cell(t, c, r, space, o))
					cells++
				}
			}
			matrix.WriteString("\n")
		}
	}
	fmt.Fprintf(&matrix, "%d cells\n", cells)
	if cells < minCells {
		t.Errorf("%d cells, want %d or more", cells, minCells)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(matrix.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(matrix.String(), "\n")); diff != "" {
		t.Errorf("the matrix has changed; go test ./test/access -update writes it (-want +got):\n%s", diff)
	}
}

// cell asks in a world of its own, and checks what the status does not show.
func cell(t *testing.T, c caller, r route, space string, o whose) int {
	t.Helper()
	at := fmt.Sprintf("%s: %s in %s as %s", c.name, r.name, space, o)
	w := newWorld(t, c.firebase)
	defer w.close(t)
	before := w.state(t)
	got := w.ask(r.request(space, o), c.authorization)
	done := got.status == http.StatusOK || got.status == http.StatusNoContent
	if changed := w.state(t) != before; changed != (r.changes && done) {
		t.Errorf("%s: %d, and something changed: %v", at, got.status, changed)
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
