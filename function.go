// Package replifire is the sync service as a function, "Replifire", for Google's
// Functions Framework; as a program it is cmd/replifire. An application of your
// own replaces package chat by a package with its mutators, here and there.
//
// The first request assembles the service from the environment (package server
// lists the variables); importing this package connects to nothing. The framework
// owns the http.Server and accepts requests until it is killed, so on SIGTERM this
// package drains and ends the process: poke streams end, requests under way are
// answered, new ones refused with 503, within 8 seconds of Cloud Run's 10.
package replifire

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/server"
)

func init() { functions.HTTP("Replifire", serve) }

var service = sync.OnceValues(func() (*server.Server, error) {
	settings, err := server.SettingsFromEnv()
	if err != nil {
		return nil, err
	}
	s, err := server.New(context.Background(), settings, chat.Mutators())
	if err != nil {
		return nil, err
	}
	term, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	context.AfterFunc(term, func() {
		stop()
		_ = s.Close(context.Background())    // It has logged what it gave up.
		<-time.After(100 * time.Millisecond) // The framework is still sending answers.
		os.Exit(0)
	})
	return s, nil
})

func serve(w http.ResponseWriter, r *http.Request) {
	s, err := service()
	if err != nil {
		slog.ErrorContext(r.Context(), "service is not set up", "error", err)
		http.Error(w, "service is not set up: see its log", http.StatusInternalServerError)
		return
	}
	s.Handler().ServeHTTP(w, r)
}
