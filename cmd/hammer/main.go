package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/replifire/replifire/internal/load"
	"github.com/replifire/replifire/internal/signals"
)

// Exit codes besides 0.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	os.Exit(run(signals.Context(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is the whole program but for the signals, and returns its exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	var f flags
	err := parse(&f, args, getenv, stdout, stderr)
	if errors.Is(err, errHelp) {
		return 0
	}
	var config load.Config
	if err == nil {
		config, err = f.config(stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "hammer: %v\nTry hammer --help\n", err)
		return exitUsage
	}
	if err := f.hammer(ctx, config, stdout); err != nil {
		fmt.Fprintf(stderr, "hammer: %v\n", err)
		return exitFailure
	}
	return 0
}

func parse(f *flags, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	parser, err := kong.New(f, kong.Name("hammer"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.NoDefaultHelp(), environment(getenv))
	if err != nil {
		return err
	}
	_, err = parser.Parse(args)
	return err
}

// errNotConverged is the verdict, which the table has told already.
var errNotConverged = errors.New("not converged")

// hammer runs the load and reports, also of a run that was cut short.
func (f *flags) hammer(ctx context.Context, config load.Config, stdout io.Writer) error {
	report, err := load.Run(ctx, config)
	if report.Started.IsZero() {
		return err
	}
	err = errors.Join(err, report.Table(stdout), f.writeJSON(report))
	if !report.Verdict.Converged {
		err = errors.Join(err, errNotConverged)
	}
	return err
}
