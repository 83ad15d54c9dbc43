// Package faultrpc breaks the RPCs between the Firestore SDK and the emulator, by
// rules and a seed: an RPC fails before it is sent, or it is applied and its reply is
// lost, or it is late, or it hangs, or its stream is cut. It sits between the two as
// gRPC interceptors, below the SDK's own retries, so that each try of the SDK's is a
// call of its own here. What becomes of the n-th call of a method follows from the seed,
// the method and n alone.
//
// An Injector can also crash: from one call on, before or after that call was
// applied, nothing gets through any more, as if the process had died. Counting the
// calls of an undisturbed run and crashing at each of them enumerates all points at
// which a process can die, as far as the database can tell.
//
// Only tests use it; no production code does.
package faultrpc
