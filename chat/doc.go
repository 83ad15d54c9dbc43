// Package chat is the built-in application: the chat of Replicache's tutorial. It
// is what a team replaces by mutators of its own, and an example of how to write
// them.
//
// A message is the entry message/<id> with the value {from, content, order}.
// Where users are signed in, a message is from the user who created it, and only
// that user changes or deletes it. testdata/mutators.jsonl says in examples what each
// mutator does; the page's mutators in TypeScript are held to the same file.
package chat
