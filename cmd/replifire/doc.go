// Command replifire is the sync service and its tools: serve runs the service as
// Cloud Run starts it, dev runs it on a laptop with everything it needs, and fsck,
// reset, export, import and their like are for operators.
//
// Each command is a type of its own in a file named after it; main.go parses,
// hands over and turns an error into an exit code: 0 is success, 1 a failure (or
// problems found by fsck), 2 a mistake in the flags, the arguments or the
// environment that can be seen in them alone. The flags of serve, with their
// environment variables, are those of package server.
package main
