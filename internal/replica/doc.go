// Package replica is a model of a Replicache client: one tab of a client group,
// with the state it has confirmed and the mutations it still has pending. It
// accepts and refuses a server's answers by the rules of the real client
// (sync/pull.ts, protocol.md §2.4), and turns what the real one only logs into an
// error, so that a test fails where a browser would be stuck.
//
// It is a pure state machine: it does no I/O, starts no goroutine and reads no
// clock. Its users carry the bodies to a server and back, and lose, repeat or
// reorder them as they like.
package replica
