// Package memory is an engine.Store in memory. It is the reference for what the
// contract means, the store of a laptop without an emulator, and the one under
// the engine's tests and simulations. Nothing is written to disk and no process
// shares it: what it holds ends with it, so it is never for production.
//
// A space is kept as persistent B-trees. A Snapshot holds copies that share all
// nodes with the live trees until a commit rewrites some, so taking one costs the
// same for any size of space, holds no lock while it is read and stands still for
// ever. The cost is memory: the store grows with its data (about the bytes of the
// keys and values and 200 more for each entry), tombstones included, and a
// Snapshot that is kept keeps the nodes and values it shows. There is no bound;
// Purge and Wipe are what gives memory back.
//
// Ownership: Commit copies what it is given, and a caller may reuse its slices.
// What a Snapshot or Watch shows is shared with the store and with other
// snapshots, and Entry.Value must not be modified; Rejections are the caller's.
package memory
