// Package tokentest plays the issuer of tokens in tests: a key server on loopback
// that signs Firebase-like ID tokens with any header and claims, valid or not. It
// rotates its keys, goes down, is slow, answers nonsense, and counts how often it
// was asked.
//
// Bad is the list of bad tokens that every part of the service must refuse. The
// package is no model of an OpenID Connect provider: tests have a real one for
// that.
package tokentest
