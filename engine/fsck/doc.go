// Package fsck checks every invariant of what a store keeps for a space. Check
// reads a space whole and reports what is wrong with it; it ends every test of a
// store, of the engine and of the service, and an operator runs it on a live
// store. CheckCommit holds a commit to the same rules before it is applied, so
// that what may be stored is written down once, here.
//
// The package never repairs, writes or purges, and it knows no particular store:
// it sees a space through engine.Snapshot as the engine does. That is why it also
// compares the ways in (by version, by key, by id, by group) with each other: an
// entry that one way shows and another hides is an entry that some client misses.
package fsck
