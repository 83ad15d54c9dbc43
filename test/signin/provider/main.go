// Command provider is an OpenID Connect provider for the tests of signing in. It
// prints its address, which is the issuer's, and serves until a signal. With the
// flag -lifetime its ID tokens end that long after they were made.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/replifire/replifire/internal/oidcprovider"
	"github.com/replifire/replifire/internal/signals"
)

func main() {
	lifetime := flag.Duration("lifetime", time.Hour, "`time` after which an ID token ends; less than 0 is possible")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the library's examples log each request
	if err := run(signals.Context(), *lifetime, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

// run serves on a free port until ctx ends.
func run(ctx context.Context, lifetime time.Duration, stdout io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + listener.Addr().String()
	provider, err := oidcprovider.New(issuer, lifetime)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: provider, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintln(stdout, issuer)
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	err = server.Close()
	<-served //nolint:errcheck // http.ErrServerClosed: that was us
	return err
}
