// Package abuse has no code but tests: the real program on the Firestore emulator, with
// its limits on, is attacked from other addresses while a few good clients push and pull.
// What is judged is that the good clients lose nothing, that every refusal is a 4xx that
// names its limit, that memory stays below a bound, and that connections come back. How
// much slower the good clients become is measured and printed, and fails nothing.
package abuse
