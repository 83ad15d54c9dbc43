package memory_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) storetest.Harness {
		store := memory.New()
		faulty := storetest.NewFaulty(store)
		script := func(f storetest.Fault) func(int) {
			return func(n int) {
				for range n {
					faulty.Next(storetest.MethodCommit, f)
				}
			}
		}
		return storetest.Harness{
			Store:      faulty,
			Second:     func() engine.Store { return store },
			LoseReply:  script(storetest.UnknownApplied),
			FailBefore: script(storetest.NotApplied),
			Wipe: func(context.Context) error {
				store.Wipe()
				return nil
			},
		}
	})
}
