package storetest_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mutantEnv names the broken store that TestMutant runs the suite on.
const mutantEnv = "STORETEST_MUTANT"

// TestSuiteSees proves that the suite can fail: for each way to break a store, the
// case that is there for it fails in a process of its own.
func TestSuiteSees(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts some 40 processes")
	}
	for name, m := range mutants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := "-test.run=^TestMutant$/^" + m.caught + "$"
			cmd := exec.CommandContext(t.Context(), os.Args[0], run)
			cmd.Env = append(os.Environ(), mutantEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if _, failed := errors.AsType[*exec.ExitError](err); !failed {
				t.Errorf("mutant survived %s (error %v):\n%s", m.caught, err, out)
			}
			if want := "--- FAIL: TestMutant/" + m.caught; !strings.Contains(string(out), want) {
				t.Errorf("output does not contain %q:\n%s", want, out)
			}
		})
	}
}

// TestMutant is the child of TestSuiteSees. Without a mutant it is the control: the
// suite passes on the very same harness.
func TestMutant(t *testing.T) {
	t.Parallel()
	breaks := func(store engine.Store) engine.Store { return store }
	if name := os.Getenv(mutantEnv); name != "" {
		breaks = mutants()[name].breaks
		storetest.SetPatience(3 * time.Second)
	}
	storetest.Run(t, func(testing.TB) storetest.Harness {
		whole := memory.New()
		faulty := storetest.NewFaulty(whole)
		store := breaks(faulty)
		return storetest.Harness{
			Store:  store,
			Second: func() engine.Store { return store },
			LoseReply: func(n int) {
				faulty.Next(storetest.MethodCommit, slices.Repeat(
					[]storetest.Fault{storetest.UnknownApplied}, n)...)
			},
			FailBefore: func(n int) {
				faulty.Next(storetest.MethodCommit, slices.Repeat(
					[]storetest.Fault{storetest.UnknownNotApplied}, n)...)
			},
			Wipe: func(context.Context) error {
				whole.Wipe()
				return nil
			},
		}
	})
}

func mutants() map[string]mutant {
	all := commitMutants()
	maps.Copy(all, readMutants())
	maps.Copy(all, idMutants())
	maps.Copy(all, otherMutants())
	return all
}
