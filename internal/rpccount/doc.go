// Package rpccount counts what a Firestore client does: RPCs by method, and
// documents read and written, which is what Firestore bills. It sits between
// the SDK and the emulator as gRPC interceptors, so it sees the retries that the
// SDK hides. Tests that state the cost of a push or a pull are built on it; no
// production code is.
package rpccount
