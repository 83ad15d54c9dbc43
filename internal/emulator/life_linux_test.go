package emulator_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/replifire/replifire/internal/emulator"
)

// parentVariable makes this test binary the parent of an emulator.
const parentVariable = "REPLIFIRE_TEST_EMULATOR_PARENT"

func TestDiesWithItsParent(t *testing.T) {
	if os.Getenv(parentVariable) != "" {
		beParent(t)
		return
	}
	t.Parallel()
	if _, err := emulator.Find(); err != nil {
		t.Skip(err)
	}
	parent := exec.CommandContext(t.Context(), os.Args[0],
		"-test.run=^TestDiesWithItsParent$")
	parent.Env = append(os.Environ(), parentVariable+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	host := ""
	for lines := bufio.NewScanner(out); host == "" && lines.Scan(); {
		host, _ = strings.CutPrefix(lines.Text(), "host ")
		if host == lines.Text() {
			host = ""
		}
	}
	if host == "" {
		t.Fatal("the parent started no emulator")
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // It was killed, and says so.
	awaitClosed(t, host)
}

// beParent starts an emulator and waits to be killed.
func beParent(t *testing.T) {
	t.Helper()
	e, err := emulator.Start(t.Context(), emulator.Options{HeapMiB: 256})
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("\nhost " + e.Host() + "\n")
	select {}
}

// awaitClosed waits until nothing serves host, however long the test may take.
func awaitClosed(t *testing.T, host string) {
	t.Helper()
	for t.Context().Err() == nil {
		conn, err := dial(t, host)
		if err != nil {
			return
		}
		// The other end closes when the emulator dies.
		_, _ = conn.Read(make([]byte, 1))
		conn.Close()
	}
}
