package robustness_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/load"
	"github.com/replifire/replifire/storetest"
)

var (
	soakFlag     = flag.Duration("robustness.soak", 4*time.Second, "how long TestSoak lasts")
	soakHeapFlag = flag.Int("robustness.emulatorheap", 0, "the heap of TestSoak's emulator in MiB; 0: by its length")
)

const (
	// soakRefused is what slopes and times are judged from on: shorter, and they are mostly
	// noise, or that of a machine that is busy with something else.
	soakRefused = time.Hour
	// maxHeapGrowth and maxGoroutineGrowth are per hour.
	maxHeapGrowth      = 1 << 20
	maxGoroutineGrowth = 10
	// maxPoke is the 99th percentile of the time from a commit to its poke, in milliseconds.
	maxPoke = 1000
	// heapPerMinute is what the emulator's heap has more for each minute of TestSoak, in MiB:
	// 5 GiB were in use after 100 minutes at 14 GiB (2026-11-28), most of it old versions.
	heapPerMinute = 90
)

// TestSoak: two processes without faults at half of what they can do need no more memory
// and no more goroutines in the end than they did after the first quarter, and are heard of soon.
func TestSoak(t *testing.T) { //nolint:paralleltest // it takes all that the machine has
	host, project := soakEmulator(t), emulatortest.Project(t)
	store := open(t, project, host)
	setUp(t, store, 0)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var servers []*server
	var watches []*watch
	for range 2 {
		w := &watch{}
		s := newServer(t, []string{program}, project, host, watchedVariable+"=1")
		s.out = w
		servers, watches = append(servers, s), append(watches, w)
	}
	peak := soakLoad(t, servers, "peak", min(*soakFlag/4, 30*time.Second), 0)
	rate := peak.Mutations.ConfirmedPerSecond / 2
	for _, s := range servers { // the process that is watched has seen nothing
		s.stop(true)
		s.start()
	}
	began := time.Now()
	report := soakLoad(t, servers, "r", *soakFlag, rate)
	poke := report.Latencies.CommitToPoke
	if *soakFlag >= soakRefused && (poke.Count == 0 || poke.P99 > maxPoke) {
		t.Errorf("I14 Poke: the 99th percentile of %d times from commit to poke is %.0f ms, want %d at most",
			poke.Count, poke.P99, maxPoke)
	}
	var grown []string
	for i, w := range watches {
		later := began.Add(*soakFlag / 4)
		await(t.Context(), patience, func() bool { return len(w.after(later)) > 0 }) // it tells once a second
		grown = append(grown, judgeGrowth(t, i, w.after(later)))
	}
	for i := range spaces {
		storetest.MustFsck(t, store, spaceName(i))
	}
	result := fmt.Sprintf("%.0f mutations/s, half of %.0f; commit to poke p50 %.0f ms, p99 %.0f ms; %s",
		report.Mutations.ConfirmedPerSecond, 2*rate, poke.P50, poke.P99, strings.Join(grown, "; "))
	if t.Failed() {
		result = "FAILED: " + result
	}
	row(t, "soak at half of peak", fmt.Sprintf("%v, %s mutations, %d clients, %d spaces, two processes",
		*soakFlag, thousands(int(report.Mutations.Confirmed)), clients, spaces),
		strings.Join(append([]string{"go test ./test/robustness -run TestSoak"}, given()...), " "), *seedFlag, result)
}

// soakEmulator is one with room for all the versions of a long run.
func soakEmulator(t *testing.T) string {
	t.Helper()
	if *soakFlag < time.Minute {
		return emulatortest.Host(t)
	}
	heap := *soakHeapFlag
	if heap == 0 {
		heap = emulatorHeap + heapPerMinute*int(*soakFlag/time.Minute)
	}
	return freshEmulator(t, heap)
}

// soakLoad has clients write without faults: at a rate or, if that is 0, as fast as they can.
// What is stored stays as large as it is: the emulator's queries cost as much as there is, and
// with messages that stay it could not keep up any more in the end.
func soakLoad(t *testing.T, servers []*server, space string, d time.Duration, rate float64) load.Report {
	t.Helper()
	config := config(t, servers, d, "["+steady+"]")
	config.Space, config.Rate, config.Seed = space, rate, *seedFlag
	config.Pending = burst / 2
	if testing.Verbose() {
		config.Live, config.LiveEvery = os.Stderr, max(config.LiveEvery, d/200)
	}
	report, err := load.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Verdict.Converged || report.Mutations.Confirmed == 0 {
		t.Errorf("%d mutations, problems: %q", report.Mutations.Confirmed, report.Verdict.Problems)
	}
	if report.Pokes == 0 {
		t.Errorf("I14 Poke: none; %d commits were not heard of", report.UnseenPokes)
	}
	return report
}

// judgeGrowth says how a process has grown; that it has too much fails the test.
func judgeGrowth(t *testing.T, process int, samples []sample) string {
	t.Helper()
	heap := trendOf(samples, func(s sample) float64 { return float64(s.Heap) })
	routines := trendOf(samples, func(s sample) float64 { return float64(s.Goroutines) })
	if len(samples) == 0 {
		t.Fatalf("process %d told nothing", process)
	}
	if *soakFlag >= soakRefused && (heap.PerHour > maxHeapGrowth || routines.PerHour > maxGoroutineGrowth) {
		t.Errorf("process %d grows", process)
	}
	const mib = 1 << 20
	return fmt.Sprintf("process %d: heap %.1f MiB %+.2f (± %.2f) MiB/h, goroutines %.0f %+.1f/h, %d samples",
		process, heap.Mean/mib, heap.PerHour/mib, heap.Error/mib, routines.Mean, routines.PerHour, len(samples))
}

// TestTrend: what grows is seen, in whatever noise, and what does not is not.
func TestTrend(t *testing.T) {
	t.Parallel()
	for name, grows := range map[string]float64{"grows": 2 << 20, "stays": 0, "shrinks": -100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var samples []sample
			began := time.Unix(0, 0)
			for n := range 3600 {
				noise := float64(n%7-3) * 1e5
				at := began.Add(time.Duration(n) * time.Second)
				samples = append(samples, sample{At: at, Heap: uint64(5e7 + grows*float64(n)/3600 + noise)})
			}
			got := trendOf(samples, func(s sample) float64 { return float64(s.Heap) })
			if diff := got.PerHour - grows; diff < -3*got.Error-1 || diff > 3*got.Error+1 {
				t.Errorf("it grows by %.0f ± %.0f, want %.0f", got.PerHour, got.Error, grows)
			}
		})
	}
}

// TestWatch: what a process prints comes in any pieces.
func TestWatch(t *testing.T) {
	t.Parallel()
	var w watch
	for _, piece := range []string{
		`{"Heap":`, "1,\"At\":\"2026-01-01T00:00:00Z\"}\nwhat\n{\"Heap\":2,", "\"At\":\"2026-01-01T00:00:01Z\"}\n",
	} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	want := []sample{{At: start, Heap: 1}, {At: start.Add(time.Second), Heap: 2}}
	if diff := cmp.Diff(want, w.after(time.Time{})); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
	if got := w.after(start); len(got) != 1 {
		t.Errorf("%d samples are later, want 1", len(got))
	}
}
