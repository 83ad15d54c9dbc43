// Package protocol is the wire format between Replicache clients and this
// server: what a push and a pull say, what they are answered, and how cookies
// compare and grow. It knows both versions of the protocol that clients still
// speak, 0 and 1.
//
// Decoding is strict where a wrong body can only come from something that is
// not a Replicache client, and forgiving where a refusal would stop a real one
// for good: a client repeats a refused push until it succeeds. Unknown fields
// are ignored; a missing, repeated or mistyped field is a [*DecodeError] that
// names it; a mutation whose arguments no mutator could use is decoded and marked
// ([Mutation.Invalid]), so that it can be acknowledged as rejected. An unknown
// version of the protocol is an [*ErrorResponse], which the client understands.
//
// The package does no I/O but the reading of a push and the writing of a [PullResponse],
// keeps no state and
// imports the standard library only. encoding/json is not used for decoding: it
// matches names regardless of case, lets the last of two members win and repairs
// invalid text silently. What is decided here about the content of mutations is
// only whether they can be read; whether they apply is the business of package
// engine.
//
// Bounds on what is decoded: a push of any length is read within [PushBounds]. Of
// anything else the caller limits the size; memory used is then at most a small
// multiple of it, and time linear in it. Nesting is
// bounded by [MaxDepth] for values and by 10,000 for anything else.
package protocol
