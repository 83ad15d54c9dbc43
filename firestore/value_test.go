package firestore_test

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/anyjson"
	"github.com/replifire/replifire/protocol"
)

func nested(open, inner, shut string, depth int) string {
	return strings.Repeat(open, depth) + inner + strings.Repeat(shut, depth)
}

// canonical is the text of a value in all answers.
func canonical(t interface{ Fatal(args ...any) }, value string) json.RawMessage {
	text, err := protocol.Canonical(json.RawMessage(value))
	if err != nil {
		t.Fatal(err)
	}
	return text
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

	{"minus zero", `-0`, "value"},
	{"integer with a fraction", `1.0`, "value"},
	{"integer with an exponent", `1e3`, "value"},
	{"exponent without a sign", `1e21`, "value"},
	{"2^53+1", `9007199254740993`, "json"},
	{"2^63 with all its digits", `9223372036854775808`, "json"},
	{"too large", `1e400`, "json"},
	{"too small", `1e-400`, "json"},
	{"too precise", `0.1000000000000000055511151231257827`, "json"},
	{"array in an array", `[[1]]`, "json"},
	{"empty array in an array", `{"a":[[]]}`, "json"},
	{"empty name", `{"":1}`, "json"},
	{"reserved name", `{"__proto__":1}`, "json"},
	{"shortest reserved name", `{"____":1}`, "json"},
	{"the SDK's own names", `{"__type__":"__vector__","value":[1]}`, "json"},
	{"a name twice", `{"a":1,"a":2}`, "value"},
	{"members out of order", `[{"b":1,"a":{"d":[{"f":1,"e":2}],"c":3}}]`, "value"},
	{"members out of order in text", `[[{"b":1,"a":2}]]`, "json"},
	{"bytes and code units", "{\"\U00010000\":1,\"\uffff\":2}", "value"},
	{"white space", " [ 1 ,\n{ } ]\t", "value"},
	{"escapes of no use in text", `[["\u0041\/\u2028\ud83d\ude00"]]`, "json"},
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
			if field, _ := firestore.EncodeValue(canonical(t, tt.json)); field != tt.field {
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
		want[tt.name] = string(canonical(t, tt.json))
		put(&c, tt.name, want[tt.name])
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
		if !ok || string(e.Value) != value {
			t.Errorf("%s by id: %.80s, want %.80s", key, e.Value, value)
		}
	}
	for _, e := range collect(t, snap.Entries(t.Context(), 0)) {
		if string(e.Value) != want[e.Key] {
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
		for i, value := range rapid.SliceOfN(anyjson.Texts(4), 1, 20).Draw(rt, "values") {
			docs.Keys = append(docs.Keys, strconv.Itoa(i))
			put(&c, docs.Keys[i], string(canonical(rt, value)))
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
			if got, ok := snap.Entry(want.Key); !ok || !bytes.Equal(got.Value, want.Value) {
				rt.Fatalf("%s came back as %s", want.Value, got.Value)
			}
		}
	})
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

// checkValue checks that a value comes back from its field, that Firestore can hold it
// there, and that it has the same text if it was stored in another.
func checkValue(t *testing.T, text string) {
	t.Helper()
	want := canonical(t, text)
	field, content := firestore.EncodeValue(want)
	switch field {
	case "value":
		checkStorable(t, content, 1, false)
	case "json":
		if content != string(want) {
			t.Errorf("field json holds %.80q, want %.80q", content, want)
		}
	default:
		t.Fatalf("kept in a field %q", field)
	}
	for _, fields := range []map[string]any{{field: content}, {"json": text}} {
		got, err := firestore.DecodeValue(fields)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%.80s came back as %.80s, %v, want %.80s", text, got, err, want)
		}
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

// TestDecodeOthersValues: what no replifire has stored has a canonical text too, or is
// left as it is for fsck to find.
func TestDecodeOthersValues(t *testing.T) {
	t.Parallel()
	for want, fields := range map[string]map[string]any{
		`{"a":0,"b":[9007199254740993,1000,0.5]}`: {"value": map[string]any{
			"b": []any{int64(9007199254740993), 1e3, 0.5}, "a": math.Copysign(0, -1),
		}},
		"\"\u2028<é\"": {"value": "\u2028<é"},
		`"\ud800\/"`:   {"json": `"\ud800\/"`},
		nested("[", " ", "]", protocol.MaxDepth+1): {"json": nested("[", " ", "]", protocol.MaxDepth+1)},
	} {
		if got, err := firestore.DecodeValue(fields); err != nil || string(got) != want {
			t.Errorf("%v: got %s, %v, want %s", fields, got, err, want)
		}
	}
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
	raw := json.RawMessage(`{"content":"Hello, World","from":"Ann","id":"0f1e2d","order":17}`)
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
