// Package token tells principals by bearer tokens that somebody else signed:
// Firebase the ID tokens of a Firebase project, OIDC the tokens of any OpenID
// Connect issuer. Both are an [auth.Authenticator].
//
// What the two have in common: a token is a compact JWS whose algorithm is on a
// short list of asymmetric ones and whose key is one that the issuer publishes at
// an address fixed by the configuration. Headers that name or carry a key (jku,
// jwk, x5u, x5c) are not looked at. Header and payload are parsed once, after the
// signature was checked in the payload's case, and a payload in which an object has
// two members of one name is refused. Times may be off by [Skew].
//
// The keys are cached as long as their Cache-Control says, and refreshed before
// that in the background of a request. They are kept through an outage of the
// issuer, for up to a day. One fetch is under way at a time, and a key id that
// nobody knows causes at most one a minute, so that forged tokens cannot be turned
// against the issuer. Nothing is fetched before the first token comes.
//
// A token that is refused fails with [auth.ErrUnauthenticated]. When the keys
// cannot be had the answer is [auth.ErrUnavailable] instead: a new token would not
// help. No error's text has anything of the token in it.
//
// Not looked at is whether a token was revoked before its end: Firebase's live an
// hour, and asking Google for each request would make it part of every sync.
package token
