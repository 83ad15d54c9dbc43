package robustness_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/replifire/replifire/chat"
	service "github.com/replifire/replifire/server"
)

// watchedVariable makes of the test program the service, which tells how it fares.
const watchedVariable = "ROBUSTNESS_WATCHED"

// sampleEvery is how often a watched process tells.
const sampleEvery = time.Second

// sample is how a process fares at a moment.
type sample struct {
	At time.Time
	// Heap is what is alive, in bytes: right after a collection.
	Heap       uint64
	Goroutines int
}

// serveWatched is "replifire serve" that prints a sample now and then. It returns the
// process's exit code.
func serveWatched() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	settings, err := service.SettingsFromEnv()
	if err != nil {
		return 1
	}
	s, err := service.New(ctx, settings, chat.Mutators())
	if err != nil {
		return 1
	}
	var wg sync.WaitGroup
	wg.Go(func() { tell(ctx, os.Stdout) })
	err = s.Run(ctx)
	stop()
	wg.Wait()
	if err != nil {
		return 1
	}
	return 0
}

// tell prints samples until ctx ends.
func tell(ctx context.Context, to io.Writer) {
	for wait(ctx, sampleEvery) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		// Nobody reads any more when the test has died.
		_ = json.NewEncoder(to).Encode(sample{At: time.Now(), Heap: m.HeapAlloc, Goroutines: runtime.NumGoroutine()})
	}
}

// watch collects the samples of a process: it is what the process prints to. It is safe for
// concurrent use.
type watch struct {
	mu      sync.Mutex // guards what follows
	rest    []byte     // of a line that is not complete
	samples []sample
}

// Write takes what the process prints. What is no sample is left out.
func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		n, line, _ := bufio.ScanLines(w.rest, false) // it returns no errors
		if n == 0 {
			return len(p), nil
		}
		var s sample
		if json.Unmarshal(line, &s) == nil {
			w.samples = append(w.samples, s)
		}
		w.rest = w.rest[n:]
	}
}

// after are the samples from a moment on.
func (w *watch) after(t time.Time) []sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.samples, func(s sample) bool { return s.At.After(t) })
	if i < 0 {
		return nil
	}
	return slices.Clone(w.samples[i:])
}

// trend is a line through samples.
type trend struct {
	// Mean is that of the values, and PerHour how much they grow.
	Mean, PerHour float64
	// Error is the standard error of PerHour, as if the samples did not depend on each other.
	Error float64
}

// trendOf fits a line by least squares.
func trendOf(samples []sample, value func(sample) float64) (t trend) {
	n := float64(len(samples))
	if n < 3 {
		return trend{}
	}
	began := samples[0].At
	var sumX, sumY float64
	for _, s := range samples {
		sumX += s.At.Sub(began).Hours()
		sumY += value(s)
	}
	var xx, xy, yy float64
	for _, s := range samples {
		x, y := s.At.Sub(began).Hours()-sumX/n, value(s)-sumY/n
		xx, xy, yy = xx+x*x, xy+x*y, yy+y*y
	}
	t.Mean, t.PerHour = sumY/n, xy/xx
	t.Error = math.Sqrt(max(0, yy-t.PerHour*xy) / (n - 2) / xx)
	return t
}
