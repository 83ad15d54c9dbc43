package protocol

import (
	"fmt"
	"iter"
	"unicode/utf8"
)

// maxNesting bounds how deeply anything that is read may be nested, counted from
// the outermost value. It is a limit of encoding/json too. A Replicache client
// cannot reach it: at about 4,000 JSON.stringify runs out of stack (Node 20).
const maxNesting = 10_000

// scanner reads JSON text once, from its beginning to its end, without recursion
// and without copying. The first error stops it: from then on every method does
// nothing, so that callers need to look at err only once, at the end.
type scanner struct {
	// data is all of the text, or, where there is an input, the part of it that is in
	// memory; base is how much of the text stood before that.
	data []byte
	base int
	pos  int // in data
	in   *input
	err  *DecodeError
	// outer counts the containers that members and elements are inside of.
	outer int
	// objects and deepObjects have a bit for each open container of the value being
	// read, set for an object, clear for an array: the outermost 64, and, 64 in a word,
	// the others, which there seldom are.
	objects     uint64
	deepObjects []uint64
}

func newScanner(data []byte) *scanner {
	s := new(scanner)
	s.start(data)
	return s
}

// start checks that data is UTF-8 at once: it is faster than character by character,
// and what is not ASCII needs no look afterwards.
func (s *scanner) start(data []byte) {
	s.data = data
	if !utf8.Valid(data) {
		s.fail("is not valid UTF-8")
	}
}

// fail keeps the first error.
func (s *scanner) fail(reason string) {
	if s.err == nil {
		s.err = &DecodeError{Reason: reason}
	}
}

// unexpected fails at the current position, where want should be.
func (s *scanner) unexpected(want string) bool {
	switch {
	case s.err != nil:
	case s.pos >= len(s.data):
		s.fail("is not valid JSON: it ends where " + want + " should be")
	default:
		s.fail(fmt.Sprintf("is not valid JSON: byte %d should be %s", s.base+s.pos, want))
	}
	return false
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) && s.data[s.pos] > ' ' { // as nearly always
		return s.data[s.pos]
	}
	return s.skipSpace()
}

func (s *scanner) skipSpace() byte {
	for ; s.pos < len(s.data) || s.fill(); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips white space and consumes c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// end demands that nothing follows.
func (s *scanner) end() {
	if s.err == nil && (s.peek() != 0 || s.pos < len(s.data)) {
		s.fail(fmt.Sprintf("has something after its end, at byte %d", s.base+s.pos))
	}
}

// value reads the next value, whatever it is.
func (s *scanner) value() token {
	var v token
	s.peek()
	start := s.hold()
	if s.read(&v) {
		v.raw = s.held(start)
		v.long = v.raw == nil
	}
	return v
}

// skip reads the next value and does not keep its text.
func (s *scanner) skip() {
	var v token
	s.read(&v)
}

// read reads the next value but for its text.
func (s *scanner) read(v *token) bool {
	if s.err != nil {
		return false
	}
	c := s.peek()
	var ok bool
	if c == '{' || c == '[' {
		ok = s.container(v)
	} else {
		ok = s.scalar(v)
	}
	if !ok {
		*v = token{}
		return false
	}
	v.kind = kindOf(c)
	return true
}

// kindOf tells the kind of a well-formed value by its first byte.
func kindOf(c byte) kind {
	switch c {
	case '{':
		return kindObject
	case '[':
		return kindArray
	case '"':
		return kindString
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	}
	return kindNumber
}

// container reads an array or object. It alternates between going in, as far as
// the first scalar or empty container, and coming out, as far as the next element.
func (s *scanner) container(v *token) bool {
	open := 0
	for {
		var ok bool
		if open, ok = s.descend(v, open); !ok {
			return false
		}
		if open, ok = s.ascend(v, open); !ok || open == 0 {
			return ok
		}
	}
}

// descend reads from where a value begins up to the end of its first scalar, or up
// to the closing of its first empty container; it returns how many are open.
func (s *scanner) descend(v *token, open int) (int, bool) {
	for {
		c := s.peek()
		if c != '{' && c != '[' {
			return open, s.scalar(v)
		}
		if s.outer+open >= maxNesting {
			s.fail(fmt.Sprintf("is nested deeper than %d", maxNesting))
			return open, false
		}
		s.pos++
		s.push(open, c == '{')
		open++
		v.depth = max(v.depth, open)
		if next := s.peek(); next == '}' || next == ']' {
			return open, true
		}
		if c == '{' && !s.name(v) {
			return open, false
		}
	}
}

// ascend closes containers up to the next comma and returns how many are open: none
// when the outermost was closed.
func (s *scanner) ascend(v *token, open int) (int, bool) {
	for open > 0 {
		inObject := s.inObject(open)
		switch c := s.peek(); {
		case c == ',':
			s.pos++
			return open, !inObject || s.name(v)
		case c == '}' && inObject, c == ']' && !inObject:
			s.pos++
			open--
		default:
			return open, s.unexpected(`"," or the end of the array or object`)
		}
	}
	return 0, true
}

// push notes the kind of the container opened inside of open others.
func (s *scanner) push(open int, object bool) {
	if open/64 > len(s.deepObjects) {
		s.deepObjects = append(s.deepObjects, 0)
	}
	word, bit := s.bitOf(open)
	if object {
		*word |= bit
	} else {
		*word &^= bit
	}
}

// bitOf finds the bit of the container opened inside of open others.
func (s *scanner) bitOf(open int) (word *uint64, bit uint64) {
	bit = 1 << (open % 64)
	if open < 64 {
		return &s.objects, bit
	}
	return &s.deepObjects[open/64-1], bit
}

// inObject reports whether the innermost of open containers is an object.
func (s *scanner) inObject(open int) bool {
	word, bit := s.bitOf(open - 1)
	return *word&bit != 0
}

// name reads a member's name and the colon after it; v learns of lone surrogates.
func (s *scanner) name(v *token) bool {
	return s.startName() && s.quoted(v) && s.colon()
}

func (s *scanner) startName() bool { return s.peek() == '"' || s.unexpected("a name in quotes") }

func (s *scanner) colon() bool { return s.take(':') || s.unexpected(`":"`) }

// keptName is name, but keeps the name's text.
func (s *scanner) keptName() (name token, ok bool) {
	if !s.startName() {
		return name, false
	}
	start := s.hold()
	if !s.quoted(&name) {
		return name, false
	}
	name.raw = s.held(start)
	return name, s.colon()
}

// members reads an object, and fails if there is none. It yields the members' names,
// which are for the loop's body only; the body must read the value of each.
func (s *scanner) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for range s.inside('{', '}') {
			name, ok := s.keptName()
			if !ok || !yield(name.content()) {
				return
			}
		}
	}
}

// elements reads an array, which must be known to be one, and yields its elements'
// indexes; the loop's body must read the value of each.
func (s *scanner) elements() iter.Seq[int] {
	return s.inside('[', ']')
}

// inside reads a container and yields where each of its parts begins.
func (s *scanner) inside(opener, closer byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		if s.err != nil {
			return
		}
		if !s.take(opener) {
			s.fail("must be a JSON object")
			return
		}
		s.outer++
		for i := 0; s.more(closer, i); i++ {
			if !yield(i) {
				break
			}
		}
		s.outer--
	}
}

// more reports whether a container has a part of index i, and goes to it.
func (s *scanner) more(closer byte, i int) bool {
	switch {
	case s.err != nil:
		return false
	case s.take(closer):
		return false
	case i == 0 || s.take(','):
		return true
	}
	return s.unexpected(`"," or the end of the array or object`)
}
