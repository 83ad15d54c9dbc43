// Package storetest is the contract of engine.Store in code: a suite that every
// store passes, the memory store as well as Firestore's. A store's own test calls
// Run with a function that opens it fresh; what a store cannot do (break its own
// network, lose all data) it leaves out of the Harness, and the suite names the
// cases that are not run for it.
//
// Each case ends with package fsck on every space it touched. Faulty makes faults
// in any store, for the tests of those who use one: each call can fail before it
// is applied, or be applied and lose its reply, or be applied later. Step and its
// Changes write commits in few words, and MustFsck is how a test of another
// package ends.
//
// It belongs in tests: it imports package testing. It says nothing about speed.
package storetest
