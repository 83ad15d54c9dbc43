package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/replifire/replifire/internal/signals"
	"github.com/replifire/replifire/server"
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
	p := program{ctx: ctx, getenv: getenv, stdin: os.Stdin, stdout: stdout, stderr: stderr}
	parser, err := kong.New(&commands{}, kong.Name("replifire"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.NoDefaultHelp(), server.Flags(getenv))
	if err != nil {
		return p.fail(err, exitFailure)
	}
	command, err := parser.Parse(args)
	if errors.Is(err, errHelp) {
		return 0
	}
	if err != nil {
		return p.fail(fmt.Errorf("%w\nTry replifire --help, or replifire COMMAND --help", err), exitUsage)
	}
	if err := command.Run(&p); err != nil {
		return p.fail(err, exitFailure)
	}
	return 0
}

// fail tells why, unless the command has told it in its own way.
func (p *program) fail(err error, code int) int {
	if errors.Is(err, errTold) {
		return code
	}
	fmt.Fprintf(p.stderr, "replifire: %v\n", err)
	if e, ok := errors.AsType[interface {
		error
		Document() string
	}](err); ok {
		fmt.Fprintf(p.stderr, "The document is %q\n", e.Document()) // the error names no users
	}
	return code
}
