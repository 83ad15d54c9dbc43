package protocol

import "bytes"

// looksCanonical reports whether a value that CheckValue accepts is surely its own
// canonical text. Of some that are it does not know: those with an exponent in a number
// or an escape in a name, which are rare. It allocates nothing.
func looksCanonical(raw []byte) bool {
	look := canonicalLook{data: raw}
	return look.value() && look.pos == len(raw)
}

// canonicalLook reads a value that CheckValue accepts up to the first thing that is not
// canonical, or may not be. Each method reads one thing and returns false for that.
type canonicalLook struct {
	data []byte
	pos  int
}

func (l *canonicalLook) value() bool {
	switch b := l.data[l.pos]; {
	case b == '{':
		return l.object()
	case b == '[':
		return l.array()
	case b == '"':
		return l.string()
	case b == '-' || isDigit(b):
		return l.number()
	case b == 'f':
		l.pos += len("false")
		return true
	case b == 't' || b == 'n':
		l.pos += len("true")
		return true
	}
	return false // white space
}

func (l *canonicalLook) array() bool {
	for l.pos++; !l.take(']'); l.take(',') {
		if !l.value() {
			return false
		}
	}
	return true
}

func (l *canonicalLook) object() bool {
	var last []byte
	for l.pos++; !l.take('}'); l.take(',') {
		name, ok := l.name()
		if !ok || last != nil && bytes.Compare(last, name) >= 0 {
			return false
		}
		if last = name; !l.value() {
			return false
		}
	}
	return true
}

// name reads the name of a member and the colon.
func (l *canonicalLook) name() ([]byte, bool) {
	start := l.pos
	if l.data[start] != '"' || !l.string() || !l.take(':') {
		return nil, false
	}
	name := l.data[start+1 : l.pos-2]
	return name, bytes.IndexByte(name, '\\') < 0
}

// take reads c if it comes next.
func (l *canonicalLook) take(c byte) bool {
	if l.data[l.pos] != c {
		return false
	}
	l.pos++
	return true
}

func (l *canonicalLook) number() bool {
	start := l.pos
	for l.pos < len(l.data) && inNumber(l.data[l.pos]) {
		l.pos++
	}
	return isPlainNumber(l.data[start:l.pos])
}

func inNumber(b byte) bool {
	return isDigit(b) || b == '.' || b == '-' || b == '+' || b == 'e' || b == 'E'
}

func (l *canonicalLook) string() bool {
	for l.pos++; !l.take('"'); {
		if !l.take('\\') {
			l.pos++
		} else if !l.escape() {
			return false
		}
	}
	return true
}

// escape reads what is behind a backslash, if a string needs it.
func (l *canonicalLook) escape() bool {
	switch l.data[l.pos] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		l.pos++
		return true
	case 'u':
	default: // a slash
		return false
	}
	digits := l.data[l.pos+1 : l.pos+5]
	unit, _ := hex4(digits)
	if l.pos += 5; unit >= ' ' {
		return false
	}
	var text [6]byte
	return bytes.HasSuffix(appendEscaped(text[:0], byte(unit&0x1f)), digits)
}
