package handlers

import (
	"errors"
	"net/http"
	"time"
)

// writer is an http.ResponseWriter that knows what was written, and can cut
// the answer off. What it wraps is reached by http.ResponseController.
type writer struct {
	http.ResponseWriter
	http1  bool
	status int // 0 before the header is written
	bytes  int64
	cut    bool
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader writes the header, once.
func (w *writer) WriteHeader(status int) {
	if w.cut {
		return
	}
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a piece of the body, which the client has WriteTimeout to accept.
func (w *writer) Write(p []byte) (int, error) {
	if w.cut {
		return 0, http.ErrAbortHandler
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// FlushError sends what was written. It is what http.ResponseController calls.
func (w *writer) FlushError() error {
	if w.cut {
		return http.ErrAbortHandler
	}
	w.extend()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if w.status == 0 && !errors.Is(err, errors.ErrUnsupported) {
		w.status = http.StatusOK
	}
	return err
}

// extend gives the next write its time. It also replaces the server's
// WriteTimeout, which would be for the whole answer: too short for a stream, too
// long for a client that does not read. Where deadlines are not supported there
// are none.
func (w *writer) extend() {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(WriteTimeout))
}

func (w *writer) begun() bool { return w.status != 0 }

// abort makes sure that what was written cannot be taken for a whole answer.
//
// The way net/http has for this is a panic with ErrAbortHandler. But the Functions
// Framework recovers every panic, writes a text of its own to the body and ends
// the answer as if all was well (firestore.md §7). So the connection is taken
// from the server and closed, which nothing around us can undo. HTTP/2 does not
// allow that; there the panic resets the stream.
func (w *writer) abort() {
	w.cut = true
	if !w.http1 {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close() // the point is that it is gone
}
