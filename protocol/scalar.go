package protocol

import "unicode/utf16"

// scalar reads a string, a number or a literal.
func (s *scanner) scalar(v *token) bool {
	switch c := s.peek(); {
	case c == '"':
		return s.quoted(v)
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.unexpected("a value")
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// literal reads word.
func (s *scanner) literal(word string) bool {
	for i := range len(word) {
		if s.at() != word[i] {
			return s.unexpected("the rest of " + word)
		}
		s.pos++
	}
	return true
}

// at returns the next byte, white space included, 0 at the end.
func (s *scanner) at() byte {
	if s.pos < len(s.data) || s.fill() {
		return s.data[s.pos]
	}
	return 0
}

// number reads a number as RFC 8259 §6 writes it: no plus sign, no leading zeros.
func (s *scanner) number() bool {
	if s.at() == '-' {
		s.pos++
	}
	if s.at() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.at() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if c := s.at(); c != 'e' && c != 'E' {
		return true
	}
	s.pos++
	if c := s.at(); c == '+' || c == '-' {
		s.pos++
	}
	return s.digits()
}

// digits reads one digit or more.
func (s *scanner) digits() bool {
	if !isDigit(s.at()) {
		return s.unexpected("a digit")
	}
	for isDigit(s.at()) {
		s.pos++
	}
	return true
}

// quoted reads a string. That it is UTF-8 is known already.
func (s *scanner) quoted(v *token) bool {
	s.pos++
	for {
		s.plain()
		switch c := s.at(); {
		case c == '"':
			s.pos++
			return true
		case c == '\\':
			if !s.escape(v) {
				return false
			}
		case s.pos >= len(s.data):
			return s.unexpected("the end of a string")
		case c < ' ':
			return s.unexpected("escaped: it is a control character in a string")
		}
	}
}

// plain reads what stands for itself in a string, as far as it is in memory.
func (s *scanner) plain() {
	pos := s.pos
	for pos < len(s.data) && s.data[pos] >= ' ' && s.data[pos] != '"' && s.data[pos] != '\\' {
		pos++
	}
	s.pos = pos
}

// escape reads a backslash and what belongs to it: both halves, of a surrogate
// pair.
func (s *scanner) escape(v *token) bool {
	v.escaped = true
	s.pos++
	switch s.at() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
	default:
		return s.unexpected("an escape")
	}
	unit, ok := hex4(s.ahead(5)[1:])
	if !ok {
		return s.unexpected("u and four hexadecimal digits")
	}
	s.pos += 5
	switch {
	case !utf16.IsSurrogate(rune(unit)):
	case isPair(unit, s.ahead(6)):
		s.pos += 6
	default:
		v.lone = true
	}
	return true
}

// isPair reports whether unit and the escape that rest begins with are the two
// halves of one character.
func isPair(unit uint16, rest []byte) bool {
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return false
	}
	low, ok := hex4(rest[2:])
	return ok && utf16.DecodeRune(rune(unit), rune(low)) != '\uFFFD'
}

// hex4 reads the four hexadecimal digits that b begins with.
func hex4(b []byte) (uint16, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var n uint16
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint16(c)
	}
	return n, true
}
