package main

import (
	"context"
	"flag"
	"fmt"
	"os"
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
	host   string // of the emulator
	pid    int    // of the emulator
	serial int    // of projects
	began  time.Time
	tables []table
	plots  []plot
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
	flag.IntVar(&b.runs, "runs", 3, "`times` each is measured, interleaved")
	flag.StringVar(&b.only, "only", "", "measure only those whose `name` contains this, and write nothing")
	out := flag.String("out", "docs/performance.md", "`file` whose marked part is replaced")
	flag.Parse()
	em, err := emulator.Start(ctx, emulator.Options{HeapMiB: 4096})
	if err != nil {
		return err
	}
	defer func() { _ = em.Stop() }()
	b.host, b.pid = em.Host(), em.PID()
	if err := b.measure(ctx); err != nil {
		return err
	}
	if b.only != "" {
		return writeTables(os.Stdout, b.tables)
	}
	return b.write(*out)
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
	if _, err := b.service(ctx, 1, 64, 64); err != nil { // the emulator, a Java program, warms up
		return err
	}
	for _, p := range parts {
		if !strings.Contains(p.name, b.only) {
			continue
		}
		b.say("%s", p.name)
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
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
