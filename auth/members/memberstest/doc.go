// Package memberstest is the contract of members.Directory in code: a suite that
// every directory passes, the memory store's as well as Firestore's. A store's own
// test calls Run with a function that opens it fresh. It belongs in tests: it imports
// package testing.
package memberstest
