package protocol

import "strconv"

// Of numbers between these two, JavaScript writes no exponent.
const (
	minPoint = -5 // 0.000001: the point is 5 digits before the first one that counts
	maxPoint = 21 // 100000000000000000000: it is behind the 21st
)

// appendNumber appends a number that is well-formed as JavaScript would write it
// (ECMA-262, Number::toString), but from all of its digits: more than 17 are kept. Of an
// exponent beyond maxExponent nothing more is kept than that.
func appendNumber(dst, raw []byte) []byte {
	if isPlainNumber(raw) {
		return append(dst, raw...)
	}
	digits, exponent := token{raw: raw}.decimal()
	if len(digits) == 0 {
		return append(dst, '0') // also for -0
	}
	if raw[0] == '-' {
		dst = append(dst, '-')
	}
	point := len(digits) + exponent
	switch {
	case point < minPoint || point > maxPoint:
		return appendScientific(dst, digits, point-1)
	case point <= 0:
		dst = appendZeros(append(dst, "0."...), -point)
		return append(dst, digits...)
	case point >= len(digits):
		return appendZeros(append(dst, digits...), exponent)
	}
	dst = append(append(dst, digits[:point]...), '.')
	return append(dst, digits[point:]...)
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

// appendScientific appends a number whose point is behind its first digit.
func appendScientific(dst, digits []byte, exponent int) []byte {
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	dst = append(dst, 'e')
	if exponent > 0 {
		dst = append(dst, '+')
	}
	exponent = min(max(exponent, -maxExponent), maxExponent)
	return strconv.AppendInt(dst, int64(exponent), 10)
}

// isPlainNumber reports whether a number that is well-formed is as JavaScript writes it,
// and has no exponent.
func isPlainNumber(raw []byte) bool {
	digits := raw
	if raw[0] == '-' {
		digits = raw[1:]
	}
	whole := countDigits(digits)
	if whole > maxPoint {
		return false
	}
	if whole == len(digits) {
		return string(raw) != "-0"
	}
	fraction := digits[whole+1:] // behind the point, or no digits
	last := len(fraction) - 1
	if digits[whole] != '.' || countDigits(fraction) <= last || fraction[last] == '0' {
		return false
	}
	return digits[0] != '0' || last < -minPoint || string(fraction[:-minPoint+1]) != "000000"
}

// countDigits is how many digits b begins with.
func countDigits(b []byte) int {
	n := 0
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return n
}
