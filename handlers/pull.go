package handlers

import (
	"io"
	"net/http"
	"strconv"

	"github.com/klauspost/compress/gzip"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/protocol"
)

// pull answers with what has changed for a client group.
func (x *exchange) pull() error {
	body, err := x.admitted(auth.Read)
	if err != nil {
		return err
	}
	req, err := protocol.DecodePullRequest(body)
	if err != nil {
		return x.answerable(err)
	}
	if err := x.stillAllowed(x.r.Context(), auth.Read); err != nil {
		return err
	}
	from := pulled{x.caller.Space, req.Cookie.Epoch, req.Cookie.Version}
	if x.h.sizes.tooLarge(from) {
		return answerTooLarge(x.h.config.MaxResponseBytes)
	}
	resp, err := x.h.config.Engine.Pull(x.r.Context(), x.caller, req)
	if err != nil {
		return x.answerable(err)
	}
	out := newStream(x)
	defer out.release()
	err = resp.Encode(out)
	if out.tooLarge() && !resp.Ahead { // else it is everything, and will be little for that cookie
		x.h.sizes.note(from)
	}
	if err != nil {
		return err
	}
	return out.finish()
}

const (
	// heldBack is how much of an answer is kept until it is begun. An error that
	// comes before becomes an answer of its own.
	heldBack = 32 << 10
	// minGzip is less than what fits into one packet anyway.
	minGzip = 1 << 10
)

// stream is the body of an answer of any length. It is written on as it comes, and
// compressed if the client takes that.
type stream struct {
	w    *writer
	gzip bool // the client takes it
	held []byte
	size int64 // of what was to be written, before it is compressed
	most int64 // 0: no limit
	// Of an answer that has begun:
	zip *gzip.Writer // nil if it is not compressed
	out io.Writer    // nil before
}

func newStream(x *exchange) *stream {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Add("Vary", "Accept-Encoding")
	return &stream{w: x.w, gzip: acceptsGzip(x.r.Header), most: x.h.config.MaxResponseBytes}
}

// Write takes a piece of the body.
func (s *stream) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.tooLarge() {
		return 0, answerTooLarge(s.most)
	}
	if s.out == nil {
		if len(s.held)+len(p) <= heldBack {
			s.held = append(s.held, p...)
			return len(p), nil
		}
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	n, err := s.out.Write(p)
	if err != nil {
		return n, clientError(err)
	}
	return n, nil
}

func (s *stream) tooLarge() bool { return s.most > 0 && s.size > s.most }

// begin is the point of no return: from here on an error can only cut the answer
// off.
func (s *stream) begin() error {
	s.out = s.w
	if s.gzip {
		s.w.Header().Set("Content-Encoding", "gzip")
		s.zip = zips.Get().(*gzip.Writer) //nolint:forcetypeassert // zips holds nothing else
		s.zip.Reset(s.w)
		s.out = s.zip
	}
	s.w.WriteHeader(http.StatusOK)
	if _, err := s.out.Write(s.held); err != nil {
		return clientError(err)
	}
	s.held = nil
	return nil
}

// finish ends the answer well. Without it, a compressed answer has no end.
func (s *stream) finish() error {
	if s.out == nil {
		s.gzip = s.gzip && len(s.held) >= minGzip
		if !s.gzip {
			s.w.Header().Set("Content-Length", strconv.Itoa(len(s.held)))
		}
		if err := s.begin(); err != nil {
			return err
		}
	}
	if s.zip == nil {
		return nil
	}
	if err := s.zip.Close(); err != nil {
		return clientError(err)
	}
	return nil
}

// release gives back what was borrowed.
func (s *stream) release() {
	if s.zip == nil {
		return
	}
	s.zip.Reset(io.Discard)
	zips.Put(s.zip)
	s.zip = nil
}
