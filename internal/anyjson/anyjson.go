package anyjson

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"pgregory.net/rapid"
)

// Values makes values that are nested up to depth, of what protocol.AppendValue takes
// and what the others make.
func Values(depth int, others ...*rapid.Generator[any]) *rapid.Generator[any] {
	kinds := append([]*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		Strings().AsAny(),
		rapid.Int64().AsAny(),
		rapid.Int64Range(-1<<53, 1<<53).AsAny(),
		rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).AsAny(),
	}, others...)
	if depth > 0 {
		inner := Values(depth-1, others...)
		kinds = append(kinds, rapid.SliceOfN(inner, 0, 4).AsAny(), rapid.MapOfN(Strings(), inner, 0, 5).AsAny())
	}
	return rapid.OneOf(kinds...)
}

// Strings makes strings, many of which begin alike.
func Strings() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-c"\\]{0,3}`),
		rapid.StringMatching(`([\x00-\x1f"\\/]|é|😀|\x{2028}|\x{fffd}|\x{ffff}|\x{10000}|<&>){0,5}`),
		rapid.SampledFrom([]string{"__n__", "a.b", "id", "__proto__", "toJSON", "`"}),
		rapid.String(),
	)
}

// Texts makes texts of values that are nested up to depth, with numbers that are no
// doubles among them.
func Texts(depth int) *rapid.Generator[string] {
	numbers := rapid.SampledFrom([]any{
		json.Number("-0"), json.Number("1.0"), json.Number("1.50e+2"), json.Number("1e400"),
		json.Number("-0.1e-400"), json.Number("12345678901234567890"), json.Number("0.10000000000000000001"),
	})
	values := Values(depth, numbers)
	return rapid.Custom(func(t *rapid.T) string { return Spell(t, values.Draw(t, "value")) })
}

// Spell writes a value in one of the ways that JSON has for it.
func Spell(t *rapid.T, v any) string {
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r "}).Draw(t, "space")
	var text string
	switch v := v.(type) {
	case string:
		text = spellString(t, v)
	case float64:
		text = strconv.FormatFloat(v, rapid.SampledFrom([]byte("eEf")).Draw(t, "format"), -1, 64)
	case []any:
		var elements []string
		for _, element := range v {
			elements = append(elements, Spell(t, element))
		}
		text = "[" + space + strings.Join(elements, ",") + "]"
	case map[string]any:
		text = "{" + space + strings.Join(spellMembers(t, v), ",") + "}"
	default: // nil, bool, int64, json.Number
		text = marshal(v)
	}
	return space + text + space
}

// spellMembers writes some members twice, first with a value that does not count.
func spellMembers(t *rapid.T, members map[string]any) []string {
	var first, last []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if rapid.Bool().Draw(t, "twice") {
			first = append(first, spellString(t, name)+`:{"b":[],"a":"lost"}`)
		}
		last = append(last, spellString(t, name)+" : "+Spell(t, members[name]))
	}
	if len(last) > 0 {
		last = rapid.Permutation(last).Draw(t, "order")
	}
	return append(first, last...)
}

// spellString writes a string with the escapes that encoding/json likes, or with all.
func spellString(t *rapid.T, s string) string {
	if rapid.Bool().Draw(t, "few escapes") {
		return marshal(s)
	}
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, `\u%04X`, unit)
	}
	return `"` + b.String() + `"`
}

func marshal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // cannot be: these always encode
	}
	return string(text)
}
