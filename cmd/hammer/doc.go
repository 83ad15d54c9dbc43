// Command hammer puts a Replicache backend under load: simulated clients push, pull
// and listen to pokes over HTTP like the real ones, at their own pace or at an
// offered rate, and at the end it says how fast the server was and whether all
// clients came to see the same.
//
// Package load does the work; this one has the flags and their environment
// variables, the live line on stderr, the table on stdout and the JSON file. The exit
// code is 0 if the clients converged, 1 if not or if the server broke the protocol, 2
// for a mistake in the flags.
package main
