package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
)

func TestImport(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	env := d.environment()
	dir := t.TempDir()
	for _, name := range []string{"s.jsonl", "s.jsonl.gz"} {
		file := filepath.Join(dir, name)
		if code, _, stderr := execute(t.Context(), env, "export", "s", "-o", file); code != 0 {
			t.Fatalf("export exits with %d, prints %q", code, stderr)
		}
		code, _, stderr := execute(t.Context(), env, "import", "s", file)
		if code != 1 || !strings.Contains(stderr, "not empty: --replace") {
			t.Errorf("import over a space exits with %d, prints %q", code, stderr)
		}
		code, stdout, stderr := execute(t.Context(), env, "import", "s", file, "--replace")
		if code != 0 || !strings.Contains(stdout, "imported 2 entries, 0 clients") {
			t.Errorf("import exits with %d, prints %q, %q", code, stdout, stderr)
		}
		code, stdout, stderr = execute(t.Context(), env, "import", "copy"+name, file)
		if code != 0 || !strings.Contains(stdout, `its clients are those of space "s"`) {
			t.Errorf("import into another space exits with %d, prints %q, %q", code, stdout, stderr)
		}
		for _, space := range []string{"s", "copy" + name} {
			code, stdout, _ = execute(t.Context(), env, "fsck", space)
			if code != 0 || !strings.Contains(stdout, "2 entries, 0 tombstones") {
				t.Errorf("fsck of %s exits with %d, prints %q", space, code, stdout)
			}
		}
	}
}

// TestImportOfWhatIsNone changes nothing.
func TestImportOfWhatIsNone(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	_, whole, _ := execute(t.Context(), d.environment(), "export", "s")
	for name, text := range map[string]string{
		"cut short": whole[:len(whole)-9], "changed": strings.Replace(whole, `"value":1`, `"value":9`, 1), "empty": "",
		"half a gzip": "\x1f\x8b\x08", "cut gzip": gzipped(t, whole)[:100],
	} {
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := execute(t.Context(), d.environment(), "import", "s", file, "--replace")
		if code != 1 || !strings.Contains(stderr, "nothing was imported") {
			t.Errorf("%s: import exits with %d, prints %q", name, code, stderr)
		}
		if strings.Contains(name, "gzip") && !strings.Contains(stderr, "ends too early") {
			t.Errorf("%s: import prints %q", name, stderr)
		}
	}
	code, _, stderr := execute(t.Context(), d.environment(), "import", "s", filepath.Join(t.TempDir(), "none"))
	if code != 1 || !strings.Contains(stderr, "nothing was imported: ") || !strings.Contains(stderr, "none") {
		t.Errorf("import of no file exits with %d, prints %q", code, stderr)
	}
	code, stdout, _ := execute(t.Context(), d.environment(), "fsck", "s")
	if code != 0 || !strings.Contains(stdout, "version 1, 2 entries") {
		t.Errorf("afterwards fsck exits with %d, prints %q", code, stdout)
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestImportFromAPipe copies it, compressed or not, since it cannot be read twice.
func TestImportFromAPipe(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	_, whole, _ := execute(t.Context(), d.environment(), "export", "s")
	for space, text := range map[string]string{"plain": whole, "packed": gzipped(t, whole)} {
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Skip(err)
		}
		go func() { _ = os.WriteFile(pipe, []byte(text), 0o600) }()
		d.expect(t, "import "+space+" "+pipe, "imported 2 entries")
	}
}

// TestImportWithoutRoom says where the room is missing.
func TestImportWithoutRoom(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	_, _, err := openBackup(t.Context(), stdio, strings.NewReader("x"))
	if err == nil || !strings.Contains(err.Error(), "TMPDIR") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that there is no room", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
	if err := unpack(temporary{full}, open); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("got %v, want that there is no room", err)
	}
}

