// Package auth says who a request comes from and what that principal may do: an
// Authenticator turns the Authorization header into a Principal, a Policy allows
// or refuses a Principal an Action on a space. What it knows nothing of is HTTP:
// package handlers turns its two errors into statuses.
//
// The difference between the errors matters to clients. [ErrUnauthenticated]
// becomes 401, which makes a Replicache client ask for a new token and try again
// at once, up to eight times; so it is only for what a new token can cure.
// [ErrForbidden] becomes 403: known, and not allowed.
//
// None and Open, the implementations here, protect nothing: they are for
// development and for services that are reached through something that does.
package auth
