package robustness_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/history"
)

// record makes the file of a history. It stays if the test fails.
func record(t *testing.T, seed uint64) (string, *history.Recorder) {
	t.Helper()
	dir := *keepFlag
	if dir == "" {
		dir = os.TempDir()
	}
	path := filepath.Join(dir, fmt.Sprintf("replifire-history-%d-%d.jsonl", os.Getpid(), seed))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		if t.Failed() {
			t.Logf("the history is %s", path)
		} else if *keepFlag == "" {
			os.Remove(path)
		}
	})
	return path, history.NewRecorder(f)
}

// TestJudge judges a history that was kept.
func TestJudge(t *testing.T) {
	t.Parallel()
	if *judgeFlag != "" {
		judge(t, *judgeFlag, &sums{})
	}
}

// assess reads a history and says what is wrong with it.
func assess(t *testing.T, path string) (*history.Judge, []history.Violation, history.Linearizability) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var j history.Judge
	var r history.Registers
	for e, err := range history.Read(f) {
		if err != nil {
			t.Fatal(err)
		}
		j.Add(e)
		r.Add(e)
	}
	violations := j.Finish()
	limit := checkLimit
	if len(violations) > 0 { // what cannot be explained takes for ever, and is known to be wrong
		limit = time.Second
	}
	return &j, violations, r.Check(limit)
}

// judge reads a history and checks everything. It returns how many registers it has.
func judge(t *testing.T, path string, total *sums) int {
	t.Helper()
	j, violations, l := assess(t, path)
	for _, v := range violations {
		t.Error(v)
	}
	if len(l.Illegal) > 0 || len(l.TimedOut) > 0 {
		t.Errorf("%d histories, not linearizable: %q, not decided: %q", l.Histories, l.Illegal, l.TimedOut)
	}
	c := j.Counts()
	if c.Mutations == 0 || c.Acknowledged == 0 || c.Pulls == 0 || c.Rejections == 0 || l.Histories == 0 {
		t.Error(errors.New("the history is empty"))
	}
	total.Mutations += c.Mutations
	total.Pushes += c.Pushes
	total.Acknowledged += c.Acknowledged
	total.Unknown += c.Unknown
	total.Pulls += c.Pulls
	total.Rejections += c.Rejections
	total.histories += l.Histories
	total.operations += l.Operations
	return l.Histories
}
