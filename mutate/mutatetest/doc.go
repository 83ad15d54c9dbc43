// Package mutatetest is for tests of mutators, with no server and no store: a space
// in memory, on which mutations run by the rules of the server.
//
//	space := mutatetest.New(t, chat.Mutators(), mutatetest.Options{})
//	if err := space.Run("deleteMessage", map[string]any{"id": "m1"}); err != nil {
//		t.Error(err)
//	}
//	if diff := space.Diff(nil); diff != "" {
//		t.Error(diff)
//	}
//
// A rejected mutation leaves nothing behind but its acknowledgement. Arguments and
// values have the limits of the server, but there is none on how much one mutation
// reads or writes in all.
//
// Each mutation runs at least twice from the same state: first as on a server that
// has read nothing yet, where every key asked for is an interruption, then as on one
// that has everything in memory. The test fails if the two end differently, or if
// the mutator goes on after an error of its transaction, or uses the transaction
// after it has returned: see package mutate for why it must not. A mutator that asks
// for the time does so in a bubble of testing/synctest, where time stands still.
package mutatetest
