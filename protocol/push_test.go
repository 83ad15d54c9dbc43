package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/protocol"
)

const (
	validMutation = `{"clientID":"c1","id":1,"name":"createMessage","args":{"id":"m"},"timestamp":12.5}`
	validPush     = `{"profileID":"p","clientGroupID":"g","mutations":[` + validMutation +
		`],"pushVersion":1,"schemaVersion":"s"}`
	validPushV0 = `{"clientID":"c1","mutations":[{"id":1,"name":"n","args":null,"timestamp":1}],` +
		`"pushVersion":0,"schemaVersion":"s"}`
)

// push1 is a push of version 1 with the one mutation given, whose index is 0.
func push1(mutation string) string {
	return strings.Replace(validPush, validMutation, mutation, 1)
}

// replace is strings.Replace of the one old that must be there.
func replace(t *testing.T, text, old, with string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q is not exactly once in %s", old, text)
	}
	return strings.Replace(text, old, with, 1)
}

func TestDecodePushRequest(t *testing.T) {
	t.Parallel()
	first := protocol.Mutation{ClientID: "c1", ID: 1, Name: "createMessage", Args: json.RawMessage(`{"id":"m"}`)}
	tests := []struct {
		name string
		body string
		want protocol.PushRequest
	}{
		{"version 1", validPush, protocol.PushRequest{
			Version: 1, ProfileID: "p", ClientGroupID: "g", SchemaVersion: "s",
			Mutations: []protocol.Mutation{first},
		}},
		{"version 0 makes the client a group of its own", validPushV0, protocol.PushRequest{
			Version: 0, ClientGroupID: "c1", SchemaVersion: "s",
			Mutations: []protocol.Mutation{{ClientID: "c1", ID: 1, Name: "n", Args: json.RawMessage("null")}},
		}},
		{
			"version 0 with a profile and without a timestamp",
			`{"pushVersion":0,"profileID":"p","clientID":"c","schemaVersion":"","mutations":[{"id":2,"name":"n","args":[]}]}`,
			protocol.PushRequest{
				Version: 0, ProfileID: "p", ClientGroupID: "c",
				Mutations: []protocol.Mutation{{ClientID: "c", ID: 2, Name: "n", Args: json.RawMessage("[]")}},
			},
		},
		{
			"version 0 overrules whatever else its mutations say of clients",
			`{"pushVersion":0,"clientGroupID":7,"clientID":"c","schemaVersion":"",` +
				`"mutations":[{"clientID":8,"id":2,"name":"n","args":0}]}`,
			protocol.PushRequest{
				Version: 0, ClientGroupID: "c",
				Mutations: []protocol.Mutation{{ClientID: "c", ID: 2, Name: "n", Args: json.RawMessage("0")}},
			},
		},
		{
			"no mutations", push1(""),
			protocol.PushRequest{Version: 1, ProfileID: "p", ClientGroupID: "g", SchemaVersion: "s"},
		},
		{
			"clients interleaved",
			push1(`{"clientID":"a","id":7,"name":"x","args":1,"timestamp":0},` +
				`{"clientID":"b","id":1,"name":"x","args":2,"timestamp":0},` +
				`{"clientID":"a","id":8,"name":"y","args":3,"timestamp":-1e-3}`),
			protocol.PushRequest{
				Version: 1, ProfileID: "p", ClientGroupID: "g", SchemaVersion: "s",
				Mutations: []protocol.Mutation{
					{ClientID: "a", ID: 7, Name: "x", Args: json.RawMessage("1")},
					{ClientID: "b", ID: 1, Name: "x", Args: json.RawMessage("2")},
					{ClientID: "a", ID: 8, Name: "y", Args: json.RawMessage("3")},
				},
			},
		},
		{
			"white space, any order, escapes in names, unknown fields",
			" {\t\"mutations\" :\r\n[ ] , \"schem\\u0061Version\" : \"\\u0041\\n\", \"push\\u0056ersion\" : 1.0e0 ,\n" +
				`"PushVersion":2,"x":{"mutations":[[{}],-0.5E+3,true,false,"\u0000"]},` +
				`"clientGroupID":"\ud83d\ude00","profileID":"", "y" : [ ] } `,
			protocol.PushRequest{Version: 1, ClientGroupID: "😀", SchemaVersion: "A\n"},
		},
		{
			"half of a surrogate pair in the schema version is replaced",
			strings.Replace(push1(""), `"s"`, `"\ud800\ud83d\ude00"`, 1),
			protocol.PushRequest{Version: 1, ProfileID: "p", ClientGroupID: "g", SchemaVersion: "\ufffd😀"},
		},
		{
			"in version 1, clientID is an unknown field",
			strings.Replace(push1(""), `{`, `{"clientID":1,"clientID":2,`, 1),
			protocol.PushRequest{Version: 1, ProfileID: "p", ClientGroupID: "g", SchemaVersion: "s"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := protocol.DecodePushRequest([]byte(tt.body))
			if err != nil {
				t.Fatalf("DecodePushRequest(%s): %v", tt.body, err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("DecodePushRequest(%s): -want +got\n%s", tt.body, diff)
			}
		})
	}
}

// TestDecodePushRequestMutationID has the forms of an id: the number counts, not how
// it is written.
func TestDecodePushRequestMutationID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1":                              1,
		"15":                             15,
		"1e3":                            1000,
		"1E+3":                           1000,
		"1.0":                            1,
		"10e-1":                          1,
		"1.5e1":                          15,
		"0.001e6":                        1000,
		"100000e-5":                      1,
		"1e0000000000000000000000000015": 1e15,
		"9007199254740991":               protocol.MaxMutationID,
		"9007199254740991.000":           protocol.MaxMutationID,
		"900719925474099.1e1":            protocol.MaxMutationID,
		"90071992547409910e-1":           protocol.MaxMutationID,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := protocol.DecodePushRequest([]byte(push1(replace(t, validMutation, `"id":1`, `"id":`+text))))
			if err != nil {
				t.Fatalf("id %s: %v", text, err)
			}
			if got.Mutations[0].ID != want {
				t.Errorf("id %s: got %d, want %d", text, got.Mutations[0].ID, want)
			}
		})
	}
}

