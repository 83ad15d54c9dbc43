package server

import (
	"context"
	"io"
	"net/http"

	"github.com/replifire/replifire/web"
)

// about is what a person sees who opens a development server in a browser.
const about = `This is replifire, a sync service for Replicache clients, in development mode.

  POST /api/replicache/push?space=default         what a client has changed
  POST /api/replicache/pull?space=default         what has changed for a client
  GET  /api/replicache/poke?space=default         server-sent events: time to pull
       /api/init?space=default                    empties the space
  GET  /health                                    the process lives
  GET  /ready                                     the store answers

In an application:

  new Replicache({
    pushURL: '/api/replicache/push?space=default',
    pullURL: '/api/replicache/pull?space=default',
    ...
  })
`

// HasPage reports whether the chat page is part of the program.
func HasPage() bool {
	_, built := web.Page()
	return built
}

// page is what is served outside the API in development mode: the chat page, or,
// where it was not built, what a person should know.
func (s *Server) page(ctx context.Context) http.Handler {
	if chat, built := web.Page(); built {
		return chat
	}
	s.log.WarnContext(ctx, "the chat page is missing, since Node was not there to build it: make page builds it")
	return http.HandlerFunc(explain)
}

// explain answers GET /.
func explain(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, about) // who hung up needs no answer
}
