package handlers

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

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
	ctx, cancel := context.WithTimeout(x.r.Context(), AnswerLife)
	defer cancel()
	x.w.end = time.Now().Add(AnswerLife)
	place := place{x: x}
	defer place.release()
	x.caller.BeforeReading = place.take
	resp, err := x.h.config.Engine.Pull(ctx, x.caller, req)
	if err != nil {
		return x.answerable(err)
	}
	if place.held() { // it may take long, and the body, which the cookie is of, is not needed
		req.Cookie.Raw = nil
		x.body.release()
	}
	out := newStream(x, resp)
	defer out.release()
	err = resp.Encode(out)
	if out.patchTooLarge() && !resp.Ahead { // else it is everything, and will be little for that cookie
		x.h.sizes.note(from)
	}
	switch {
	case err != nil && ctx.Err() != nil && x.r.Context().Err() == nil:
		return errTooSlow
	case err != nil:
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
	zips *compressors // nil: the client does not take it
	resp *protocol.PullResponse
	held []byte
	size int64 // of what was to be written, before it is compressed
	most int64 // 0: no limit
	// Of an answer that has begun:
	zip *gzip.Writer // nil if it is not compressed
	out io.Writer    // nil before
}

func newStream(x *exchange, resp *protocol.PullResponse) *stream {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Add("Vary", "Accept-Encoding")
	s := &stream{w: x.w, resp: resp, most: x.h.config.MaxResponseBytes}
	if acceptsGzip(x.r.Header) {
		s.zips = x.h.zips
	}
	return s
}

// Write takes a piece of the body.
func (s *stream) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.patchTooLarge() {
		return 0, answerTooLarge(s.most)
	}
	if s.clientsTooLarge() {
		return 0, clientsTooLarge(s.most)
	}
	if s.out == nil {
		if len(s.held)+len(p) <= heldBack {
			s.held = append(s.held, p...)
			return len(p), nil
		}
		s.compress()
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

// patchTooLarge: what is before the patch does not count, it is not for everybody.
func (s *stream) patchTooLarge() bool {
	return s.most > 0 && s.resp.BeforePatch > 0 && s.size-s.resp.BeforePatch > s.most
}

func (s *stream) clientsTooLarge() bool {
	return s.most > 0 && s.resp.BeforePatch == 0 && s.size > s.most
}

// compress has the answer compressed, if the client takes that and a compressor is free.
func (s *stream) compress() {
	if s.zips != nil {
		s.zip = s.zips.take(s.w)
	}
}

// begin is the point of no return: from here on an error can only cut the answer
// off.
func (s *stream) begin() error {
	s.out = s.w
	if s.zip != nil {
		s.w.Header().Set("Content-Encoding", "gzip")
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
		if len(s.held) >= minGzip {
			s.compress()
		}
		if s.zip == nil {
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
	s.zips.give(s.zip)
	s.zip = nil
}
