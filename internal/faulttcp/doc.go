// Package faulttcp is a TCP proxy on the loopback address that can be told to misbehave
// as networks do: late bytes, slow bytes, connections that are reset, or that stand
// still without being closed, or that end in the middle of a message. Tests put it
// between a client and a server, and between a server and the emulator.
package faulttcp
