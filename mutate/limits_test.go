package mutate_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/replifire/replifire/mutate"
)

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, key, want string
	}{
		{"empty", "", ""},
		{"longest", strings.Repeat("x", 1024), ""},
		{"too long", strings.Repeat("x", 1025), "longer than 1024 bytes"},
		{"too long in bytes", strings.Repeat("é", 513), "longer than 1024 bytes"},
		{"odd", "a/b\x00\u2028🦄__proto__", ""},
		{"not UTF-8", "a\xffb", "not valid UTF-8"},
		{"surrogate in UTF-8", "\xed\xa0\x80", "not valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkError(t, mutate.CheckKey(c.key), c.want)
		})
	}
}

func TestEncodeValue(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 1_000_000-2)
	for _, c := range []struct {
		name  string
		value any
		want  string
		err   string
	}{
		{"nil", nil, "null", ""},
		{"struct", point{1, 2}, `{"x":1,"y":2}`, ""},
		{"map in order", map[string]any{"b": 1, "a": []int{}}, `{"a":[],"b":1}`, ""},
		{"nothing escaped for HTML", "<&>", `"<&>"`, ""},
		{"members put in order", struct{ B, A int }{1, 2}, `{"A":2,"B":1}`, ""},
		{"text made canonical", json.RawMessage(" { \"b\" : [ 1.0 ], \"a\":\"\\u0041\" }\n"), `{"a":"A","b":[1]}`, ""},
		{"longer than given", repeat("[1e20", ",1e20", 50_000, "]"), "", "larger than 1000000 bytes"},
		{"shorter than given", repeat(`"`, `\u0061`, 200_000, `"`), string(repeat(`"`, "a", 200_000, `"`)), ""},
		{"as many digits as there are", int64(math.MaxInt64), "9223372036854775807", ""},
		{"no text", json.RawMessage(nil), "null", ""},
		{"string that is not UTF-8", "a\xffb", "\"a\ufffdb\"", ""},
		{"largest", big, `"` + big + `"`, ""},
		{"too large", big + "x", "", "larger than 1000000 bytes"},
		{"NaN", math.NaN(), "", "not JSON"},
		{"function", func() {}, "", "not JSON"},
		{"text that is not JSON", json.RawMessage("{"), "", "not JSON"},
		{"text with half of a surrogate pair", json.RawMessage(`"\ud800"`), "", "surrogate"},
		{"deepest", nested(100), strings.Repeat("[", 100) + strings.Repeat("]", 100), ""},
		{"too deep", nested(101), "", "nested deeper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := mutate.EncodeValue(c.value)
			checkError(t, err, c.err)
			if string(got) != c.want {
				t.Errorf("got %.80s, want %.80s", got, c.want)
			}
		})
	}
}

func repeat(first, middle string, n int, last string) json.RawMessage {
	return json.RawMessage(first + strings.Repeat(middle, n) + last)
}

func nested(depth int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", depth) + strings.Repeat("]", depth))
}

// checkError checks that an error holds a text, or is nil if the text is empty.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got error %v, want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got error %v, want one with %q", err, want)
	}
}
