// Package memnet is a network in memory, for tests whose clock testing/synctest moves. A
// connection of the operating system keeps such a clock from moving, since nobody can tell when
// bytes are still on their way. Here reading is waiting in the bubble's sense, so that the clock
// moves only when everybody waits.
package memnet
