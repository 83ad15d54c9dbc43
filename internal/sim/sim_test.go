package sim_test

import (
	"flag"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/internal/sim"
)

var (
	seedFlag    = flag.Uint64("sim.seed", 0, "the seed that TestReplay runs")
	stepsFlag   = flag.Int("sim.steps", 0, "TestReplay: at most so many steps of trouble")
	clientsFlag = flag.Int("sim.clients", 0, "TestReplay: at most so many clients at first")
	withoutFlag = flag.Uint("sim.without", 0, "TestReplay: kinds of trouble to leave out, as bits")

	seedsFlag    = flag.Int("sim.seeds", 0, "how many seeds TestSeeds runs")
	startFlag    = flag.Uint64("sim.start", 1, "the first seed of TestSeeds and TestSoak")
	durationFlag = flag.Duration("sim.duration", 0, "how long TestSoak runs")
	mutantsFlag  = flag.Bool("sim.mutants", false, "build and run the planted bugs (minutes)")
	workerFlag   = flag.Bool("sim.worker", false, "for the tests themselves: be their worker")
)

// TestMain gives the tests one processor: what runs side by side then runs in the same
// order each time.
func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	goleak.VerifyTestMain(m)
}

// run runs a seed in a bubble of its own.
func run(t *testing.T, c sim.Config) (r sim.Result) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { r = sim.Run(c) })
	return r
}

// TestReplay runs one seed, shows what happens in it and looks for a smaller one.
func TestReplay(t *testing.T) { //nolint:paralleltest // one processor, one run at a time
	if *seedFlag == 0 {
		t.Skip("no -sim.seed")
	}
	c := sim.Config{
		Seed: *seedFlag, MaxSteps: *stepsFlag, MaxClients: *clientsFlag, Without: sim.Fault(*withoutFlag), Trace: true,
	}
	small, r := sim.Shrink(func(c sim.Config) sim.Result { return run(t, c) }, c)
	t.Log(strings.Join(r.Trace, "\n"))
	t.Logf("%d mutations, %d commits, %d pulls, hash %x", r.Mutations, r.Commits, r.Pulls, r.Hash)
	if r.Violation != nil {
		t.Errorf("%v\nagain: go test ./internal/sim -run TestReplay -sim.seed=%d -sim.steps=%d -sim.clients=%d "+
			"-sim.without=%d (without %v)",
			r.Violation, small.Seed, small.MaxSteps, small.MaxClients, small.Without, small.Without)
	}
}

// TestSameSeedSameRun runs seeds twice here and once in another process: whatever
// happens in a run must be decided by its seed. The race detector makes the order of
// goroutines random on purpose, so there it is two other processes without it.
func TestSameSeedSameRun(t *testing.T) { //nolint:paralleltest // one processor, one run at a time
	n := *seedsFlag
	if n == 0 {
		n = 200
	}
	executable := testBinary(t)
	if raceEnabled {
		executable = plainBinary(t)
	}
	other, err := work(t.Context(), executable, *startFlag, n)
	if err != nil {
		t.Fatal(err)
	}
	if all := hashes(t, executable, n); other.Hash != all {
		t.Errorf("%d seeds give %x here and %x in another process", n, all, other.Hash)
	}
}

// hashes runs the seeds here, twice, or where that is not possible in a process.
func hashes(t *testing.T, executable string, n int) uint64 {
	t.Helper()
	if raceEnabled {
		r, err := work(t.Context(), executable, *startFlag, n)
		if err != nil {
			t.Fatal(err)
		}
		return r.Hash
	}
	var all uint64
	for i := range n {
		c := sim.Config{Seed: *startFlag + uint64(i)}
		first, second := run(t, c), run(t, c)
		if first.Hash != second.Hash {
			t.Errorf("seed %d gives %x and %x", c.Seed, first.Hash, second.Hash)
		}
		all = combine(all, first.Hash)
	}
	return all
}

// TestSeeds runs many seeds, on all processors.
func TestSeeds(t *testing.T) { //nolint:paralleltest // one processor, one run at a time
	n := *seedsFlag
	switch {
	case n > 0:
	case testing.Short():
		n = 500
	case raceEnabled:
		n = 1000
	default:
		n = 20_000
	}
	report, err := workAll(t.Context(), testBinary(t), *startFlag, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if report.Violation != "" {
		t.Errorf("%s\nagain: go test ./internal/sim -run TestReplay -sim.seed=%d", report.Violation, report.Failed)
	}
}

// TestShrinkFindsASmallerRun shrinks a run in which the oracle is told to see a
// violation wherever an instance dies.
func TestShrinkFindsASmallerRun(t *testing.T) {
	t.Parallel()
	need := sim.Crash | sim.Operator
	fake := func(c sim.Config) sim.Result {
		r := sim.Result{Steps: 300}
		if c.MaxSteps > 0 {
			r.Steps = c.MaxSteps
		}
		if c.Without&need == 0 && (c.MaxClients == 0 || c.MaxClients >= 3) && r.Steps >= 37 {
			r.Violation = &sim.Violation{Invariant: sim.Atomic}
		}
		return r
	}
	got, result := sim.Shrink(fake, sim.Config{Seed: 7})
	want := sim.Config{Seed: 7, MaxSteps: 37, MaxClients: 3, Without: sim.AllFaults &^ need}
	if got != want || result.Violation == nil {
		t.Errorf("Shrink = %+v with %v, want %+v", got, result.Violation, want)
	}
}
