// Package handlers is the HTTP side of the service, and nothing else: which paths
// there are, what a request must look like, who is asked before anything is done
// with it, and which status an error becomes. What a push or a pull means is the
// business of package engine, who may do what that of package auth, who listens
// that of package poke.
//
// Every request is one exchange (exchange.go) and is looked at in this order:
// method, content type and size, authentication, space, policy, body. So nobody
// who is not allowed makes the server read a body. All errors become statuses in
// one table (error.go), since Replicache acts on little else: success is 200 and
// nothing else, only 401 asks for a new token, and a redirect of a POST would lose
// it; therefore no path of the API ever answers with a redirect, however it is
// spelled.
//
// An answer that has begun and cannot be finished must not look like a whole one.
// Its connection is cut, in a way that also works where something around us
// swallows panics, as the Functions Framework does (abort in writer.go).
//
// Limits: those of [Limits], how long an answer waits for its client (WriteTimeout,
// WaitTimeout, LeastRate) and may take in all (AnswerLife), the places of large answers
// (places.go), the streams ([poke.Options]). The time to read a header is the http.Server's
// to limit.
package handlers