func TestDecodePushRequestRefusesMutationID(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`"15"`, "16.5", "0", "-0", "0e5", "0.0", "-1", "null", "true", "[1]", `{"id":1}`, "1e-1", "15e-1",
		"9007199254740992", "9007199254740991.4", "90071992547409920e-1", "1e16", "1e400", "-1e400",
		"1e99999999999999999999", "1e-99999999999999999999", "9223372036854775808",
		"0.99999999999999999999999999999999", "-9223372036854775809", "123456789012345678901234567890",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := protocol.DecodePushRequest([]byte(push1(replace(t, validMutation, `"id":1`, `"id":`+text))))
			wantDecodeError(t, err, "mutations[0].id")
		})
	}
}

// wantDecodeError checks that err is a *DecodeError of field.
func wantDecodeError(t *testing.T, err error, field string) {
	t.Helper()
	e, ok := errors.AsType[*protocol.DecodeError](err)
	if !ok {
		t.Fatalf("got error %v, want a *DecodeError of %q", err, field)
	}
	if e.Field != field {
		t.Errorf("got %q (%v), want field %q", e.Field, e, field)
	}
	if field != "" && !strings.HasPrefix(err.Error(), field+" ") || e.Reason == "" {
		t.Errorf("got text %q, want one that begins with the field %q", err, field)
	}
}

func TestDecodePushRequestRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", protocol.MaxIDBytes+1)
	tests := []struct {
		name     string
		old, new string // what is replaced in validPush
		field    string
	}{
		{"version missing", `"pushVersion":1,`, ``, "pushVersion"},
		{"version null", `"pushVersion":1`, `"pushVersion":null`, "pushVersion"},
		{"version a string", `"pushVersion":1`, `"pushVersion":"1"`, "pushVersion"},
		{"version with a fraction", `"pushVersion":1`, `"pushVersion":1.5`, "pushVersion"},
		{"version tiny", `"pushVersion":1`, `"pushVersion":1e-400`, "pushVersion"},
		{"version twice", `"pushVersion":1`, `"pushVersion":1,"pushVersion":1`, "pushVersion"},
		{"version twice, unknown", `"pushVersion":1`, `"pushVersion":1,"push\u0056ersion":9`, "pushVersion"},
		{"profile missing", `"profileID":"p",`, ``, "profileID"},
		{"profile null", `"profileID":"p"`, `"profileID":null`, "profileID"},
		{"profile too long", `"profileID":"p"`, `"profileID":"` + long + `"`, "profileID"},
		{"group missing", `"clientGroupID":"g",`, ``, "clientGroupID"},
		{"group misspelt", `"clientGroupID"`, `"clientGroupId"`, "clientGroupID"},
		{"group empty", `"clientGroupID":"g"`, `"clientGroupID":""`, "clientGroupID"},
		{"group a number", `"clientGroupID":"g"`, `"clientGroupID":1`, "clientGroupID"},
		{"group too long", `"clientGroupID":"g"`, `"clientGroupID":"` + long + `"`, "clientGroupID"},
		{"group half a pair", `"clientGroupID":"g"`, `"clientGroupID":"\udc00"`, "clientGroupID"},
		{"group twice", `"clientGroupID":"g"`, `"clientGroupID":"g","clientGroupID":"g"`, "clientGroupID"},
		{"schema missing", `,"schemaVersion":"s"`, ``, "schemaVersion"},
		{"schema a number", `"schemaVersion":"s"`, `"schemaVersion":1`, "schemaVersion"},
		{"schema null", `"schemaVersion":"s"`, `"schemaVersion":null`, "schemaVersion"},
		{"mutations missing", `"mutations"`, `"mutation"`, "mutations"},
		{"mutations null", `[` + validMutation + `]`, `null`, "mutations"},
		{"mutations an object", `[` + validMutation + `]`, validMutation, "mutations"},
		{"mutations a string", `[` + validMutation + `]`, `"[]"`, "mutations"},
		{"mutations twice", `"mutations"`, `"mutations":[],"mutations"`, "mutations"},
		{"mutation null", validMutation, validMutation + `,null,{}`, "mutations[1]"},
		{"mutation an array", validMutation, `[` + validMutation + `]`, "mutations[0]"},
		{"mutation empty", validMutation, validMutation + "," + `{}`, "mutations[1].id"},
		{"the first problem counts", validMutation, `{"id":1},{"id":"x"},7`, "mutations[0].name"},
		{"client missing", `"clientID":"c1",`, ``, "mutations[0].clientID"},
		{"client null", `"c1"`, `null`, "mutations[0].clientID"},
		{"client empty", `"c1"`, `""`, "mutations[0].clientID"},
		{"client a number", `"c1"`, `1`, "mutations[0].clientID"},
		{"client too long", `"c1"`, `"` + long + `"`, "mutations[0].clientID"},
		{"client half a pair", `"c1"`, `"c\ud83dc"`, "mutations[0].clientID"},
		{"client twice", `"clientID":"c1"`, `"clientID":"c1","clientID":"c1"`, "mutations[0].clientID"},
		{"id missing", `"id":1,`, ``, "mutations[0].id"},
		{"id twice", `"id":1`, `"id":1,"i\u0064":2`, "mutations[0].id"},
		{"id in other case", `"id":1`, `"ID":1`, "mutations[0].id"},
		{"name missing", `"name":"createMessage",`, ``, "mutations[0].name"},
		{"name null", `"createMessage"`, `null`, "mutations[0].name"},
		{"name twice", `"name":"createMessage"`, `"name":"a","name":"a"`, "mutations[0].name"},
		{"args twice", `"args":{"id":"m"}`, `"args":1,"args":1`, "mutations[0].args"},
		{"timestamp missing", `,"timestamp":12.5`, ``, "mutations[0].timestamp"},
		{"timestamp a string", `12.5`, `"12.5"`, "mutations[0].timestamp"},
		{"timestamp null", `12.5`, `null`, "mutations[0].timestamp"},
		{"timestamp twice", `"timestamp":12.5`, `"timestamp":1,"timestamp":1`, "mutations[0].timestamp"},
		{"a body of version 0", `"pushVersion":1,`, `"pushVersion":0,`, "clientID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := protocol.DecodePushRequest([]byte(replace(t, validPush, tt.old, tt.new)))
			wantDecodeError(t, err, tt.field)
		})
	}
}

