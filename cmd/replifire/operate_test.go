package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/server"
)

// database is a project in the emulator, with the environment that leads to it.
type database struct {
	server.FirestoreSettings
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	return &database{server.FirestoreSettings{
		ProjectID:    emulatortest.Project(t),
		Database:     "(default)",
		EmulatorHost: emulatortest.Host(t),
	}}
}

func (d *database) environment() func(string) string {
	return environment("GOOGLE_CLOUD_PROJECT="+d.ProjectID, "FIRESTORE_EMULATOR_HOST="+d.EmulatorHost)
}

// fill writes two keys into space "s", in one commit.
func (d *database) fill(t *testing.T) {
	t.Helper()
	store, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e := engine.New(store, chat.Mutators(), engine.Options{})
	defer func() { _ = e.Close(context.Background()) }()
	_, err = e.Write(t.Context(), "s", func(_ context.Context, tx mutate.WriteTransaction) error {
		if err := tx.Set("a", 1); err != nil {
			return err
		}
		return tx.Set("b", 2)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// damage sets the version of space "s" back to 0, as a careless person could.
func (d *database) damage(t *testing.T) {
	t.Helper()
	d.patch(t, "spaces/s?updateMask.fieldPaths=version", `{"fields":{"version":{"integerValue":"0"}}}`)
}

// patch writes a document past the store.
func (d *database) patch(t *testing.T, document, fields string) {
	t.Helper()
	url := "http://" + d.EmulatorHost + "/v1/projects/" + d.ProjectID + "/databases/(default)/documents/" + document
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, strings.NewReader(fields))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer owner")
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the emulator answers %s %s (%v)", resp.Status, body, err)
	}
}

func TestFsck(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	code, stdout, stderr := execute(t.Context(), d.environment(), "fsck", "s")
	if code != 0 || !strings.Contains(stdout, "2 entries") || !strings.Contains(stdout, "ok") || stderr != "" {
		t.Errorf("fsck exits with %d, prints %q, %q", code, stdout, stderr)
	}
	code, stdout, stderr = execute(t.Context(), d.environment(), "fsck", "nobody-was-here")
	if code != 1 || stdout != "" || !strings.Contains(stderr, `space "nobody-was-here" does not exist`) {
		t.Errorf("fsck of an absent space exits with %d, prints %q, %q", code, stdout, stderr)
	}
	code, stdout, _ = execute(t.Context(), d.environment(), "fsck", "--json", "nobody-was-here")
	if code != 1 || !strings.Contains(stdout, `"exists": false`) || !strings.Contains(stdout, `"ok": false`) {
		t.Errorf("fsck --json of an absent space exits with %d, prints %q", code, stdout)
	}
	d.damage(t)
	code, stdout, stderr = execute(t.Context(), d.environment(), "fsck", "s")
	if code != 1 || !strings.Contains(stdout, "problems") || stderr != "" {
		t.Errorf("fsck of a damaged space exits with %d, prints %q, %q", code, stdout, stderr)
	}
}

func TestFsckJSON(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	for _, damaged := range []bool{false, true} {
		if damaged {
			d.damage(t)
		}
		code, stdout, stderr := execute(t.Context(), d.environment(), "fsck", "s", "--json")
		var report struct {
			Space        string
			OK           *bool
			ProblemCount int
			Problems     []struct{ Invariant, Where, What string }
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.OK == nil {
			t.Fatalf("fsck prints %s, %q: %v", stdout, stderr, err)
		}
		if report.Space != "s" || *report.OK == damaged || (code != 0) != damaged {
			t.Errorf("damaged %t: fsck exits with %d, prints %s", damaged, code, stdout)
		}
		if (report.ProblemCount > 0) != damaged || (len(report.Problems) > 0) != damaged {
			t.Errorf("damaged %t: problems are %+v", damaged, report)
		}
		for _, p := range report.Problems {
			if p.Invariant == "" || p.Where == "" || p.What == "" {
				t.Errorf("problem is %+v", p)
			}
		}
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	code, stdout, _ := execute(t.Context(), d.environment(), "reset", "s", "--yes")
	if code != 0 || !strings.Contains(stdout, "does not exist") {
		t.Errorf("reset of an absent space exits with %d, prints %q", code, stdout)
	}
	d.fill(t)
	code, stdout, stderr := execute(t.Context(), d.environment(), "reset", "s", "--yes")
	if code != 0 || !strings.Contains(stdout, `space "s" is at version 2`) {
		t.Errorf("reset exits with %d, prints %q, %q", code, stdout, stderr)
	}
	// It waits until what was in the space is deleted.
	if !strings.Contains(stderr, "deleted=2") {
		t.Errorf("reset logs %q", stderr)
	}
	if code, stdout, _ = execute(t.Context(), d.environment(), "fsck", "s"); code != 0 {
		t.Errorf("after the reset fsck exits with %d, prints %q", code, stdout)
	}
}

// TestPurgeThatFails: a space that is deleted or emptied, with content still in storage,
// is no success.
func TestPurgeThatFails(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	deleteAndEnd := func(e *engine.Engine, ctx context.Context, id protocol.SpaceID) (engine.Head, error) {
		defer cancel()
		return e.Delete(ctx, id)
	}
	var out, errs bytes.Buffer
	p := &program{ctx: ctx, stdout: &out, stderr: &errs}
	c := &spaceCommand{FirestoreSettings: d.FirestoreSettings, Space: "s"}
	err := c.operate(p, operation{name: "delete", done: "deleted", do: deleteAndEnd})
	want := `space "s" is deleted, but not all of it is removed from storage: run replifire gc s: interrupted`
	if err == nil || err.Error() != want || out.Len() > 0 {
		t.Errorf("got %v, printed %q, %q, want %q", err, &out, &errs, want)
	}
	d.expect(t, "gc s")
	d.expect(t, "delete s --yes", `space "s" is at version 2`)
}

// TestInterrupted: what a signal has made of the calls of the store helps nobody, what
// to do about it does.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	for name, test := range map[string]struct {
		run  func(p *program, end context.CancelFunc) error
		want string
	}{
		"operate": {
			func(p *program, end context.CancelFunc) error {
				c := &spaceCommand{FirestoreSettings: d.FirestoreSettings, Space: "s"}
				reset := func(e *engine.Engine, ctx context.Context, id protocol.SpaceID) (engine.Head, error) {
					end()
					return e.Reset(ctx, id)
				}
				return c.operate(p, operation{name: "reset", do: reset, interrupted: "look"})
			},
			`reset of space "s" was interrupted: look`,
		},
		"withEngine": {
			func(p *program, end context.CancelFunc) error {
				return withEngine(p, d.FirestoreSettings, func(p *program, e *engine.Engine) error {
					go func() { _, _ = e.Reset(context.Background(), "s") }()
					end()
					return p.cause(nil)
				})
			},
			"interrupted",
		},
		"before": {
			func(p *program, end context.CancelFunc) error {
				end()
				return (&fsckCommand{spaceCommand: spaceCommand{FirestoreSettings: d.FirestoreSettings, Space: "s"}}).Run(p)
			},
			"interrupted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := &program{ctx: ctx, stdout: io.Discard, stderr: io.Discard}
			if err := test.run(p, cancel); err == nil || err.Error() != test.want {
				t.Errorf("got %q, want %q", err, test.want)
			}
		})
	}
}

