package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/replifire/replifire/handlers"
)

// Run serves on Settings.Address until ctx ends, then shuts down within
// Settings.DrainTimeout: no new connections, streams ended, requests under way
// answered, queues drained. It returns nil if that went well. The Server is
// closed afterwards in any case.
func (s *Server) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.settings.Address())
	if err != nil {
		return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s.serve(ctx, listener)
}

// serve is Run on a listener, which it closes.
func (s *Server) serve(ctx context.Context, listener net.Listener) (err error) {
	idle := &unused{conns: map[net.Conn]bool{}}
	srv := s.httpServer()
	srv.ConnState = idle.track
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	s.log.InfoContext(ctx, "listening", "address", listener.Addr().String())
	s.onReady(listener.Addr())
	select {
	case err = <-served: // never nil, and not by our doing
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		s.log.InfoContext(ctx, "shutting down", "reason", context.Cause(ctx))
	}
	return errors.Join(err, s.shutdown(context.WithoutCancel(ctx), srv, idle))
}

// httpServer has HTTP/1.1 and, for a platform that forwards streams that way,
// HTTP/2 without TLS: Cloud Run ends the TLS. There is no write timeout, since a poke
// stream writes for as long as it lives; the handlers set a deadline for each write, and
// for each read of a body. The read timeout is for bodies that nobody reads.
func (s *Server) httpServer() *http.Server {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.settings.HeaderTimeout,
		ReadTimeout:       handlers.BodyGrace,
		IdleTimeout:       s.settings.IdleTimeout,
		MaxHeaderBytes:    s.settings.MaxHeaderBytes,
		Protocols:         new(http.Protocols),
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	srv.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          mostStreams,
		MaxReceiveBufferPerStream:     streamBuffer,
		MaxReceiveBufferPerConnection: connectionBuffer,
	}
	srv.RegisterOnShutdown(s.endLong)
	return srv
}

// A platform that speaks HTTP/2 with us sends the requests of many over one connection. What
// one of them has sent and we have not read yet, since others are served first, takes of what
// all together may send: so each gets little of that (the least that every client takes for
// granted), and there is as much of it as net/http allows.
const streamBuffer, connectionBuffer = 64 << 10, 4<<20 - 1

// mostStreams is as many requests as Cloud Run sends to an instance at once, should it use
// one connection for all.
const mostStreams = 1000

// acceptGrace is how long a server that is told to stop still takes new connections. One that
// a client has made and the server has not accepted yet would be reset when it stops to listen.
const acceptGrace = 200 * time.Millisecond

// shutdown lets the requests under way finish before the engine is closed: a
// push that has reached us is answered. A quarter of the time is kept for
// answering those that were not done in time and are given up; an eighth is how long a
// connection that is open already may take to begin its first request, and a body that
// has begun to arrive.
func (s *Server) shutdown(ctx context.Context, srv *http.Server, idle *unused) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.DrainTimeout)
	defer cancel()
	<-time.After(min(acceptGrace, s.settings.DrainTimeout/8))
	patience, done := context.WithTimeout(ctx, s.settings.DrainTimeout*3/4)
	defer done()
	// A connection that is open may have a request on its way, or the rest of one, which a
	// busy machine is late to notice.
	defer time.AfterFunc(s.settings.DrainTimeout/8, func() {
		idle.close()
		s.requests.next.StopReading()
	}).Stop()
	late := srv.Shutdown(patience)
	err := s.Close(patience)
	if late == nil {
		return err
	}
	s.log.WarnContext(ctx, "requests given up", "error", late)
	return errors.Join(late, err, srv.Shutdown(ctx), srv.Close())
}
