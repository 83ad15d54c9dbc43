package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/replifire/replifire/internal/emulator"
	"github.com/replifire/replifire/internal/signals"
)

// bench is one run of everything.
type bench struct {
	bin    string
	window time.Duration
	runs   int
	only   string
	host   string // of the part's emulator
	pid    int    // of the part's emulator
	serial int    // of projects
	began  time.Time
	tables []table
	plots  []plot
	// instances are those that the part has started.
	instances []*instance
}

func main() {
	if err := run(signals.Context()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	b := &bench{began: time.Now()}
	flag.StringVar(&b.bin, "bin", "bin/replifire", "the `program` to measure")
	flag.DurationVar(&b.window, "window", 5*time.Second, "`time` of each measurement of throughput")
	flag.IntVar(&b.runs, "runs", 5, "`times` each is measured, interleaved")
	flag.StringVar(&b.only, "only", "", "measure only those whose `name` contains this, and write nothing")
	cpuProfile := flag.String("cpuprofile", "", "`file` for a processor profile of this program; "+
		"with -only calls that is engine, SDK and gRPC of a push")
	out := flag.String("out", "docs/performance.md", "`file` whose marked part is replaced")
	flag.Parse()
	stop, err := startProfile(*cpuProfile)
	if err != nil {
		return err
	}
	if err := errors.Join(b.measure(ctx), stop()); err != nil {
		return err
	}
	if b.only != "" {
		return writeTables(os.Stdout, b.tables)
	}
	return b.write(*out)
}

// startProfile writes a processor profile to a file, if it has a name, until stop.
func startProfile(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// measure runs the parts one after the other.
func (b *bench) measure(ctx context.Context) error {
	parts := []struct {
		name string
		run  func(context.Context) error
	}{
		{"throughput", b.throughput},
		{"spaces", b.spaces},
		{"profile", b.profile},
		{"calls", b.calls},
		{"backlog", b.backlog},
		{"pokes", b.pokes},
		{"cost", b.cost},
		{"first pull", b.firstPull},
		{"streams", b.streams},
		{"start", b.start},
	}
	for _, p := range parts {
		if !strings.Contains(p.name, b.only) {
			continue
		}
		b.say("%s", p.name)
		if err := b.part(ctx, p.run); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// part runs a part on an emulator of its own, which keeps every version of every document:
// what one part has written would slow the next one down, and then run out of memory.
func (b *bench) part(ctx context.Context, run func(context.Context) error) error {
	em, err := emulator.Start(ctx, emulator.Options{HeapMiB: 4096})
	if err != nil {
		return err
	}
	defer func() {
		stopAll(b.instances)
		b.instances = nil
		_ = em.Stop()
	}()
	b.host, b.pid = em.Host(), em.PID()
	if _, err := b.service(ctx, 1, 64, 64); err != nil { // the emulator, a Java program, warms up
		return err
	}
	return run(ctx)
}

// say reports progress.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// project is a new one: an empty database.
func (b *bench) project() string {
	b.serial++
	return fmt.Sprintf("bench-%d", b.serial)
}
