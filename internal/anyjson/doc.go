// Package anyjson makes JSON for property tests: values, and the many texts that each of
// them has. A test that takes a text from here finds out what depends on how a value is
// written: white space, escapes, the order of members, how a number is spelled. The
// values are those of encoding/json, and among the strings are names that mean something
// to Firestore or to JavaScript.
package anyjson
