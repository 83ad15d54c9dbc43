package emulatortest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/internal/emulator"
)

// Variable is the environment variable that names an emulator that is running
// already, as host:port.
const Variable = "REPLIFIRE_TEST_EMULATOR"

// startTimeout is generous: an emulator starts in 2 seconds, and in many more
// on a machine that runs the other packages' tests at the same time.
const startTimeout = 5 * time.Minute

var running atomic.Pointer[emulator.Emulator]

var shared = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	e, err := emulator.Start(ctx, emulator.Options{})
	if err != nil {
		return "", err
	}
	running.Store(e)
	return e.Host(), nil
})

// Host is the address of the emulator to test with, "host:port". Where there is
// none the test is skipped, with the text of emulator.ErrNotFound; with CI=true
// in the environment it fails.
func Host(t testing.TB) string {
	t.Helper()
	if host := os.Getenv(Variable); host != "" {
		return host
	}
	host, err := shared()
	switch {
	case err == nil:
		return host
	case errors.Is(err, emulator.ErrNotFound) && os.Getenv("CI") != "true":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
	return ""
}

// Project is the id of a project nobody else uses.
func Project(t testing.TB) string {
	t.Helper()
	return "test-" + strings.ToLower(rand.Text()[:20])
}

// Wipe removes all documents of a project, or fails the test.
func Wipe(ctx context.Context, t testing.TB, project string) {
	t.Helper()
	if err := emulator.Wipe(ctx, Host(t), project); err != nil {
		t.Error(err)
	}
}

// Main runs a package's tests, stops the emulator they started, checks that no
// goroutine but those named by known is left, and exits. It is all of a TestMain.
func Main(m *testing.M, known ...goleak.Option) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(known...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func stop() error {
	if e := running.Swap(nil); e != nil {
		return e.Stop()
	}
	return nil
}
