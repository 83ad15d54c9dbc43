package robustness_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/replifire/replifire/protocol"
)

// visitorSpace is that of the real Replicache clients, who judge it by themselves.
const visitorSpace protocol.SpaceID = "visitors"

const (
	visitorCount = 4
	visitorRate  = 10 // mutations a second of each, about
	visitorDir   = "../replicache"
)

// visitors are what the real clients have done.
type visitors struct{ Clients, Mutations, Pulls int }

// visit has real Replicache clients, in Node, write for about so many seconds and
// converge afterwards.
func visit(ctx context.Context, t *testing.T, servers []*server, seed uint64, seconds float64) (v visitors) {
	t.Helper()
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(filepath.Join(visitorDir, "node_modules", "replicache")); err != nil || missing != nil {
		if os.Getenv("CI") == "true" {
			t.Error("there are no real Replicache clients: npm ci in test/replicache")
		}
		return v
	}
	args := []string{
		"visitors.js", string(visitorSpace), strconv.Itoa(visitorCount), strconv.Itoa(int(seconds * visitorRate)),
	}
	for _, s := range servers {
		args = append(args, s.url())
	}
	cmd := exec.CommandContext(ctx, node, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = visitorDir, &out, &errs
	cmd.Env = append(os.Environ(), fmt.Sprintf("SEED=%d", seed))
	if err := cmd.Run(); err != nil {
		t.Errorf("the real clients: %v\n%.8000s", err, errs.String())
		return v
	}
	if errs.Len() > 0 {
		t.Logf("the real clients say: %.8000s", errs.String())
	}
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || v.Mutations == 0 {
		t.Errorf("the real clients say %q (%v)", out.String(), err)
	}
	return v
}
