package firestore_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/protocol"
)

func nested(open, inner, shut string, depth int) string {
	return strings.Repeat(open, depth) + inner + strings.Repeat(shut, depth)
}

// values are JSON values with the field that is to keep them.
var values = []struct{ name, json, field string }{
	{"null", `null`, "value"},
	{"true", `true`, "value"},
	{"string", `"text"`, "value"},
	{"empty string", `""`, "value"},
	{"NUL", `"\u0000"`, "value"},
	{"HTML", `"<a href=\"x\">&amp;</a>"`, "value"},
	{"line separators", `"\u2028\u2029"`, "value"},
	{"emoji as a pair", `"\ud83d\ude00"`, "value"},
	{"replacement character", `"\ufffd"`, "value"},
	{"zero", `0`, "value"},
	{"negative", `-1`, "value"},
	{"2^53", `9007199254740992`, "value"},
	{"2^53+2", `9007199254740994`, "value"},
	{"2^63", `9223372036854776000`, "value"},
	{"fraction", `0.1`, "value"},
	{"large", `1e+21`, "value"},
	{"small", `1e-7`, "value"},
	{"largest", `1.7976931348623157e+308`, "value"},
	{"smallest", `5e-324`, "value"},
	{"empty array", `[]`, "value"},
	{"array", `[1,"a",null,{"b":2}]`, "value"},
	{"array in a map in an array", `[{"a":[1]}]`, "value"},
	{"empty object", `{}`, "value"},
	{"message", `{"id":"x","from":"Ann","content":"Hi","order":1}`, "value"},
	{"names", `{"a.b":1,"c/d":2,"` + "`" + `":3,"*":4,"__x":5,"~[]":6}`, "value"},
	{"as deep as can be", nested(`{"a":`, `1`, `}`, firestore.MaxNativeDepth), "value"},
	{"long name", `{"` + strings.Repeat("n", 700) + `":1}`, "value"},
	{"long name to be quoted", `{"` + strings.Repeat("`", 700) + `":1}`, "value"},
	{"long path", nested(`{"`+strings.Repeat("-", 43)+`":`, `1`, `}`, 16), "value"},

	{"minus zero", `-0`, "json"},
	{"integer with a fraction", `1.0`, "json"},
	{"integer with an exponent", `1e3`, "json"},
	{"exponent without a sign", `1e21`, "json"},
	{"2^53+1", `9007199254740993`, "json"},
	{"2^63 with all its digits", `9223372036854775808`, "json"},
	{"too large", `1e400`, "json"},
	{"too precise", `0.1000000000000000055511151231257827`, "json"},
	{"array in an array", `[[1]]`, "json"},
	{"empty array in an array", `{"a":[[]]}`, "json"},
	{"empty name", `{"":1}`, "json"},
	{"reserved name", `{"__proto__":1}`, "json"},
	{"shortest reserved name", `{"____":1}`, "json"},
	{"the SDK's own names", `{"__type__":"__vector__","value":[1]}`, "json"},
	{"a name twice", `{"a":1,"a":2}`, "json"},
	{"a name twice, once escaped", `{"a":1,"\u0061":2}`, "json"},
	{"a name twice in the depth", `{"a":[{"b":{"c":1,"c":1}}]}`, "json"},
	{"colons and quotes", `{"a:\":":"\\:\":","b":[":"]}`, "value"},
	{"too deep", nested(`{"a":`, `1`, `}`, firestore.MaxNativeDepth+1), "json"},
	{"very deep", nested(`[`, ``, `]`, 60), "json"},
	{"name too long", `{"` + strings.Repeat("n", 701) + `":1}`, "json"},
	{"path too long", nested(`{"`+strings.Repeat("-", 44)+`":`, `1`, `}`, 16), "json"},
	{"larger natively", `[` + strings.Repeat(`1,`, 200_000) + `1]`, "json"},
	{"larger at its very end", `[` + strings.Repeat(`1,`, 120_000) + `"` + strings.Repeat("x", 500_000) + `"]`, "json"},
	{"many empty maps", `[` + strings.Repeat(`{},`, 100_000) + `{}]`, "json"},
}

func TestEncodeValue(t *testing.T) {
	t.Parallel()
	for _, tt := range values {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if field, _ := firestore.EncodeValue(json.RawMessage(tt.json)); field != tt.field {
				t.Errorf("%.80s is kept in %s, want %s", tt.json, field, tt.field)
			}
			checkValue(t, tt.json)
		})
	}
}

// TestValuesInFirestore keeps each value in the emulator, which enforces most of
// what Firestore forbids, and reads it by id and by query.
func TestValuesInFirestore(t *testing.T) {
	t.Parallel()
	f := open(t)
	c := after(engine.Head{})
	want := map[string]string{}
	for _, tt := range values {
		put(&c, tt.name, tt.json)
		want[tt.name] = tt.json
	}
	put(&c, "largest text", `"`+strings.Repeat("x", engine.MaxValueBytes-2)+`"`)
	want["largest text"] = string(c.Entries[len(c.Entries)-1].Value)
	f.mustCommit(t, c)

	docs := engine.Documents{}
	for key := range want {
		docs.Keys = append(docs.Keys, key)
	}
	snap := f.mustSnapshot(t, docs)
	for key, value := range want {
		e, ok := snap.Entry(key)
		if !ok || !sameJSON(e.Value, []byte(value)) {
			t.Errorf("%s by id: %.80s, want %.80s", key, e.Value, value)
		}
	}
	for _, e := range collect(t, snap.Entries(t.Context(), 0)) {
		if !sameJSON(e.Value, []byte(want[e.Key])) {
			t.Errorf("%s by query: %.80s, want %.80s", e.Key, e.Value, want[e.Key])
		}
		delete(want, e.Key)
	}
	if len(want) > 0 {
		t.Errorf("the query did not yield %v", want)
	}
}

