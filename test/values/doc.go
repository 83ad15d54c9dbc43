// Package values has no code but tests: a value has one text, the same in every answer,
// whatever served it. They are written by one instance and read by it from memory, by
// another one and by one that was started later, by old and new cookies, in both versions
// of the protocol, by mutators, and from a backup; on the memory store and on Firestore.
package values
