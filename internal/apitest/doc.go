// Package apitest is a small client of the service for tests that look at a whole
// server: one push, one pull, one poke stream at a time, over HTTP. It keeps no
// state and knows no rules, so it is no Replicache client; the tests with the real
// one are in test/replicache. Service is the service for tests that need any, and not
// one of their own making. Everything that goes wrong on the way ends the test.
package apitest
