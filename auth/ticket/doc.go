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
// Keys are rotated in three steps, each of which waits until every instance has the
// one before: a new key goes behind the old one, so that all can verify by it; then
// before it, so that it signs; and after [Life] the old one goes. [FromFile]
// notices each by itself.
package ticket