func TestDecodePushRequestRefusesV0(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		old, new string // what is replaced in validPushV0
		field    string
	}{
		{"client missing", `"clientID":"c1",`, ``, "clientID"},
		{"client empty", `"c1"`, `""`, "clientID"},
		{"client null", `"c1"`, `null`, "clientID"},
		{"client twice", `"clientID":"c1"`, `"clientID":"c1","clientID":"c1"`, "clientID"},
		{"profile a number", `"clientID":"c1"`, `"clientID":"c1","profileID":1`, "profileID"},
		{"schema missing", `,"schemaVersion":"s"`, ``, "schemaVersion"},
		{"id missing", `"id":1,`, ``, "mutations[0].id"},
		{"timestamp a string", `"timestamp":1`, `"timestamp":"1"`, "mutations[0].timestamp"},
		{"a body of version 1", `"pushVersion":0,`, `"pushVersion":1,`, "profileID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := protocol.DecodePushRequest([]byte(replace(t, validPushV0, tt.old, tt.new)))
			wantDecodeError(t, err, tt.field)
		})
	}
}

// TestDecodeVersionNotSupported shows that nothing is asked for before the version is
// known, and that a broken body is of no version.
func TestDecodeVersionNotSupported(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"2", "99", "-1", "2.0", "1e30", "-1e30", "12345678901234567890"} {
		for _, body := range []string{
			`{"%sVersion":V}`,
			`{"mutations":7,"cookie":true,"clientID":null,"%sVersion":V,"schemaVersion":null}`,
			`{"mutations":[{"id":"x"},3],"mutations":[],"%sVersion":V,"later":{}}`,
		} {
			body = strings.Replace(body, "V}", v+"}", 1)
			body = strings.Replace(body, "V,", v+",", 1)
			t.Run(body, func(t *testing.T) {
				t.Parallel()
				_, err := protocol.DecodePushRequest(fmt.Appendf(nil, body, "push"))
				wantErrorResponse(t, err, *protocol.VersionNotSupported(protocol.VersionTypePush))
				_, err = protocol.DecodePullRequest(fmt.Appendf(nil, body, "pull"))
				wantErrorResponse(t, err, *protocol.VersionNotSupported(protocol.VersionTypePull))
			})
		}
	}
}

func wantErrorResponse(t *testing.T, err error, want protocol.ErrorResponse) {
	t.Helper()
	got, ok := errors.AsType[*protocol.ErrorResponse](err)
	if !ok || *got != want {
		t.Errorf("got error %v, want %v", err, &want)
	}
}

