package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// shapes are JSON values that stores tend to change: each must come back equal.
// All but the large ones; see largeShapes.
func shapes() map[string]string {
	name := strings.Repeat("n", 1500)
	all := map[string]string{
		"array in an array": `[[1,[2,[]]],[]]`,
		"deep array":        nest(30, `[`, `]`),
		"deepest array":     nest(protocol.MaxDepth, `[`, `]`),
		"20 objects deep":   nest(20, `{"a":`, `}`),
		"21 objects deep":   nest(21, `{"a":`, `}`),
		"deep object":       nest(30, `{"a":`, `}`),
		"deepest object":    nest(protocol.MaxDepth, `{"a":`, `}`),
		"deep mixture":      nest(15, `{"a":[`, `]}`),
		"name of 1500":      object(name, `1`),
		"name of 2000":      object(strings.Repeat("n", 2000), `1`),
		"names alike":       `{"` + name + `a":1,"` + name + `b":2}`,
		"name twice":        `{"a":1,"a":2}`,
		"empty in arrays":   `[{},[],"",null,[{}],{"a":[]}]`,
		"all escapes":       `"\u0000\u0001\b\f\n\r\t\"\\\/\u007f\u2028\u2029\ud83d\ude00\ufeff\uffff"`,
		"like our own":      `{"key":"k","value":1,"version":-1,"deleted":true,"json":"[1]"}`,
		"only json":         `{"json":"{\"a\":1}"}`,
		"like a time":       `"2026-01-01T00:00:00Z"`,
		"like bytes":        `"AAECAw=="`,
		"like a reference":  `"projects/p/databases/(default)/documents/a/b"`,
		"like a geo point":  `{"latitude":1,"longitude":2}`,
		"with spaces":       " {\n\t\"a\" : [ 1 , 2 ] } ",
	}
	for _, text := range []string{
		`null`, `true`, `false`, `""`, `"a"`, `{}`, `[]`, `[null]`, `[[]]`, `{"a":null}`, `{"a":{}}`,
		`0`, `-0`, `1`, `-1`, `1.0`, `1e3`, `0.1`, `-0.5`, `9007199254740991`, `9007199254740992`,
		`-9007199254740992`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`,
		`9223372036854776000`, `100000000000000000000`, `1e21`, `1e-7`, `5e-324`, `2.2250738585072014e-308`,
		`1.7976931348623157e308`, `-1.7976931348623157e308`, `0.30000000000000004`, `1E+2`, `123456789.123`,
		`[0.1,1,1e21,-0.5,9007199254740992]`,
	} {
		all["text "+text] = text
	}
	for _, n := range append(hurtful()[:60], "", "a.b", ".a", "a.", "..", "a..b", "[0]", "a[0]", "$type", "toJSON") {
		all[fmt.Sprintf("name %q", n)] = object(n, `[1,{"x":2}]`)
	}
	return all
}

// largeShapes are near the limits of a value.
func largeShapes() map[string]string {
	fill := func(s string) string {
		n := engine.MaxValueBytes - len(`""`)
		return `"` + strings.Repeat(s, n/len(s)) + `"`
	}
	list := func(item string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	return map[string]string{
		"longest string":           fill("v"),
		"longest string of emoji":  fill("😀"),
		"longest string of NUL":    fill(`\u0000`),
		"longest array of numbers": list("0", (engine.MaxValueBytes-2)/2),
		"longest array of objects": list("{}", (engine.MaxValueBytes-2)/3),
		"50,000 numbers":           list("1234567", 50_000),
		"20,000 arrays":            list("[1]", 20_000),
		"5,000 names":              manyNames(5_000),
		"20,000 names":             manyNames(20_000),
		"long strings":             list(`"`+strings.Repeat("s", 2_000)+`"`, 400),
	}
}

// nest wraps 1 in depth times open and closing.
func nest(depth int, open, closing string) string {
	return strings.Repeat(open, depth) + "1" + strings.Repeat(closing, depth)
}

// object is an object of one name, given unescaped.
func object(name, value string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(name); err != nil {
		panic(err) // a string always encodes
	}
	return "{" + strings.TrimSpace(b.String()) + ":" + value + "}"
}

func manyNames(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `"name%d":%d,`, i, i)
	}
	return strings.TrimSuffix(b.String(), ",") + "}"
}
