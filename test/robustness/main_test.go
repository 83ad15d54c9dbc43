package robustness_test

import (
	"os"
	"testing"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

// TestMain runs the tests or, in a process that TestSoak has started, the service.
func TestMain(m *testing.M) {
	if os.Getenv(watchedVariable) != "" {
		os.Exit(serveWatched())
	}
	emulatortest.Main(m)
}
