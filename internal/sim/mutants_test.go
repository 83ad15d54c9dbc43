package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mutantSeeds is within how many seeds each planted bug must be found.
const mutantSeeds = 200

// mutant is a bug planted in a copy of our own code: Old, which must stand in the
// file exactly once, becomes New.
type mutant struct {
	Name string `json:"name"`
	File string `json:"file"`
	Old  string `json:"old"`
	New  string `json:"new"`
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
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off",
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
	}
}

// TestMutantsAreFound proves that the oracle sees: each planted bug must break an
// invariant within a few seeds.
func TestMutantsAreFound(t *testing.T) { //nolint:paralleltest // one processor, one run at a time
	if !*mutantsFlag {
		t.Skip("no -sim.mutants")
	}
	for _, m := range mutants(t) { //nolint:paralleltest // builds are heavy
		t.Run(m.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			binary, err := m.build(ctx, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			r, err := work(ctx, binary, 1, mutantSeeds)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation == "" {
				t.Fatalf("not found in %d seeds", mutantSeeds)
			}
			fmt.Printf("| %s | %s | %d | %s |\n", m.Name, m.File, r.Failed, r.Violation)
		})
	}
}
