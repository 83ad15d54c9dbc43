// Package access asks for everything as everybody, and compares what is answered
// with a golden file: each kind of token on each route, in a space of one's own, in
// one that one may read, in somebody else's and in one that is not there, with client
// groups and clients of one's own and of others.
//
// Beside the status it looks at what a status does not show: that a refusal changed
// nothing, that no answer has a byte of a space that the caller may not read, and that
// "not yours" cannot be told from "not there".
package access
