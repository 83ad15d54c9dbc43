package rollout_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// revision is the earlier one. It is the last one before a value had one text, heads and
// cookies named commits, and a push was applied in part.
const revision = "07f5dbdd010d5595fe8e2af67d220aeb101f1dc2"

// repository is where its history is, seen from this package.
const repository = "../.."

// program is the path of a binary.
type program string

// buildBefore builds the earlier revision. Where that is not to be had, as in a shallow
// clone, the test is skipped; with CI=true in the environment it fails. Sources without
// any history, as they are uploaded to Cloud Build, have no earlier revision.
func buildBefore(t *testing.T) program {
	t.Helper()
	if _, err := os.Stat(filepath.Join(repository, ".git")); err != nil {
		t.Skipf("these sources are no git repository, so there is no revision to work beside: %v", err)
	}
	var files bytes.Buffer
	err := run(exec.CommandContext(t.Context(), "git", "-C", repository, "archive", revision), &files)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("revision %s, beside which this one must work, is not to be had: %v", revision, err)
	}
	if err != nil {
		t.Skipf("revision %s, beside which this one must work, is not to be had: %v", revision, err)
	}
	tree := t.TempDir()
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", tree)
	unpack.Stdin = &files
	if err := run(unpack, io.Discard); err != nil {
		t.Fatal(err)
	}
	return build(t, tree)
}

// build builds the program from a tree of its sources.
func build(t *testing.T, tree string) program {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "replifire")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", tree, "-trimpath", "-buildvcs=false",
		"-o", bin, "./cmd/replifire")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := run(cmd, io.Discard); err != nil {
		t.Fatal(err)
	}
	return program(bin)
}

// run runs a command, whose errors say what it has complained of.
func run(cmd *exec.Cmd, stdout io.Writer) error {
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}
