package rollout_test

import (
	"testing"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }

// programs are the two that must work beside each other.
type programs struct{ before, now program }

// TestRollout builds both, once, and gives each scenario a database of its own.
func TestRollout(t *testing.T) {
	t.Parallel()
	emulatortest.Host(t) // where there is none, there is nothing to build for
	p := programs{before: buildBefore(t), now: build(t, repository)}
	for name, scenario := range map[string]func(*testing.T, programs){
		"rolled out and back": testClients,
		"members":             testMembers,
		"backups":             testBackups,
		"resets":              testResets,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, p)
		})
	}
}
