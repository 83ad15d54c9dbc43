// Package memnet is a network in memory, for tests whose clock testing/synctest moves.
package memnet
