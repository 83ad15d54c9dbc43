// Package mutate is what an application developer imports: mutators in Go, the
// server's side of the mutators a Replicache app has in JavaScript.
//
// A mutator is a function of a context, a WriteTransaction and its arguments. It
// is registered under the name that the client calls. Returning nil applies its
// writes; returning an error rejects the mutation for good: its writes are
// dropped, it is acknowledged, and the client is told why. Retry marks an error
// as temporary: nothing is acknowledged and the mutation is tried again.
//
// Mutators must be pure up to the commit. A mutator is run again when another
// instance's commit came first, and whenever it asks for a key that has not been
// read yet (Get then returns an error, which is to be returned at once). So it
// must have no effect but through its transaction, must pass the transaction's
// errors up, and must not use the transaction in goroutines of its own. Package
// mutatetest finds mutators that break this rule.
package mutate
