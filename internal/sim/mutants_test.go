package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// mutantSeeds is within how many seeds each planted bug must be found.
const mutantSeeds = 700

// mutant is a bug planted in a copy of our own code: Old, which must stand in the
// file exactly once, becomes New.
type mutant struct {
	Name string `json:"name"`
	File string `json:"file"`
	Old  string `json:"old"`
	New  string `json:"new"`
	// Seed is one that has found it, 0 if none is known: it is tried first. Which seeds
	// find a bug changes with the code and the simulation, so it is no more than a hint.
	Seed uint64 `json:"seed"`
}

func mutants(t *testing.T) []mutant {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "mutants.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []mutant
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// plant returns the absolute path of the file and its text with the bug in it.
func (m mutant) plant() (path, text string, err error) {
	path, err = filepath.Abs(filepath.Join("..", "..", m.File))
	if err != nil {
		return "", "", err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	if n := strings.Count(string(raw), m.Old); n != 1 {
		return "", "", fmt.Errorf("the text to be replaced is %d times in %s", n, m.File)
	}
	return path, strings.Replace(string(raw), m.Old, m.New, 1), nil
}

// build makes the simulation's test binary with the bug in it.
func (m mutant) build(ctx context.Context, dir string) (string, error) {
	path, text, err := m.plant()
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {path: filepath.Join(dir, "mutated.go")},
	})
	if err != nil {
		return "", err
	}
	for name, content := range map[string]string{"mutated.go": text, "overlay.json": string(overlay)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	binary := filepath.Join(dir, "sim.test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-s -w",
		"-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
}

// TestMutantsAreTrue holds the planted bugs to the code as it is.
func TestMutantsAreTrue(t *testing.T) {
	t.Parallel()
	list := mutants(t)
	if len(list) < 25 {
		t.Errorf("%d planted bugs, want at least 25", len(list))
	}
	for _, m := range list {
		if _, _, err := m.plant(); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		if m.Seed > mutantSeeds {
			t.Errorf("%s: the hint is seed %d, want one of the first %d", m.Name, m.Seed, mutantSeeds)
		}
	}
}

// search runs the seeds that may find a bug: the hint, then all. fresh says that the hint
// was not it.
func (m mutant) search(ctx context.Context, binary string) (r report, fresh bool, err error) {
	if m.Seed > 0 {
		r, err = work(ctx, binary, m.Seed, 1)
		if err != nil || r.Violation != "" {
			return r, false, err
		}
	}
	r, err = work(ctx, binary, 1, mutantSeeds)
	return r, true, err
}

// TestMutantsAreFound proves that the oracle sees: each planted bug is built, and must
// break an invariant within a few seeds.
func TestMutantsAreFound(t *testing.T) { //nolint:paralleltest // it takes all processors
	if !*mutantsFlag {
		t.Skip("no -sim.mutants")
	}
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	list := mutants(t)
	rows := make([]string, len(list))
	for i, m := range list {
		dir := t.TempDir()
		group.Go(func() (err error) {
			if rows[i], err = m.found(t.Context(), dir); err != nil {
				t.Errorf("%s: %v", m.Name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	fmt.Print(strings.Join(rows, ""))
}

// found builds and searches one, and returns its row for the list of them all.
func (m mutant) found(ctx context.Context, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	binary, err := m.build(ctx, dir)
	if err != nil {
		return "", err
	}
	defer os.Remove(binary)
	r, fresh, err := m.search(ctx, binary)
	if err != nil {
		return "", err
	}
	if r.Violation == "" {
		return "", fmt.Errorf("not found in %d seeds", mutantSeeds)
	}
	row := fmt.Sprintf("| %s | %s | %d | %s |\n", m.Name, m.File, r.Failed, r.Violation)
	if fresh {
		row += fmt.Sprintf("the hint for %q is to be seed %d\n", m.Name, r.Failed)
	}
	return row, nil
}
