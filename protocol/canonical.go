package protocol

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Canonical returns the one text that a value has, whoever writes it and however it is
// stored: no white space, no escape that a string does not need, numbers as JavaScript
// writes them, and the members of an object in the order of their names' UTF-8 bytes. It
// fails as CheckValue does. A text that is canonical already is returned as it is.
//
// For what JSON.stringify makes of a value this is the form of RFC 8785, but for one
// thing: that RFC orders names by their UTF-16 code units. A number with more digits than
// a double needs keeps them all. Of several members with one name the last is kept, which
// is the one that JSON.parse and encoding/json take.
func Canonical(raw json.RawMessage) (json.RawMessage, error) {
	if err := CheckValue(raw); err != nil {
		return nil, err
	}
	if looksCanonical(raw) {
		return raw, nil
	}
	return canonical(raw), nil
}

// IsCanonical reports whether a value that CheckValue accepts is its own canonical text.
func IsCanonical(raw json.RawMessage) bool {
	return looksCanonical(raw) || bytes.Equal(raw, canonical(raw))
}

func canonical(raw []byte) []byte {
	var members [8]member // few values have more
	w := canonicalWriter{in: scanner{data: raw}, out: make([]byte, 0, len(raw)), members: members[:0]}
	w.value()
	return w.out
}

// canonicalWriter writes the canonical text of a value that CheckValue accepts: it meets
// no error, and its methods call each other no deeper than MaxDepth.
type canonicalWriter struct {
	in      scanner
	out     []byte
	members []member // of the objects that are open, the innermost one's last
	moved   []byte   // the members of one object, while they are put in order
}

// member is a member of an object, which is written to out[from:to].
type member struct {
	name     []byte
	from, to int
}

func (w *canonicalWriter) value() {
	b := w.in.peek()
	start := w.in.pos
	switch {
	case b == '{':
		w.object()
	case b == '[':
		w.array()
	case b == '"':
		w.string()
	case b == '-' || isDigit(b):
		w.in.number()
		w.out = appendNumber(w.out, w.in.data[start:w.in.pos])
	default:
		w.in.scalar(nil)
		w.out = append(w.out, w.in.data[start:w.in.pos]...)
	}
}

// string writes a string and returns its content.
func (w *canonicalWriter) string() []byte {
	w.in.peek()
	start := w.in.pos
	var t token
	w.in.quoted(&t)
	t.raw = w.in.data[start:w.in.pos]
	content := t.content()
	if !t.escaped {
		w.out = append(w.out, t.raw...)
		return content
	}
	w.out = appendString(w.out, string(content))
	return content
}

func (w *canonicalWriter) array() {
	w.in.pos++
	w.out = append(w.out, '[')
	for i := 0; w.in.more(']', i); i++ {
		w.comma(i)
		w.value()
	}
	w.out = append(w.out, ']')
}

func (w *canonicalWriter) object() {
	w.in.pos++
	w.out = append(w.out, '{')
	start, outer := len(w.out), len(w.members)
	for i := 0; w.in.more('}', i); i++ {
		w.comma(i)
		m := member{from: len(w.out)}
		m.name = w.string()
		w.in.take(':')
		w.out = append(w.out, ':')
		w.value()
		m.to = len(w.out)
		w.members = append(w.members, m)
	}
	if members := w.members[outer:]; !ascending(members) {
		w.order(start, members)
	}
	w.members = w.members[:outer]
	w.out = append(w.out, '}')
}

func (w *canonicalWriter) comma(i int) {
	if i > 0 {
		w.out = append(w.out, ',')
	}
}

// ascending reports whether the name of each member is behind that of the one before.
func ascending(members []member) bool {
	for i := 1; i < len(members); i++ {
		if bytes.Compare(members[i-1].name, members[i].name) >= 0 {
			return false
		}
	}
	return true
}

// order writes once more, in their order, the members that were written from start on.
func (w *canonicalWriter) order(start int, members []member) {
	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	w.moved = append(w.moved[:0], w.out[start:]...)
	w.out = w.out[:start]
	for i, m := range members {
		if i+1 < len(members) && bytes.Equal(m.name, members[i+1].name) {
			continue
		}
		w.comma(len(w.out) - start)
		w.out = append(w.out, w.moved[m.from-start:m.to-start]...)
	}
}
