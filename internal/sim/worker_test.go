package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/replifire/replifire/internal/sim"
)

// report is what a worker says about its seeds.
type report struct {
	Seeds     int           `json:"seeds"`
	Mutations int           `json:"mutations"`
	Commits   int           `json:"commits"`
	Pulls     int           `json:"pulls"`
	Steps     int           `json:"steps"`
	Took      time.Duration `json:"took_ns"`
	Hash      uint64        `json:"hash"`
	Failed    uint64        `json:"failed_seed,omitempty"`
	Violation string        `json:"violation,omitempty"`
}

func (r report) String() string {
	s := r.Took.Seconds()
	return fmt.Sprintf("%d seeds, %d mutations, %d commits, %d pulls checked, %d steps in %.1f s: "+
		"%.0f seeds/s, %.0f mutations/s",
		r.Seeds, r.Mutations, r.Commits, r.Pulls, r.Steps, s, float64(r.Seeds)/s, float64(r.Mutations)/s)
}

func combine(all, hash uint64) uint64 { return all*1099511628211 + hash }

func (r *report) add(o report) {
	r.Seeds += o.Seeds
	r.Mutations += o.Mutations
	r.Commits += o.Commits
	r.Pulls += o.Pulls
	r.Steps += o.Steps
	r.Hash = combine(r.Hash, o.Hash)
	if r.Violation == "" {
		r.Failed, r.Violation = o.Failed, o.Violation
	}
}

const resultMark = "SIM-RESULT "

// TestWorker runs seeds for another process, until one breaks an invariant.
func TestWorker(t *testing.T) { //nolint:paralleltest // one processor, one run at a time
	if !*workerFlag {
		t.Skip("no worker")
	}
	var r report
	for i := range *seedsFlag {
		seed := *startFlag + uint64(i)
		one := run(t, sim.Config{Seed: seed})
		r.add(report{
			Seeds: 1, Mutations: one.Mutations, Commits: one.Commits, Pulls: one.Pulls, Steps: one.Steps, Hash: one.Hash,
		})
		if one.Violation != nil {
			r.Failed, r.Violation = seed, one.Violation.Error()
			break
		}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(resultMark + string(raw))
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// plainBinary builds this test without the race detector.
func plainBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sim.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", path, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	return path
}

// work runs seeds in another process.
func work(ctx context.Context, binary string, start uint64, n int) (report, error) {
	cmd := exec.CommandContext(ctx, binary, "-test.run=^TestWorker$", "-sim.worker",
		fmt.Sprintf("-sim.start=%d", start), fmt.Sprintf("-sim.seeds=%d", n))
	cmd.Env = append(os.Environ(), "GOGC=1600") // seeds are short and leave little behind
	out, err := cmd.CombinedOutput()
	_, rest, ok := bytes.Cut(out, []byte(resultMark))
	if !ok {
		tail := out[max(0, len(out)-2000):]
		return report{}, errors.Join(fmt.Errorf("seeds from %d: no result: %s", start, tail), err)
	}
	var r report
	if err := json.NewDecoder(bytes.NewReader(rest)).Decode(&r); err != nil {
		return report{}, fmt.Errorf("seeds from %d: %w", start, err)
	}
	return r, nil
}

// workAll shares seeds among as many processes as there are processors, in pieces.
func workAll(ctx context.Context, binary string, start uint64, n int) (report, error) {
	const piece = 250
	reports := make([]report, (n+piece-1)/piece)
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range reports {
		group.Go(func() (err error) {
			reports[i], err = work(ctx, binary, start+uint64(i*piece), min(piece, n-i*piece))
			return err
		})
	}
	err := group.Wait()
	var all report
	for _, r := range reports {
		all.add(r)
	}
	all.Took = time.Since(began)
	return all, err
}

// processorTime is what the workers that have ended took.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestSoak runs seeds for a time, or until it is interrupted, and says every ten seconds how
// far it is. GOMAXPROCS is how many processors it uses.
func TestSoak(t *testing.T) { //nolint:paralleltest // one processor, one run at a time
	if *durationFlag == 0 {
		t.Skip("no -sim.duration")
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	const round = 1000
	began, said := time.Now(), time.Now()
	var all report
	for start := *startFlag; time.Since(began) < *durationFlag && all.Violation == ""; start += round {
		r, err := workAll(ctx, testBinary(t), start, round)
		if ctx.Err() != nil {
			break // what this round had done is not counted
		}
		if err != nil {
			t.Fatal(err)
		}
		all.add(r)
		all.Took = time.Since(began)
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Println(all)
		}
	}
	result := "0 violations"
	if all.Violation != "" {
		result = "FAILED: " + all.Violation
	}
	fmt.Printf("row: | simulation | %v; %v of processor time | "+
		"`go test ./internal/sim -run TestSoak -timeout=0 -sim.duration=%v -sim.start=%d` | %d | %s | %s |\n",
		all, processorTime(t).Round(time.Second), *durationFlag, *startFlag, *startFlag,
		time.Now().Format(time.DateOnly), result)
	if all.Violation != "" {
		t.Errorf("%s\nagain: go test ./internal/sim -run TestReplay -sim.seed=%d", all.Violation, all.Failed)
	}
}
