package protocol

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Compare tells which of two cookies a client takes for the newer one: it returns
// a negative number if that is d, 0 if neither is, a positive number if it is c.
// The rule is the client's own (C:cookies.ts): null is the smallest; numbers
// compare as numbers; if one order is a string, both compare as strings, by their
// UTF-16 code units, so that "10" is before "9". What is no cookie is like null.
func (c Cookie) Compare(d Cookie) int {
	a, b := c.order(), d.order()
	switch {
	case a.kind == kindMissing || b.kind == kindMissing:
		return cmp.Compare(a.kind, b.kind)
	case a.kind == kindNumber && b.kind == kindNumber:
		return cmp.Compare(a.float(), b.float())
	}
	return slices.Compare(orderUnits(a), orderUnits(b))
}

// order returns the string or number that a cookie is compared by, or the zero token.
func (c Cookie) order() token {
	t, problem := readCookie(c.Raw)
	if problem != nil || t.order.kind != kindNumber && t.order.kind != kindString {
		return token{}
	}
	return t.order
}

// orderUnits returns an order as the string that JavaScript makes of it.
func orderUnits(t token) []uint16 {
	if t.kind == kindString {
		return t.units()
	}
	return utf16.Encode([]rune(formatNumber(t.float())))
}

// formatNumber formats f as JavaScript's Number.prototype.toString does (ECMA-262,
// Number::toString): shortest digits, an exponent from 1e21 on and below 1e-6.
func formatNumber(f float64) string {
	switch size := math.Abs(f); {
	case f == 0:
		return "0" // also for -0
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strconv.FormatFloat(f, 'f', -1, 64)+"inity", "+")
	case size >= 1e-6 && size < 1e21:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	return strings.Replace(text, "e-0", "e-", 1) // strconv writes two digits at least
}