// TestImportFromStandardInput goes on where one was broken off, which fsck tells.
func TestImportFromStandardInput(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	_, whole, _ := execute(t.Context(), d.environment(), "export", "s")
	_, sum, _ := strings.Cut(whole, `"sha256":"`)
	d.change(t, func(c *engine.Commit) {
		c.Next.Base, c.Next.Floor = c.Next.Version, c.Next.Version
		c.Next.Importing, c.Next.Epoch = strings.TrimRight(sum, "\"}\n"), "half"
	})
	code, stdout, _ := execute(t.Context(), d.environment(), "fsck", "s")
	if code != 0 || !strings.Contains(stdout, "an import is not finished") {
		t.Errorf("fsck exits with %d, prints %q", code, stdout)
	}
	var out, errs bytes.Buffer
	p := &program{ctx: t.Context(), stdin: strings.NewReader(whole), stdout: &out, stderr: &errs}
	c := &importCommand{spaceCommand: spaceCommand{FirestoreSettings: d.FirestoreSettings, Space: "s"}, File: stdio}
	if err := c.Run(p); err != nil || !strings.Contains(out.String(), "going on where") {
		t.Errorf("import prints %q, %q, error %v", &out, &errs, err)
	}
	code, stdout, _ = execute(t.Context(), d.environment(), "fsck", "s")
	if code != 0 || !strings.Contains(stdout, "2 entries") || strings.Contains(stdout, "not finished") {
		t.Errorf("afterwards fsck exits with %d, prints %q", code, stdout)
	}
}

// TestImportFromSilence ends when it is told to.
func TestImportFromSilence(t *testing.T) {
	t.Parallel()
	silent, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, _, err := openBackup(ctx, stdio, silent)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end", err)
	}
}

// TestImportThatFails says what became of the space, and what to do.
func TestImportThatFails(t *testing.T) {
	t.Parallel()
	half := engine.Head{Importing: "sum"}
	begun := backup.Result{Summary: backup.Summary{SHA256: "sum"}, Begun: true, Head: half}
	for name, test := range map[string]struct {
		done backup.Result
		err  error
		want string // in it
		not  string // not in it
	}{
		"not empty": {err: backup.ErrNotEmpty, want: "nothing was imported: space is not empty: --replace"},
		"through": {
			err: backup.ErrNotEmpty, want: "was broken off after it had begun, it was through: run replifire gc s",
		},
		"another's": {
			done: backup.Result{Head: half}, err: backup.ErrNotEmpty,
			want: "--replace starts over with this one", not: "through",
		},
		"down before it begins":  {err: engine.ErrUnavailable, want: "nothing was imported: store", not: "goes on"},
		"ended before it begins": {err: context.Canceled, want: "nothing was imported: interrupted", not: "goes on"},
		"others are faster":      {err: engine.ErrConflict, want: `others write to space "s" all the time`, not: "goes on"},
		"ended":                  {done: begun, err: context.Canceled, want: "same file, without --replace: it goes on"},
		"down":                   {done: begun, err: engine.ErrUnavailable, want: "same file, without --replace: it goes on"},
		"impossible":             {done: begun, err: engine.ErrImpossible, want: "replifire reset s --yes", not: "goes on"},
		"taken over": {
			done: begun, err: engine.ErrConflict,
			want: "replifire fsck s says whether an import is unfinished", not: "again",
		},
		"perhaps begun": {
			done: backup.Result{Begun: true, Summary: begun.Summary}, err: engine.ErrUnknownOutcome,
			want: "as it began: run the same command again", not: "without --replace",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &importCommand{spaceCommand: spaceCommand{Space: "s"}}
			got := c.explain(test.done, test.err)
			if !errors.Is(got, test.err) && !errors.Is(test.err, context.Canceled) {
				t.Errorf("got %v, which is no %v", got, test.err)
			}
			if text := got.Error(); !strings.Contains(text, test.want) || test.not != "" && strings.Contains(text, test.not) {
				t.Errorf("got %q, want %q in it, and not %q", text, test.want, test.not)
			}
		})
	}
}
