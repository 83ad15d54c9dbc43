// Package engine is the sync service without its surroundings: push, pull and
// what guards them, on any Store. It knows no HTTP and no Firestore.
//
// A push goes to the queue of its space. While one commit is in flight, pushes
// pile up; the next commit takes the pile (queue.go, pushbatch.go, steps.go). The batch reads
// what it needs, checks owners and mutation ids, runs each mutation on an overlay
// (overlay.go) and commits everything at once on the condition that the space's
// version counter has not moved since it was read. A lost race is read again and
// run again; nothing was acknowledged yet. A pull answers from one Snapshot of
// the store (pull.go).
//
// The version counter is the lock: every commit moves it, so one precondition
// validates all that a mutator has read, from the store or from memory. Package
// memory has the reference Store, package firestore the one for production;
// storetest is the suite both pass, engine/fsck the checker of what they keep.
package engine
