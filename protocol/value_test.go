package protocol_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/replifire/replifire/protocol"
)

func TestCheckValue(t *testing.T) {
	t.Parallel()
	nested := func(open, inner, closing string, depth int) string {
		return strings.Repeat(open, depth) + inner + strings.Repeat(closing, depth)
	}
	tests := []struct {
		name, value string
		want        bool
	}{
		{"null", "null", true},
		{"number", "-0.5e-7", true},
		{"a number that no double holds", "1e999", true},
		{"string", `"a\u0000é😀\ud83d\ude00"`, true},
		{"white space", " \t\r\n[ 1 , { } ]\n", true},
		{"object", `{"":{"__proto__":[]},"a":1,"a":2}`, true},
		{"deepest array", nested("[", "", "]", protocol.MaxDepth), true},
		{"deepest object", nested(`{"a":`, "1", "}", protocol.MaxDepth), true},
		{"arrays and objects by turns", nested(`[{"a":`, "1", "}]", 50), true},
		{"arrays in objects", nested(`{"a":`, nested("[", "", "]", 40), "}", 40), true},
		{"objects in arrays", nested("[", nested(`{"a":`, "[1,{}]", "}", 33), "]", 33), true},
		{"closed in the wrong order", nested("[", nested(`{"a":`, "1", "]", 33), "}", 33), false},
		{"deep beside deep", `[` + nested("[", "", "]", 99) + "," + nested("[", "1", "]", 99) + `]`, true},
		{"nothing", "", false},
		{"two values", "1 1", false},
		{"text", "x", false},
		{"invalid UTF-8", "\"\xff\"", false},
		{"half a pair", `"\ud83d"`, false},
		{"half a pair in a name", `[{"\ude00":1}]`, false},
		{"too deep an array", nested("[", "", "]", protocol.MaxDepth+1), false},
		{"too deep an object", nested(`{"a":`, "1", "}", protocol.MaxDepth+1), false},
		{"bottomless", nested("[", "", "", 1_000_000), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := protocol.CheckValue(json.RawMessage(tt.value))
			if (err == nil) != tt.want {
				t.Errorf("CheckValue(%.100s): got %v, want valid: %t", tt.value, err, tt.want)
			}
		})
	}
}

// TestCheckValueAllocates nothing as long as the value is good.
//
//nolint:paralleltest // it counts what the whole process allocates
func TestCheckValueAllocates(t *testing.T) {
	value := json.RawMessage(`{"from":"é","content":"\ud83d\ude00","order":[1.5e3,true,null,{}]}`)
	got := testing.AllocsPerRun(100, func() {
		if err := protocol.CheckValue(value); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for id, want := range map[protocol.ClientID]bool{
		"":             false,
		"a":            true,
		"a/b":          true,
		".":            true,
		"__x__":        true,
		"\x00":         true,
		"😀%2F":         true,
		"\xff":         false,
		"\xed\xa0\x80": false,
		protocol.ClientID(rep("é", protocol.MaxIDBytes/2)):   true,
		protocol.ClientID(rep("é", protocol.MaxIDBytes/2+1)): false,
	} {
		if err := protocol.CheckID(id); (err == nil) != want {
			t.Errorf("CheckID(%.20q): got %v, want valid: %t", id, err, want)
		}
	}
}

func rep(s string, n int) string { return strings.Repeat(s, n) }

func TestErrorResponse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		response   *protocol.ErrorResponse
		json, text string
	}{
		{
			protocol.ClientStateNotFound(),
			`{"error":"ClientStateNotFound"}`, "ClientStateNotFound",
		},
		{
			protocol.VersionNotSupported(protocol.VersionTypePush),
			`{"error":"VersionNotSupported","versionType":"push"}`, "VersionNotSupported (push)",
		},
		{
			protocol.VersionNotSupported(protocol.VersionTypePull),
			`{"error":"VersionNotSupported","versionType":"pull"}`, "VersionNotSupported (pull)",
		},
		{
			protocol.VersionNotSupported(protocol.VersionTypeSchema),
			`{"error":"VersionNotSupported","versionType":"schema"}`, "VersionNotSupported (schema)",
		},
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.response)
		if err != nil || string(got) != tt.json {
			t.Errorf("got %s, %v, want %s", got, err, tt.json)
		}
		if err := error(tt.response); err.Error() != tt.text {
			t.Errorf("got text %q, want %q", err.Error(), tt.text)
		}
	}
}

// TestDecodeErrorText: it is shown to the sender, and says where to look.
func TestDecodeErrorText(t *testing.T) {
	t.Parallel()
	noRoom := replace(t, validPull, `"order":9`, `"order":1e400`)
	for body, want := range map[string]string{
		`[]`:             "request must be a JSON object",
		`{"a":tru}`:      `request is not valid JSON: byte 8 should be the rest of true`,
		`{"a":`:          "request is not valid JSON: it ends where a value should be",
		`{}x`:            "request has something after its end, at byte 2",
		"{\"\xff\":1}":   "request is not valid UTF-8",
		`{}`:             "pullVersion is missing",
		rep(`[`, 10_001): "request must be a JSON object",
		noRoom:           "cookie.order must leave room for a larger integer below 2^53",
	} {
		_, err := protocol.DecodePullRequest([]byte(body))
		if e, ok := errors.AsType[*protocol.DecodeError](err); !ok || e.Error() != want {
			t.Errorf("%s: got error %v, want %q", body, err, want)
		}
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]int{
		`1`: 0, `"[["`: 0, `[]`: 1, `{"a":1}`: 1, `[{"a":1},[[]]]`: 3,
		strings.Repeat("[", 100) + strings.Repeat("]", 100): 100,
	} {
		if got := protocol.Depth([]byte(raw)); got != want {
			t.Errorf("Depth(%.20s) = %d, want %d", raw, got, want)
		}
	}
}
