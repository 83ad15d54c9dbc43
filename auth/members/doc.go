// Package members is the access policy by which a space belongs to its members: a
// reader may pull and be poked, a writer may push too, an owner may also empty the
// space and say who its members are. A [Directory] keeps the members, which is a
// store's part; a [Policy] asks it, remembers the answers for some seconds, and has
// the rule who may create a space. It knows nothing of HTTP: package handlers has
// the routes by which owners change members.
//
// Whoever is no member is told the same of a space that does not exist as of one
// that is somebody else's.
package members
