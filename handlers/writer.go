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
	waited time.Duration // for the client to accept them
	end    time.Time     // when the answer has to be written, zero: at no time
	cut    bool
}

// writePiece is how much is written at once, so that its time is long enough for a slow client
// and short for one that accepts nothing.
const writePiece = 16 << 10

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

// Write writes a part of the body, in pieces that the client has some time to accept each.
func (w *writer) Write(p []byte) (n int, err error) {
	if w.cut {
		return 0, http.ErrAbortHandler
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	for {
		piece := p[n:min(len(p), n+writePiece)]
		written := 0
		err := w.await(len(piece), func() (err error) {
			written, err = w.ResponseWriter.Write(piece)
			return err
		})
		n += written
		w.bytes += int64(written)
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// FlushError sends what was written. It is what http.ResponseController calls.
func (w *writer) FlushError() error {
	if w.cut {
		return http.ErrAbortHandler
	}
	err := w.await(0, http.NewResponseController(w.ResponseWriter).Flush)
	if w.status == 0 && !errors.Is(err, errors.ErrUnsupported) {
		w.status = http.StatusOK
	}
	return err
}

// await has n bytes accepted by the client, within the time that it has. That replaces the
// server's WriteTimeout, which would be for the whole answer: too short for a stream, too long
// for a client that does not read. Where deadlines are not supported there are none.
func (w *writer) await(n int, write func() error) error {
	began := time.Now()
	defer func() { w.waited += time.Since(began) }()
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(began.Add(w.patience(n)))
	return write()
}

// patience is how long the client has for n bytes. What counts is how long the answer has
// waited for its client, not how long it has taken to be made.
func (w *writer) patience(n int) time.Duration {
	share := time.Duration(w.bytes+int64(n)) * time.Second / LeastRate
	left := min(WriteTimeout, WaitTimeout+share-w.waited)
	if w.end.IsZero() {
		return left
	}
	return min(left, time.Until(w.end))
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
