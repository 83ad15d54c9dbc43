// Package sim runs the real engine on the real memory store inside a simulated world
// of clients, instances, a network and faults, all of which follow from one seed. The
// same seed gives the same run, so that a seed is a bug report.
//
// A run lives in a testing/synctest bubble: time is virtual, and when nothing in the
// bubble can go on by itself, every operation of the store and every message of the
// network is parked. A scheduler then lets one of them go on, fail, fail after it was
// applied, or wait. An oracle that sees each commit checks the invariants by name (I1 to
// I13) at each commit and after each pull; at the end the faults stop, and all clients
// must converge. docs/design/simulation.md says more, with the bugs that were planted to
// prove that the oracle sees.
package sim