// TestAnyValueInFirestore is the same for values that are made up.
func TestAnyValueInFirestore(t *testing.T) {
	t.Parallel()
	f := open(t)
	var head engine.Head
	rapid.Check(t, func(rt *rapid.T) {
		c := after(head)
		docs := engine.Documents{}
		for i, value := range rapid.SliceOfN(anyJSON(4), 1, 20).Draw(rt, "values") {
			docs.Keys = append(docs.Keys, strconv.Itoa(i))
			put(&c, docs.Keys[i], value)
		}
		var err error
		if head, err = f.Commit(t.Context(), space, c); err != nil {
			rt.Fatal(err)
		}
		snap, err := f.Snapshot(t.Context(), space, docs)
		if err != nil {
			rt.Fatal(err)
		}
		for _, want := range c.Entries {
			if got, ok := snap.Entry(want.Key); !ok || !sameJSON(got.Value, want.Value) {
				rt.Fatalf("%s came back as %s", want.Value, got.Value)
			}
		}
	})
}

// anyJSON makes JSON texts as a browser would, nested up to depth.
func anyJSON(depth int) *rapid.Generator[string] {
	scalars := rapid.OneOf(
		rapid.Map(rapid.String(), marshal[string]),
		rapid.Map(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), marshal[float64]),
		rapid.Map(rapid.Int64Range(-1<<53, 1<<53), marshal[int64]),
		rapid.SampledFrom([]string{"null", "true", "false", `"__x__"`, "-0", "1e400", "1.50"}),
	)
	if depth == 0 {
		return scalars
	}
	inner := anyJSON(depth - 1)
	names := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "__n__", "a.b", "id"}))
	return rapid.OneOf(
		scalars,
		rapid.Map(rapid.SliceOfN(inner, 0, 4), func(elements []string) string {
			return "[" + strings.Join(elements, ",") + "]"
		}),
		rapid.Map(rapid.MapOfN(names, inner, 0, 4), func(members map[string]string) string {
			var all []string
			for name, value := range members {
				all = append(all, marshal(name)+":"+value)
			}
			return "{" + strings.Join(all, ",") + "}"
		}),
	)
}

func marshal[T any](v T) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func FuzzValue(f *testing.F) {
	for _, tt := range values {
		f.Add(tt.json)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if protocol.CheckValue(json.RawMessage(text)) == nil {
			checkValue(t, text)
		}
	})
}

// checkValue checks that a value comes back from its field, and that Firestore can
// hold it there.
func checkValue(t *testing.T, text string) {
	t.Helper()
	field, content := firestore.EncodeValue(json.RawMessage(text))
	switch field {
	case "value":
		checkStorable(t, content, 1, false)
	case "json":
		if content != text {
			t.Errorf("field json holds %.80q, want %.80q", content, text)
		}
	default:
		t.Fatalf("kept in a field %q", field)
	}
	got, err := firestore.DecodeValue(map[string]any{field: content})
	if err != nil || !sameJSON(got, []byte(text)) {
		t.Errorf("%.80s came back as %.80s, %v", text, got, err)
	}
}

var reservedName = regexp.MustCompile(`(?s)^__.*__$`)

// checkStorable says Firestore's rules once more, in other words than the code.
func checkStorable(t *testing.T, v any, depth int, inArray bool) {
	t.Helper()
	if depth > 20 {
		t.Error("nested more than 20 deep")
	}
	switch v := v.(type) {
	case nil, bool, string, int64:
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("holds %v", v)
		}
	case []any:
		if inArray {
			t.Error("array in an array")
		}
		for _, element := range v {
			checkStorable(t, element, depth+1, true)
		}
	case map[string]any:
		for name, value := range v {
			if name == "" || len(name) > 1500 || reservedName.MatchString(name) {
				t.Errorf("field name %.80q", name)
			}
			checkStorable(t, value, depth+1, false)
		}
	default:
		t.Errorf("holds a %T", v)
	}
}

// sameJSON compares values, with the texts of numbers.
func sameJSON(a, b []byte) bool {
	x, errX := parse(a)
	y, errY := parse(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func parse(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

func TestDecodeValueRefuses(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]map[string]any{
		"nothing":        {},
		"both":           {"value": int64(1), "json": "1"},
		"no text":        {"json": int64(1)},
		"no JSON":        {"json": "{"},
		"NaN":            {"value": math.NaN()},
		"infinity":       {"value": []any{math.Inf(1)}},
		"time":           {"value": map[string]any{"at": time.Now()}},
		"bytes":          {"value": []byte{1}},
		"time in arrays": {"value": []any{map[string]any{"at": []any{time.Now()}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := firestore.DecodeValue(fields); err == nil {
				t.Errorf("DecodeValue = %s, want an error", got)
			}
		})
	}
}

func BenchmarkValue(b *testing.B) {
	raw := json.RawMessage(`{"id":"0f1e2d","from":"Ann","content":"Hello, World","order":17}`)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			firestore.EncodeValue(raw)
		}
	})
	field, content := firestore.EncodeValue(raw)
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := firestore.DecodeValue(map[string]any{field: content}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
