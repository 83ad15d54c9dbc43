package signals

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Context returns a context that ends at the first SIGINT or SIGTERM, with a cause
// that names the signal. A second one ends the process, as if nobody had asked for
// signals: before the context ends, and so before anybody begins to shut down, they
// are given back to the system. It is for the main function, which calls it once.
func Context() context.Context {
	signalled, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(context.Background())
	context.AfterFunc(signalled, func() {
		release()
		cancel(context.Cause(signalled))
	})
	return ctx
}
