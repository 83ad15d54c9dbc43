// Package backup writes a space into a file and puts it back: what replifire export
// and replifire import do. A backup is JSON Lines: a header, then the client groups
// with their clients, then the entries in the order of their keys, and a last line
// with the counts and the SHA-256 of all lines before it. Values stand in it as the
// JSON they are. It is of one version of the space, whatever happens meanwhile.
//
// What is not in a backup: tombstones, since a restored space has a new epoch, from
// which no client can be told differences; rejections older than the last few that
// a space keeps; and the members of a space.
//
// Both ways work in pieces of bounded size, so memory does not grow with the space,
// but for the ids of its client groups. The package knows no files and no
// command line: it works on an engine.Store, an io.Writer and an io.ReadSeeker.
package backup
