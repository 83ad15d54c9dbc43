package protocol_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"unicode/utf16"
)

// modelCompare compares cookies as the client does, by other means than the package:
// encoding/json finds the order and formats numbers (as ECMA-262 does).
func modelCompare(t interface{ Fatal(args ...any) }, a, b []byte) int {
	left, right := modelOrder(a), modelOrder(b)
	if left == nil || right == nil {
		return cmp.Compare(len(left), len(right))
	}
	if left[0] == '"' || right[0] == '"' {
		return slices.Compare(modelUnits(t, left), modelUnits(t, right))
	}
	return cmp.Compare(modelNumber(t, left), modelNumber(t, right))
}

// modelOrder finds the JSON of a cookie's order; nil for null.
func modelOrder(cookie []byte) []byte {
	var object map[string]json.RawMessage
	if json.Unmarshal(cookie, &object) == nil && object != nil {
		return object["order"]
	}
	if string(cookie) == "null" {
		return nil
	}
	return cookie
}

func modelNumber(t interface{ Fatal(args ...any) }, raw []byte) float64 {
	var f float64
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// modelUnits decodes a string character by character, so that encoding/json sees
// each half of a surrogate pair alone, or else formats a number.
func modelUnits(t interface{ Fatal(args ...any) }, raw []byte) []uint16 {
	if raw[0] != '"' {
		text, err := json.Marshal(modelNumber(t, raw))
		if err != nil {
			t.Fatal(err)
		}
		if string(text) == "-0" {
			text = []byte("0")
		}
		return utf16.Encode([]rune(string(text)))
	}
	var units []uint16
	for rest := raw[1 : len(raw)-1]; len(rest) > 0; {
		size := 1
		switch {
		case rest[0] == '\\' && rest[1] == 'u':
			n, err := strconv.ParseUint(string(rest[2:6]), 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			units, rest = append(units, uint16(n)), rest[6:]
			continue
		case rest[0] == '\\':
			size = 2
		default:
			for size < len(rest) && rest[size]&0xC0 == 0x80 {
				size++
			}
		}
		var s string
		if err := json.Unmarshal(slices.Concat([]byte(`"`), rest[:size], []byte(`"`)), &s); err != nil {
			t.Fatal(err)
		}
		units, rest = append(units, utf16.Encode([]rune(s))...), rest[size:]
	}
	return units
}

// modelValue says of valid JSON, without the package's scanner, how deep it is and
// whether half of a surrogate pair is in it.
func modelValue(text []byte) (depth int, lone bool) {
	open, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
			if text[i] != 'u' {
				continue
			}
			unit, size := modelEscape(text[i-1:])
			lone = lone || utf16.IsSurrogate(unit)
			i += size - 2
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			open++
			depth = max(depth, open)
		case c == ']' || c == '}':
			open--
		}
	}
	return depth, lone
}

// modelEscape decodes one \u escape, or two that are a pair, and says how long it is.
func modelEscape(text []byte) (rune, int) {
	half := func(text []byte) rune {
		if len(text) < 6 || string(text[:2]) != `\u` {
			return 0
		}
		n, _ := strconv.ParseUint(string(text[2:6]), 16, 16) // or 0
		return rune(n)
	}
	first := half(text)
	if pair := utf16.DecodeRune(first, half(text[6:])); pair != '\uFFFD' {
		return pair, 12
	}
	return first, 6
}

func TestModelValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		depth int
		lone  bool
	}{
		`1`:                     {0, false},
		`"[[["`:                 {0, false},
		`[{"a":[]},{}]`:         {3, false},
		`"\ud83d"`:              {0, true},
		`["\ud83d\ude00"]`:      {1, false},
		`"\\ud83d"`:             {0, false},
		`{"\ude00":"\""}`:       {1, true},
		`"\ud83d\ud83d\ude00["`: {0, true},
	} {
		if depth, lone := modelValue([]byte(text)); depth != want.depth || lone != want.lone {
			t.Errorf("%s: got %d, %t, want %d, %t", text, depth, lone, want.depth, want.lone)
		}
	}
}
