package server

import (
	"net/http"

	"github.com/replifire/replifire/gc"
)

// HTTPServer is what Run serves with.
func (s *Server) HTTPServer() *http.Server { return s.httpServer() }

// Collector is what POST /api/gc runs.
func (s *Server) Collector() *gc.Collector { return s.collector }
