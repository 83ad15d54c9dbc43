package firestore_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/emulator"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Harness {
		t.Helper()
		f := open(t)
		return storetest.Harness{
			Store:  f,
			Second: func() engine.Store { return openProject(t, f.project) },
			LoseReply: func(n int) {
				f.faults.clear()
				for range n {
					f.faults.add(fault{method: "Commit", applied: true, code: codes.Unavailable})
				}
			},
			FailBefore: func(n int) {
				f.faults.clear()
				for range n {
					f.faults.add(fault{method: "Commit", code: codes.Internal})
				}
			},
			Wipe: func(ctx context.Context) error {
				return emulator.Wipe(ctx, emulatortest.Host(t), f.project)
			},
		}
	})
}
