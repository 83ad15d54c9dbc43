package server

import "net/http"

// HTTPServer is what Run serves with.
func (s *Server) HTTPServer() *http.Server { return s.httpServer() }
