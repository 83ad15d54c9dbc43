// Package rollout has no code but tests: the program of an earlier revision and this one
// work beside each other, on the same spaces, as they do while a new revision is rolled
// out and when it is rolled back. Clients are sent to one and to the other by turns,
// members are managed at both, a backup of either goes into the other.
//
// The tests look at what is promised and at nothing else: views converge, nothing is lost
// and nothing happens twice, and nobody is refused for good what is theirs to do. Both
// programs are processes of their own on one emulator. The earlier one is built from
// the repository's history.
package rollout
