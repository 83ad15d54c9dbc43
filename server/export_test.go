package server

import (
	"context"
	"net"
	"net/http"

	"github.com/replifire/replifire/gc"
)

// HTTPServer is what Run serves with.
func (s *Server) HTTPServer() *http.Server { return s.httpServer() }

// Serve is Run on a listener of the test's.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return s.serve(ctx, l) }

// Collector is what POST /api/gc runs.
func (s *Server) Collector() *gc.Collector { return s.collector }
