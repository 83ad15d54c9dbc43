package abuse_test

import (
	"testing"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }
