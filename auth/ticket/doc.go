// Package ticket makes short-lived tickets out of principals, for clients that
// cannot send a header: a browser's plain EventSource has only an address, and a
// token must not be in one, since addresses end up in logs.
//
// A ticket is bound to a user, a space and a purpose, and is good for [Life]. It is
// URL-safe text: a version, two times, a nonce and the user's id, and their
// HMAC-SHA-256, which covers space and purpose too. It is signed, not encrypted, so
// who has it can read the user's id. It can be used again within its life.
//
// Of the principal a ticket carries the id and when the token ends, and not the
// claims: they would be in the address, and have names and email addresses. Where
// a policy decides by claims, streams need the Authorization header instead.
//
// Keys are rotated by putting a new one before the old one, and removing the old
// one after every instance has the new one and [Life] is over. [FromFile] notices
// both by itself.
package ticket
