package main

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

func TestExport(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	env := d.environment()
	if code, _, stderr := execute(t.Context(), env, "export", "s"); code != 1 ||
		!strings.Contains(stderr, `space "s" does not exist`) {
		t.Errorf("export of an absent space exits with %d, prints %q", code, stderr)
	}
	d.fill(t)
	code, stdout, stderr := execute(t.Context(), env, "export", "s")
	done, err := backup.Verify(strings.NewReader(stdout))
	if code != 0 || err != nil || done.Entries != 2 || done.Version != 1 || stderr != "" {
		t.Errorf("export exits with %d, %q, wrote %+v, %v", code, stderr, done, err)
	}

	for _, name := range []string{"s.jsonl", "s.jsonl.gz"} {
		file := filepath.Join(t.TempDir(), name)
		code, stdout, _ = execute(t.Context(), env, "export", "s", "-o", file)
		if want := `space "s" at version 1: 2 entries, 0 clients`; code != 0 || !strings.HasPrefix(stdout, want) {
			t.Errorf("export to %s exits with %d, prints %q", name, code, stdout)
		}
		verify(t, file)
		if code, _, stderr = execute(t.Context(), env, "export", "s", "-o", file); code != 1 ||
			!strings.Contains(stderr, "--force") {
			t.Errorf("export over a file exits with %d, prints %q", code, stderr)
		}
		if code, _, stderr = execute(t.Context(), env, "export", "s", "-o", file, "--force"); code != 0 {
			t.Errorf("export --force exits with %d, prints %q", code, stderr)
		}
		left, err := filepath.Glob(file + ".*")
		if err != nil || len(left) > 0 {
			t.Errorf("%q are left, %v", left, err)
		}
	}
}

// verify reads a file as an export leaves it.
func verify(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := backup.Verify(r); err != nil {
		t.Error(err)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v, want it to be for its owner alone", info.Mode(), err)
	}
}

// TestExportToADirectory is refused before anything is read, and a name that becomes one
// meanwhile leaves no content behind.
func TestExportToADirectory(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := execute(t.Context(), d.environment(), "export", "s", "-o", dir, "--force")
	if code != 1 || !strings.Contains(stderr, "is a directory: name a file in it") {
		t.Errorf("export exits with %d, prints %q", code, stderr)
	}

	store, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	late := filepath.Join(dir, "late")
	p := &program{ctx: t.Context(), stdout: io.Discard, stderr: io.Discard}
	c := &exportCommand{spaceCommand: spaceCommand{Space: "s"}, Output: late}
	err = c.toFile(p, &making{Store: store, dir: late})
	if left, globErr := filepath.Glob(late + ".*"); err == nil || globErr != nil || len(left) > 0 {
		t.Errorf("got %v, %q are left, %v", err, left, globErr)
	}
}

// making makes a directory when it is read.
type making struct {
	engine.Store
	dir string
}

func (m *making) Snapshot(
	ctx context.Context, id protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	_ = os.Mkdir(m.dir, 0o700)
	return m.Store.Snapshot(ctx, id, docs)
}

// TestExportThatFails leaves no file that could be taken for a backup.
func TestExportThatFails(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	file := filepath.Join(t.TempDir(), "s")
	d.damage(t)
	code, _, stderr := execute(t.Context(), d.environment(), "export", "s", "-o", file)
	if code != 1 || !strings.Contains(stderr, "run it again") && !strings.Contains(stderr, "corrupt") {
		t.Errorf("export exits with %d, prints %q", code, stderr)
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) > 0 {
		t.Errorf("%q are left, %v", left, err)
	}
	missing := filepath.Join(t.TempDir(), "no", "such", "folder")
	if code, _, stderr = execute(t.Context(), d.environment(), "export", "s", "-o", missing); code != 1 || stderr == "" {
		t.Errorf("export into no folder exits with %d, prints %q", code, stderr)
	}
}
