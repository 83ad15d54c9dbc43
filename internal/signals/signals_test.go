package signals_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/replifire/replifire/internal/signals"
)

// program, set in the environment, makes the test's binary a program that says what
// becomes of it, and that a single signal does not end.
const program = "SIGNALS_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(program) == "" {
		os.Exit(m.Run())
	}
	ctx := signals.Context()
	fmt.Println("running")
	<-ctx.Done()
	fmt.Println("ending:", context.Cause(ctx))
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the test has let go of it
}

// start runs the program, and returns what it says line by line.
func start(t *testing.T) (cmd *exec.Cmd, lines *bufio.Scanner, release func()) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), program+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines = bufio.NewScanner(stdout)
	want(t, lines, "running")
	return cmd, lines, func() { _ = stdin.Close() }
}

func want(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), text) {
		t.Fatalf("the program said %q (%v), want %q", lines.Text(), lines.Err(), text)
	}
}

func send(t *testing.T, cmd *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	for _, first := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run("first "+first.String(), func(t *testing.T) {
			t.Parallel()
			cmd, lines, release := start(t)
			send(t, cmd, first)
			want(t, lines, "ending: "+first.String()+" signal received")
			release()
			if err := cmd.Wait(); err != nil {
				t.Errorf("the program ended with %v, want its own end", err)
			}
		})
		for _, second := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(first.String()+", then "+second.String(), func(t *testing.T) {
				t.Parallel()
				cmd, lines, _ := start(t)
				send(t, cmd, first)
				want(t, lines, "ending:")
				send(t, cmd, second)
				exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
				if !ok {
					t.Fatal("the program ended well, want the end by a signal")
				}
				if status := exit.Sys().(syscall.WaitStatus); status.Signal() != second {
					t.Errorf("the program ended by %v, want %v", exit, second)
				}
			})
		}
	}
}
