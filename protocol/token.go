package protocol

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
)

// kind is the type of a JSON value.
type kind uint8

const (
	kindMissing kind = iota // the zero token: there is no value
	kindNull
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// token is a JSON value that was found to be well-formed.
type token struct {
	kind kind
	// escaped: a string with escapes in it.
	escaped bool
	// lone: half of a surrogate pair is in the value, in a string or a name. Such a
	// string has no UTF-8 form.
	lone bool
	// repeated: a member that its object has had before, with any value.
	repeated bool
	// long: the value is longer than what is kept of one. It has no raw.
	long bool
	// depth counts the arrays and objects around the innermost part: 0 for a
	// scalar, 1 for [] or [0].
	depth int
	// raw is the value's text, a slice of what was scanned.
	raw []byte
}

// set puts a member's value in its place, t, which is nil for a member that nobody
// asks for.
func (t *token) set(v token) {
	if t == nil {
		return
	}
	v.repeated = t.kind != kindMissing
	*t = v
}

// content returns the text of a string token, without its quotes and escapes; a
// lone surrogate becomes U+FFFD. It may be a slice of what was scanned. It is nothing if
// the text was not kept.
func (t token) content() []byte {
	if t.raw == nil {
		return nil
	}
	if !t.escaped {
		return t.raw[1 : len(t.raw)-1]
	}
	return []byte(string(utf16.Decode(t.units())))
}

// units returns the text of a string token as JavaScript has it: in UTF-16, lone
// surrogates and all.
func (t token) units() []uint16 {
	text := t.raw[1 : len(t.raw)-1]
	units := make([]uint16, 0, len(text))
	for len(text) > 0 {
		plain := 0
		for plain < len(text) && text[plain] != '\\' {
			plain++
		}
		for _, r := range string(text[:plain]) {
			units = utf16.AppendRune(units, r)
		}
		text = text[plain:]
		if len(text) > 0 {
			var unit uint16
			unit, text = unescape(text)
			units = append(units, unit)
		}
	}
	return units
}

// unescape returns the meaning of the escape that text begins with, which is known
// to be well-formed, and the text after it.
func unescape(text []byte) (uint16, []byte) {
	c, rest := text[1], text[2:]
	switch c {
	case 'u':
		unit, _ := hex4(rest)
		return unit, rest[4:]
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	}
	return uint16(c), rest
}

// string returns the text of a string token like content.
func (t token) string() string { return string(t.content()) }

// float returns the value of a number token as JavaScript reads it: the nearest
// double, an infinity if there is none near.
func (t token) float() float64 {
	f, _ := strconv.ParseFloat(string(t.raw), 64) // the only error is of range
	return f
}

// integer returns the value of a number token, and whether it is an integer at all,
// however it is written: 1e3 is 1000. It is exact where a double would round. An
// integer of more than 16 digits may come out as the largest or smallest int64.
func (t token) integer() (int64, bool) {
	if n, err := strconv.ParseInt(string(t.raw), 10, 64); err == nil {
		return n, true
	}
	digits, exponent := t.decimal()
	switch {
	case len(digits) == 0:
		return 0, true
	case exponent < 0:
		return 0, false
	}
	n := int64(math.MaxInt64)
	if len(digits)+exponent <= 16 {
		digits = append(digits, bytes.Repeat([]byte("0"), exponent)...)
		n, _ = strconv.ParseInt(string(digits), 10, 64)
	}
	if t.raw[0] == '-' {
		return -n, true
	}
	return n, true
}

// maxExponent bounds exponents, so that sums of them do not overflow. It is larger
// than any number of digits can make up for.
const maxExponent = 1 << 40

// decimal returns a number token's absolute value as digits × 10^exponent, where
// the digits neither begin nor end with 0; none of them is zero.
func (t token) decimal() ([]byte, int) {
	mantissa, exponent := t.raw, 0
	if i := bytes.IndexAny(mantissa, "eE"); i >= 0 {
		exponent, _ = strconv.Atoi(string(mantissa[i+1:])) // or the nearest int
		exponent = min(max(exponent, -maxExponent), maxExponent)
		mantissa = mantissa[:i]
	}
	whole, fraction, _ := bytes.Cut(bytes.TrimPrefix(mantissa, []byte("-")), []byte("."))
	digits := bytes.TrimLeft(slices.Concat(whole, fraction), "0")
	significant := bytes.TrimRight(digits, "0")
	return significant, exponent - len(fraction) + len(digits) - len(significant)
}
