package protocol

import (
	"errors"
	"io"
	"unicode/utf8"
)

const (
	// firstPiece is how much room is made for a text before any of it is there, and
	// usualPiece what it grows to, unless one value needs more.
	firstPiece, usualPiece = 32 << 10, 256 << 10
	// shortValue is room for every value that is not the arguments of a mutation: an id
	// of MaxIDBytes, all of it escaped, for one.
	shortValue = 8 << 10
)

// input is where a scanner's text comes from that is not in memory as a whole. It fills
// buffers. Nothing in a buffer of which somebody has a slice is ever changed.
type input struct {
	source io.Reader // nil after its end
	err    error     // of the source, or of grow
	// grow is asked before a buffer of so many bytes replaces the one there is.
	grow func(size int) error
	next int // how large the first buffer is
	// buf begins with the scanner's data. Behind that is a character of which the rest has
	// not arrived, if there is one.
	buf []byte
	// sliced: somebody has a slice of buf.
	sliced bool
	// start is where a value begins, in the whole text, that is to be kept if it has no
	// more than room bytes; -1 if there is none.
	start, room int
}

// room says how long a value may be to be kept.
func (s *scanner) room(n int) {
	if s.in != nil {
		s.in.room = n
	}
}

// hold keeps the text from here on, until held returns it.
func (s *scanner) hold() (start int) {
	start = s.base + s.pos
	if s.in != nil {
		s.in.start = start
	}
	return start
}

// held is the text from start to here, nil if it was too long to be kept.
func (s *scanner) held(start int) []byte {
	if s.in != nil {
		kept := s.in.start >= 0 && s.base+s.pos-start <= s.in.room
		s.in.start = -1
		if !kept {
			return nil
		}
		s.in.sliced = true
	}
	return s.data[start-s.base : s.pos : s.pos]
}

// ahead is what comes next, n bytes of it at least if there are as many.
func (s *scanner) ahead(n int) []byte {
	for len(s.data)-s.pos < n && s.fill() {
		continue
	}
	return s.data[s.pos:]
}

// fill reads more of the text, a character at least, and reports whether there was more.
func (s *scanner) fill() bool {
	for s.in != nil && s.in.source != nil && s.err == nil {
		if err := s.makeRoom(); err != nil {
			s.stop(err)
			break
		}
		in, before := s.in, len(s.data)
		n, err := in.source.Read(in.buf[len(in.buf):cap(in.buf)])
		in.buf = in.buf[:len(in.buf)+n]
		s.extend()
		switch {
		case errors.Is(err, io.EOF):
			in.source = nil
			if len(s.data) < len(in.buf) {
				s.fail("is not valid UTF-8")
			}
		case err != nil:
			s.stop(err)
		}
		if len(s.data) > before && s.err == nil {
			return true
		}
	}
	return false
}

// stop ends the reading with an error that says nothing of the text.
func (s *scanner) stop(err error) {
	s.in.err = err
	s.fail("could not be read")
}

// extend takes what has arrived into the data, as far as its characters are complete. That
// they are UTF-8 is checked here, so that what reads the data need not.
func (s *scanner) extend() {
	fresh := s.in.buf[len(s.data):]
	fresh = fresh[:len(fresh)-unfinished(fresh)]
	if !utf8.Valid(fresh) {
		s.fail("is not valid UTF-8")
	}
	s.data = s.in.buf[:len(s.data)+len(fresh)]
}

// unfinished is how many bytes at the end of b may be the beginning of a character.
func unfinished(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		last := b[len(b)-n:]
		if utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// makeRoom makes room for more text. What is in front of the scanner, or of the value to be
// kept, is dropped if there is no room otherwise.
func (s *scanner) makeRoom() error {
	in := s.in
	if len(in.buf) < cap(in.buf) {
		return nil
	}
	from := s.pos
	if s.base+s.pos-in.start > in.room {
		in.start = -1
	}
	if in.start >= 0 {
		from = in.start - s.base
	}
	rest, room := in.buf[from:], in.buf[:0]
	if in.sliced || len(rest) >= cap(room)/2 {
		size := max(min(in.next, usualPiece), min(2*len(rest), in.room+usualPiece))
		if err := in.grow(size); err != nil {
			return err
		}
		room, in.next, in.sliced = make([]byte, 0, size), 2*size, false
	}
	in.buf = room[:copy(room[:cap(room)], rest)]
	s.data = in.buf[:len(s.data)-from]
	s.base, s.pos = s.base+from, s.pos-from
	return nil
}
