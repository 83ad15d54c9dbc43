package protocol_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/replifire/replifire/internal/anyjson"
	"github.com/replifire/replifire/protocol"
)

// canonicalTexts are values with their canonical text; "" is for one that has it.
var canonicalTexts = []struct{ name, value, want string }{
	{"null", `null`, ``},
	{"true", `true`, ``},
	{"false", `false`, ``},
	{"empty string", `""`, ``},
	{"empty array", `[]`, ``},
	{"empty object", `{}`, ``},
	{"white space", " \t\r\n{ \"a\" :\n[ 1 , null,\ttrue ] } ", `{"a":[1,null,true]}`},
	{"white space in empty", `[ { } , [ ] ]`, `[{},[]]`},

	{"members in order", `{"a":1,"b":{"c":2,"d":3},"e":4}`, ``},
	{"members out of order", `{"from":"a","content":"b","order":1}`, `{"content":"b","from":"a","order":1}`},
	{"members of members", `[{"b":{"d":1,"c":[{"z":1,"y":2}]},"a":2}]`, `[{"a":2,"b":{"c":[{"y":2,"z":1}],"d":1}}]`},
	{"the empty name first", `{"a":1,"":2}`, `{"":2,"a":1}`},
	{"a prefix first", `{"ab":1,"a":2}`, `{"a":2,"ab":1}`},
	{"upper case first", `{"a":1,"B":2}`, `{"B":2,"a":1}`},
	// In UTF-16 the second of the two would be the first.
	{"bytes and code units", "{\"\U00010000\":1,\"\uffff\":2}", "{\"\uffff\":2,\"\U00010000\":1}"},
	{"order of escaped names", `{"\u0062":1,"a":2}`, `{"a":2,"b":1}`},
	{"an escaped name in order", `{"a\n":1,"a\u000b":2}`, ``},
	{"a quote in a name", `{"a\"":1,"a":2}`, `{"a":2,"a\"":1}`},
	{"a name twice", `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
	{"a name twice in a row", `{"a":1,"a":2}`, `{"a":2}`},
	{"a name three times", `{"b":0,"a":1,"\u0061":2,"a":{"x":1,"x":2}}`, `{"a":{"x":2},"b":0}`},

	{"needed escapes", `"\"\\\b\f\n\r\t\u0000\u001f"`, ``},
	{"escapes of no use", `"\/\u0041\u00e9\u2028\ud83d\ude00\u007f"`, "\"/A\u00e9\u2028\U0001f600\u007f\""},
	{"long escapes", `"\u0008\u000c\u000a\u000d\u0009\u0022\u005c"`, `"\b\f\n\r\t\"\\"`},
	{"upper-case digits", `"\u001F\u00E9"`, "\"\\u001f\u00e9\""},
	{"no escape for HTML", `"<&>"`, ``},
	{"beyond ASCII", "\"é\u2028\U0001f600\ufffd\x7f\"", ``},

	{"zero", `0`, ``},
	{"minus zero", `-0`, `0`},
	{"long zero", `-0.000e+7`, `0`},
	{"integer", `-17`, ``},
	{"a fraction of nothing", `1.0`, `1`},
	{"trailing zeros", `-1.500`, `-1.5`},
	{"exponent", `1e3`, `1000`},
	{"exponent in capitals", `15E-1`, `1.5`},
	{"exponent of nothing", `7e0`, `7`},
	{"2^53", `9007199254740992`, ``},
	{"the least with an exponent", `1000000000000000000000`, `1e+21`},
	{"the largest without", `100000000000000000000`, ``},
	{"not shortest", `1e20`, `100000000000000000000`},
	{"large", `1e+21`, ``},
	{"large, no sign", `1.50e21`, `1.5e+21`},
	{"largest", `1.7976931348623157e+308`, ``},
	{"smallest", `5e-324`, ``},
	{"small", `0.000001`, ``},
	{"smaller", `0.0000001`, `1e-7`},
	{"small by exponent", `-12.30e-7`, `-0.00000123`},
	{"smaller by exponent", `12.30E-08`, `1.23e-7`},
	{"a point among digits", `12345e-2`, `123.45`},

	{"2^53+1", `9007199254740993`, ``},
	{"2^63 with all digits", `9223372036854775808`, ``},
	{"more digits than a double has", `0.1000000000000000055511151231257827`, ``},
	{"more digits before the point", `1234567890123456789012.5`, `1.2345678901234567890125e+21`},
	{"beyond doubles", `1E400`, `1e+400`},
	{"below doubles", `0.1e-400`, `1e-401`},
	{"absurd", `1e99999999999999999999`, `1e+1099511627776`},
	{"absurdly small", `-1.23e-99999999999999999999`, `-1.23e-1099511627776`},
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, tt := range canonicalTexts {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := tt.want
			if want == "" {
				want = tt.value
			}
			got, err := protocol.Canonical(json.RawMessage(tt.value))
			if err != nil || string(got) != want {
				t.Errorf("Canonical(%s) = %s, %v, want %s", tt.value, got, err, want)
			}
			if got, want := protocol.IsCanonical(json.RawMessage(tt.value)), tt.want == ""; got != want {
				t.Errorf("IsCanonical(%s) = %t, want %t", tt.value, got, want)
			}
			checkCanonical(t, tt.value)
		})
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	tooDeep := strings.Repeat("[", protocol.MaxDepth+1) + strings.Repeat("]", protocol.MaxDepth+1)
	for _, value := range []string{``, `1 1`, `{"a":}`, `"\ud800"`, "\"\xff\"", tooDeep} {
		if got, err := protocol.Canonical(json.RawMessage(value)); err == nil {
			t.Errorf("Canonical(%.50q) = %.50s, want an error", value, got)
		}
	}
}

// TestCanonicalLeavesGiven: what is given is not written to, and what is canonical is
// not copied.
//
//nolint:paralleltest // it counts what the whole process allocates
func TestCanonicalLeavesGiven(t *testing.T) {
	given := []byte(`{"b":"\u0041","a":1.0}`)
	before := string(given)
	if _, err := protocol.Canonical(given); err != nil || string(given) != before {
		t.Errorf("%s became %s, %v", before, given, err)
	}
	value := json.RawMessage(`{"content":"Hey,\n\"what's\"\u0000 for lunch? é😀","order":[17,-1.5,true,null,{}]}`)
	got := testing.AllocsPerRun(100, func() {
		same, err := protocol.Canonical(value)
		if err != nil || &same[0] != &value[0] {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations for a canonical value, want none", got)
	}
}

// checkCanonical holds the canonical text of a value that CheckValue accepts to what is
// said of it.
func checkCanonical(t interface{ Errorf(string, ...any) }, value string) {
	text, err := protocol.Canonical(json.RawMessage(value))
	if err != nil {
		t.Errorf("Canonical(%.200s): %v", value, err)
		return
	}
	if again, err := protocol.Canonical(text); err != nil || !bytes.Equal(again, text) {
		t.Errorf("canonical %.200s becomes %.200s, %v", text, again, err)
	}
	if !protocol.IsCanonical(text) {
		t.Errorf("%.200s is not canonical", text)
	}
	if got, want := protocol.IsCanonical(json.RawMessage(value)), string(text) == value; got != want {
		t.Errorf("IsCanonical(%.200s) = %t, want %t", value, got, want)
	}
	// A reader takes both for the same, as far as doubles can tell.
	before, beforeOK := readDoubles(value)
	after, afterOK := readDoubles(string(text))
	if beforeOK != afterOK || !bytes.Equal(before, after) {
		t.Errorf("%.200s was read as %.200s, its canonical text as %.200s", value, before, after)
	}
}

// readDoubles writes a value as encoding/json has read it; false: a number is beyond
// doubles.
func readDoubles(value string) ([]byte, bool) {
	var v any
	if json.Unmarshal([]byte(value), &v) != nil {
		return nil, false
	}
	text, err := json.Marshal(positiveZero(v))
	return text, err == nil
}

// positiveZero replaces each -0 by 0, as JSON.stringify does.
func positiveZero(v any) any {
	switch v := v.(type) {
	case float64:
		return v + 0
	case []any:
		for i := range v {
			v[i] = positiveZero(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = positiveZero(v[name])
		}
	}
	return v
}

// TestCanonicalNumbers: a double has the text that JavaScript writes, whichever way its
// digits were written. encoding/json has JavaScript's format too.
func TestCanonicalNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.OneOf(
			rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64),
			rapid.Custom(func(t *rapid.T) float64 { // on both sides of where exponents begin
				digits := rapid.Int64Range(-99999, 99999).Draw(t, "digits")
				return float64(digits) * math.Pow10(rapid.IntRange(-14, 24).Draw(t, "exponent"))
			}),
		).Draw(t, "double")
		want, err := json.Marshal(f + 0) // 0 for -0
		if err != nil {
			t.Fatal(err)
		}
		for _, spelling := range []string{
			strconv.FormatFloat(f, 'e', -1, 64),
			padded(strconv.FormatFloat(f, 'E', -1, 64)),
			strconv.FormatFloat(f, 'f', -1, 64),
			strconv.FormatFloat(f, 'f', -1, 64) + "e-0",
		} {
			got, err := protocol.Canonical(json.RawMessage(spelling))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s became %s, %v, want %s", spelling, got, err, want)
			}
		}
	})
}

// TestCanonicalOfOneValue: all spellings of a value have one text.
func TestCanonicalOfOneValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := anyjson.Values(4).Draw(t, "value")
		want, err := protocol.AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			value := anyjson.Spell(t, v)
			got, err := protocol.Canonical(json.RawMessage(value))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s became %s, %v, want %s", value, got, err, want)
			}
			checkCanonical(t, value)
		}
	})
}

// padded puts zeros behind the digits of a number with an exponent.
func padded(number string) string {
	mantissa, exponent, _ := strings.Cut(number, "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += "."
	}
	return mantissa + "000E" + exponent
}

func TestAppendValueRefuses(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{
		"NaN": math.NaN(), "infinity": []any{math.Inf(-1)}, "time": map[string]any{"a": time.Time{}},
		"bytes": []byte("a"), "int": 1, "a map of others": map[string]int{},
	} {
		if got, err := protocol.AppendValue(nil, v); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, tt := range canonicalTexts {
		f.Add([]byte(tt.value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if protocol.CheckValue(value) == nil {
			checkCanonical(t, string(value))
		}
	})
}