func TestRestored(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	code, stdout, stderr := execute(t.Context(), d.environment(), "restored", "s")
	if code != 0 || !strings.Contains(stdout, `space "s" is at version 2`) {
		t.Errorf("restored exits with %d, prints %q, %q", code, stdout, stderr)
	}
	_, stdout, _ = execute(t.Context(), d.environment(), "fsck", "s")
	if !strings.Contains(stdout, "version 2, 2 entries") {
		t.Errorf("afterwards fsck prints %q", stdout)
	}
}

// TestRestoredAll marks every space, also when it is run again, and none if neither
// names nor --all were given.
func TestRestoredAll(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.expect(t, "restored --all", "0 spaces")
	d.fill(t)
	file := filepath.Join(t.TempDir(), "s.jsonl")
	d.expect(t, "export s -o "+file)
	d.expect(t, "import t "+file, `space "t" is at version 3`)
	for _, args := range []string{"restored", "restored s --all", "restored " + strings.Repeat("x", 2000)} {
		code, stdout, stderr := execute(t.Context(), d.environment(), strings.Fields(args)...)
		if code != 2 || stdout != "" || stderr == "" {
			t.Errorf("%.20s exits with %d, prints %q, %q", args, code, stdout, stderr)
		}
	}
	d.expect(t, "restored --all", `space "s" is at version 2`, `space "t" is at version 4`, "2 spaces")
	d.expect(t, "restored --all", `space "s" is at version 3`, `space "t" is at version 5`, "2 spaces")
	d.expect(t, "restored t none t", `space "t" is at version 6`, `space "none" does not exist`)
	d.expect(t, "restored t", `space "t" is at version 7`)

	d.change(t, func(c *engine.Commit) { c.Next.Importing = "half" })
	code, stdout, stderr := execute(t.Context(), d.environment(), "restored", "--all")
	if code != 1 || !strings.Contains(stdout, `space "t"`) || !strings.Contains(stderr, "failed in 1 of 2 spaces") ||
		!strings.Contains(stderr, "with the same file") || !strings.Contains(stderr, "replifire reset s --yes") {
		t.Errorf("in the middle of an import it exits with %d, prints %q, %q", code, stdout, stderr)
	}
	code, stdout, stderr = execute(t.Context(), d.environment(), "export", "s")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "with the same file") {
		t.Errorf("export exits with %d, prints %q, %q", code, stdout, stderr)
	}
}