// TestDecodeRefusesBrokenBodies has what is no JSON object at all, or more than one,
// for both requests.
func TestDecodeRefusesBrokenBodies(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":                     "",
		"white space":               " \n",
		"null":                      "null",
		"array":                     "[]",
		"array of a push":           "[" + validPush + "]",
		"string":                    `"{}"`,
		"number":                    "1",
		"text":                      "not json",
		"byte order mark":           "\ufeff" + validPush,
		"trailing text":             validPush + "x",
		"trailing object":           validPush + "{}",
		"trailing NUL":              validPush + "\x00",
		"leading NUL":               "\x00" + validPush,
		"trailing comma":            `{"a":1,}`,
		"leading comma":             `{,"a":1}`,
		"no comma":                  `{"a":1"b":2}`,
		"no colon":                  `{"a"1}`,
		"no value":                  `{"a":}`,
		"no name":                   `{:1}`,
		"bare name":                 `{a:1}`,
		"single quotes":             `{'a':1}`,
		"comment":                   `{"a":1/**/}`,
		"cut in object":             `{"a":1`,
		"cut after brace":           `{`,
		"cut in name":               `{"a`,
		"cut after name":            `{"a"`,
		"cut after colon":           `{"a":`,
		"cut in string":             `{"a":"b`,
		"cut in escape":             `{"a":"\`,
		"cut in \\u":                `{"a":"\u12`,
		"cut in array":              `{"a":[1,`,
		"cut in literal":            `{"a":tru`,
		"cut in mutations":          `{"mutations":[`,
		"cut in mutation":           `{"mutations":[{"id":1`,
		"comma ends mutations":      `{"mutations":[{},]}`,
		"no comma in mutations":     `{"mutations":[{} {}]}`,
		"mutation broken":           `{"pushVersion":1,"mutations":[{"id":01}]}`,
		"wrong closer":              `{"a":[}}`,
		"wrong closer of object":    `{"a":{]}`,
		"wrong closer after value":  `{"a":[1}}`,
		"comma ends array":          `{"a":[1,]}`,
		"comma ends inner object":   `{"a":{"b":1,}}`,
		"inner name not a string":   `{"a":{1:1}}`,
		"inner colon missing":       `{"a":{"b" 1}}`,
		"inner name broken":         `{"a":{"\x":1}}`,
		"literal misspelt":          `{"a":nul1}`,
		"literal in capitals":       `{"a":True}`,
		"NaN":                       `{"a":NaN}`,
		"Infinity":                  `{"a":-Infinity}`,
		"leading zero":              `{"a":01}`,
		"plus":                      `{"a":+1}`,
		"minus only":                `{"a":-}`,
		"no digits before the dot":  `{"a":.5}`,
		"no digits after the dot":   `{"a":5.}`,
		"no digits in the exponent": `{"a":5e+}`,
		"hexadecimal":               `{"a":0x10}`,
		"unknown escape":            `{"a":"\x41"}`,
		"bad \\u":                   `{"a":"\u12G4"}`,
		"bad \\u after half a pair": `{"a":"\ud83d\u12"}`,
		"newline in string":         "{\"a\":\"\n\"}",
		"NUL in string":             "{\"a\":\"\x00\"}",
		"no UTF-8 in string":        "{\"a\":\"\xff\"}",
		"no UTF-8 in name":          "{\"\xc3\":1}",
		"raw half of a pair":        "{\"a\":\"\xed\xa0\x80\"}",
		"overlong":                  "{\"a\":\"\xc0\x80\"}",
		"UTF-16":                    "{\x00}\x00",
		"too deep":                  `{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}",
		"too deep in args": `{"mutations":[{"args":` + strings.Repeat(`{"a":`, 9_998) + "1" +
			strings.Repeat("}", 9_998) + "}]}",
		"bottomless": `{"a":` + strings.Repeat("[", 1_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := protocol.DecodePushRequest([]byte(body))
			wantDecodeError(t, err, "")
			_, err = protocol.DecodePullRequest([]byte(body))
			wantDecodeError(t, err, "")
		})
	}
}

// TestDecodePushRequestInvalid has what no client may be stopped for: the request is
// good, the mutation marked.
func TestDecodePushRequestInvalid(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string {
		return strings.Repeat("[", depth) + strings.Repeat("]", depth)
	}
	tests := []struct {
		name, old, new string
		mutator        string
		invalid        bool
	}{
		{"as deep as allowed", `{"id":"m"}`, nested(protocol.MaxDepth), "createMessage", false},
		{"too deep", `{"id":"m"}`, nested(protocol.MaxDepth + 1), "createMessage", true},
		{"as deep as a body can be", `{"id":"m"}`, nested(9_997), "createMessage", true},
		{"half a pair", `{"id":"m"}`, `{"id":"\ud83d"}`, "createMessage", true},
		{"half a pair, and a whole", `{"id":"m"}`, `["\ud83d\ud83d\ude00"]`, "createMessage", true},
		{"the wrong half", `{"id":"m"}`, `"\ude00\ud83d"`, "createMessage", true},
		{"half a pair in a name", `{"id":"m"}`, `[{"\uDBFF":1}]`, "createMessage", true},
		{"half a pair before an escape", `{"id":"m"}`, `"\ud83d\u0041"`, "createMessage", true},
		{"half a pair before an escaped backslash", `{"id":"m"}`, `"\ud83d\\ude00"`, "createMessage", true},
		{"a whole pair", `{"id":"m"}`, `"\uD83D\uDE00"`, "createMessage", false},
		{"an escaped replacement character", `{"id":"m"}`, `"\ufffd"`, "createMessage", false},
		{"an escaped backslash before ud83d", `{"id":"m"}`, `"\\ud83d"`, "createMessage", false},
		{"half a pair in the mutator's name", `createMessage`, `create\ud83d`, "create\ufffd", true},
		{"no name", `createMessage`, ``, "", false},
		{"longest name", `createMessage`, strings.Repeat("é", 128), strings.Repeat("é", 128), false},
		{"name too long", `createMessage`, strings.Repeat("x", 257), strings.Repeat("x", 256), true},
		{"cut between characters", `createMessage`, strings.Repeat("x", 255) + "é", strings.Repeat("x", 255), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := replace(t, validPush, tt.old, tt.new)
			got, err := protocol.DecodePushRequest([]byte(body))
			if err != nil {
				t.Fatalf("DecodePushRequest: %v", err)
			}
			m := got.Mutations[0]
			if (m.Invalid != "") != tt.invalid || m.Name != tt.mutator {
				t.Errorf("got mutation %q, invalid because %q; want %q, invalid %t", m.Name, m.Invalid, tt.mutator, tt.invalid)
			}
			if !json.Valid(m.Args) {
				t.Errorf("args %s are not valid JSON", m.Args)
			}
		})
	}
}

// TestDecodePushRequestDoesNotCopyArgs holds the decoder to its word: args are
// slices of the body, which cannot grow into what follows.
func TestDecodePushRequestDoesNotCopyArgs(t *testing.T) {
	t.Parallel()
	body := []byte(validPush)
	got, err := protocol.DecodePushRequest(body)
	if err != nil {
		t.Fatal(err)
	}
	args := got.Mutations[0].Args
	if &args[0] != &body[strings.Index(validPush, `{"id":"m"}`)] || cap(args) != len(args) {
		t.Errorf("args (capacity %d, length %d) are not the body's own", cap(args), len(args))
	}
}

// TestDecodePushRequestMemory shows that a body of what is wrong does not become
// many times its size.
//
//nolint:paralleltest // it counts what the whole process allocates
func TestDecodePushRequestMemory(t *testing.T) {
	body := []byte(push1(strings.TrimSuffix(strings.Repeat("{},", 1_000_000), ",")))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := protocol.DecodePushRequest(body)
	runtime.ReadMemStats(&after)
	wantDecodeError(t, err, "mutations[0].id")
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("a body of %d bytes allocated %d", len(body), got)
	}
}

// TestMutationWithoutArgs: JSON.stringify leaves out what is undefined, and a client whose push
// is a 400 is stopped for good.
func TestMutationWithoutArgs(t *testing.T) {
	t.Parallel()
	for version, body := range map[string]string{
		"0": `{"pushVersion":0,"profileID":"","clientID":"c1","schemaVersion":"","mutations":[{"id":1,"name":"clear"}]}`,
		"1": `{"pushVersion":1,"profileID":"p","clientGroupID":"g1","schemaVersion":"","mutations":[` +
			`{"clientID":"c1","id":1,"name":"clear","timestamp":1}]}`,
	} {
		req, err := protocol.DecodePushRequest([]byte(body))
		if err != nil {
			t.Errorf("version %s: %v", version, err)
			continue
		}
		if m := req.Mutations[0]; string(m.Args) != "null" || m.Invalid != "" {
			t.Errorf("version %s: args %q, invalid %q; want null", version, m.Args, m.Invalid)
		}
	}
}
