// Command with-emulator runs a command with a Firestore emulator beside it, whose
// address the command finds in the environment variable REPLIFIRE_TEST_EMULATOR.
// So all packages' tests, and the tests in other languages, share one emulator.
// When the command has ended the emulator is stopped, and the command's exit code
// is this one's.
//
// An emulator that the variable names already is used as it is. Where there is
// none to start, the command runs without, and its tests on Firestore skip
// themselves; with CI=true in the environment that is a failure instead.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/replifire/replifire/internal/emulator"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/signals"
)

const (
	startTimeout = 5 * time.Minute // only ends what hangs: the machine may be busy
	// defaultHeapMiB is for the tests of all packages one after the other: the
	// emulator keeps every version of every document of every test.
	defaultHeapMiB = 3072
)

func main() {
	ctx := signals.Context()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "with-emulator:", err)
		code = cmp.Or(code, 1)
	}
	os.Exit(code)
}

// run returns the command's exit code, or an error of its own.
func run(ctx context.Context, args []string) (int, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 2, errors.New("usage: with-emulator [--] COMMAND [ARGUMENT...]")
	}
	if os.Getenv(emulatortest.Variable) != "" {
		return command(ctx, args)
	}
	e, err := start(ctx)
	switch {
	case errors.Is(err, emulator.ErrNotFound) && os.Getenv("CI") != "true":
		fmt.Fprintf(os.Stderr, "with-emulator: tests on Firestore will be SKIPPED: %v\n", err)
		return command(ctx, args)
	case err != nil:
		return 1, err
	}
	code, err := command(ctx, args, emulatortest.Variable+"="+e.Host())
	return code, errors.Join(err, e.Stop())
}

func start(ctx context.Context) (*emulator.Emulator, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	heap, err := heapMiB()
	if err != nil {
		return nil, err
	}
	return emulator.Start(ctx, emulator.Options{HeapMiB: heap})
}

// heapMiB is what EMULATOR_HEAP_MIB says, for machines with little memory.
func heapMiB() (int, error) {
	s := os.Getenv("EMULATOR_HEAP_MIB")
	if s == "" {
		return defaultHeapMiB, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("EMULATOR_HEAP_MIB is %q: it must be a number above 0", s)
	}
	return n, nil
}

// command runs the command to its end; a signal is passed on to it.
func command(ctx context.Context, args []string, env ...string) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // what the caller asked for
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return 1, err // it did not start
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		return max(code, 1), nil // -1: ended by a signal
	}
	return 0, err
}
