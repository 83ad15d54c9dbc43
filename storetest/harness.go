package storetest

import (
	"context"
	"testing"

	"github.com/replifire/replifire/engine"
)

// Harness is a store for one case. The funcs are what not every store can do: nil
// where it cannot.
type Harness struct {
	// Store is fresh: nobody has ever written to it.
	Store engine.Store
	// Second opens another handle on the same data, as another instance would.
	// Opened handles are closed with the case (by testing.TB.Cleanup).
	Second func() engine.Store
	// LoseReply makes the next n commits through Store reach the data and lose
	// their replies.
	LoseReply func(n int)
	// FailBefore makes the next n commits through Store, as far as they are sent,
	// fail without reaching the data.
	FailBefore func(n int)
	// Wipe takes all data away, as the reset of an emulator does; handles and
	// watches stay open.
	Wipe func(ctx context.Context) error
}

// capability is an optional part of Harness, by the name of its field.
type capability string

const (
	second     capability = "Second"
	loseReply  capability = "LoseReply"
	failBefore capability = "FailBefore"
	wipe       capability = "Wipe"
)

func (h Harness) has(c capability) bool {
	switch c {
	case second:
		return h.Second != nil
	case loseReply:
		return h.LoseReply != nil
	case failBefore:
		return h.FailBefore != nil
	case wipe:
		return h.Wipe != nil
	}
	return false
}

// testCase is one subtest of Run with a store of its own.
type testCase struct {
	name string
	run  func(*kit)
	// needs are what it cannot be run without.
	needs []capability
}

// Run runs the suite, each case a parallel subtest with a store from open. open
// registers on its t what closes the store. It fails t when a store breaks the
// contract; a case that needs what the Harness lacks is skipped by name.
func Run(t *testing.T, open func(t testing.TB) Harness) {
	t.Helper()
	for _, group := range [][]testCase{
		commitCases, raceCases, snapshotCases, rangeCases, clientCases, idCases,
		valueCases, sizeCases, purgeCases, collectCases, watchCases, faultCases, historyCases,
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				k := newKit(t, open(t))
				for _, need := range c.needs {
					if !k.has(need) {
						t.Skipf("not run: Harness.%s is nil", need)
					}
				}
				c.run(k)
			})
		}
	}
}
