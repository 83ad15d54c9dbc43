package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	p := program{getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(signals.Context(), os.Args[1:]))
}

// program is the whole program but for the signals.
type program struct {
	getenv         func(string) string
	stdout, stderr io.Writer
	// dial opens the connections. Nil: over the network.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// run returns the program's exit code.
func (p *program) run(ctx context.Context, args []string) int {
	var f flags
	err := p.parse(&f, args)
	if errors.Is(err, errHelp) {
		return 0
	}
	var config load.Config
	if err == nil {
		config, err = f.config(p.stderr)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "hammer: %v\nTry hammer --help\n", err)
		return exitUsage
	}
	config.Dial = p.dial
	if err := f.hammer(ctx, config, p.stdout); err != nil {
		fmt.Fprintf(p.stderr, "hammer: %v\n", err)
		return exitFailure
	}
	return 0
}

func (p *program) parse(f *flags, args []string) error {
	parser, err := kong.New(f, kong.Name("hammer"), kong.Description(description),
		kong.Writers(p.stdout, p.stderr), kong.NoDefaultHelp(), environment(p.getenv))
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
