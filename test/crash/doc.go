// Package crash has no code but tests: what becomes of a space when the process that
// writes to it dies at any of its RPCs to Firestore, before it, after it or while it is on
// its way, and what when the replies of thousands of commits are lost.
//
// The crash points of a push, of a reset, of a collection and of a deletion are all enumerated, on the emulator, with
// engines of one process that are cut off by package faultrpc. Package
// test/robustness kills real processes, at moments that nobody chooses.
package crash
