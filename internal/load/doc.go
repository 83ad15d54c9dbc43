// Package load puts a Replicache backend under load and judges what it did. Run has
// simulated clients speak version 1 of the protocol over HTTP as the real client
// does: one push and one pull at a time for each client, the whole pending queue in
// every push, a pull whenever a poke arrives, a back-off that doubles from 30 ms.
// What a client does with an answer is package replica's; this one adds HTTP, time
// and counting.
//
// A run has three parts. Clients start one after another during Config.Ramp; the
// figures are of the Config.Duration that follows; then nothing new is offered and
// the run settles, for at most Config.Settle: clients push until nothing is pending
// and pull until the server says that nothing is new. At last everything is
// compared: the view of each client with a fresh one's, the last mutation ids with
// what each client issued, and the entries that confirmed mutations should have
// left. The Verdict says what did not fit.
//
// A mutation counts as acknowledged when a push that carried it was answered with
// status 200 and no error, and as confirmed only when an answer to one of its own
// client's pulls was applied that had its id or a later one. There is no other way
// to be counted as confirmed. Latencies of a mutation begin when it was due: at an
// offered rate that is the schedule's time, whatever kept the client from keeping
// it, so that a server which stalls cannot hide that behind a generator which waits.
package load
