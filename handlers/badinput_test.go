package handlers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

func commitOf(prev, next engine.Head) engine.Commit { return engine.Commit{Prev: prev, Next: next} }

// effect is what a request does to the space.
type effect int

const (
	nothing effect = iota
	commits        // one new version
)

// push and pull make bodies of version 1 that differ from a good one.
func push(mutations string) string {
	return `{"pushVersion":1,"clientGroupID":"g1","profileID":"p","schemaVersion":"","mutations":` + mutations + `}`
}

func mutate(fields string) string { return push(`[{` + fields + `}]`) }

// create is a mutation of client c1 with the given id and arguments.
func create(id, args string) string {
	return mutate(`"clientID":"c1","id":` + id + `,"name":"createMessage","args":` + args + `,"timestamp":1`)
}

func pullWith(cookie string) string {
	return `{"pullVersion":1,"clientGroupID":"g1","profileID":"p","schemaVersion":"","cookie":` + cookie + `}`
}

const goodArgs = `{"id":"m2","from":"Fred","content":"tacos?","order":2}`

type badInput struct {
	name, path, body string
	status           int
	contains         string // in the answer
	effect           effect
}

// envelope: protocol.md §1.2, §1.3, §2.1, and what attackers send.
var envelope = []badInput{
	{"empty body", pushPath, ``, 400, "", nothing},
	{"white space", pushPath, " \n", 400, "", nothing},
	{"not JSON", pushPath, `hello`, 400, "", nothing},
	{"cut off", pushPath, onePush[:40], 400, "", nothing},
	{"trailing data", pushPath, onePush + `{}`, 400, "", nothing},
	{"byte order mark", pushPath, "\ufeff" + onePush, 400, "", nothing},
	{"invalid UTF-8", pushPath, strings.Replace(onePush, "Jane", "\xff", 1), 400, "", nothing},
	{"null", pushPath, `null`, 400, "", nothing},
	{"array", pushPath, `[]`, 400, "", nothing},
	{"string", pushPath, `"x"`, 400, "", nothing},
	{"empty object", pushPath, `{}`, 400, "pushVersion", nothing},
	{"form", pushPath, `pushVersion=1`, 400, "", nothing},
	{"deep", pushPath, strings.Repeat("[", 100_000), 400, "", nothing},
	{
		"deep unknown field", pushPath,
		`{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
		400, "", nothing,
	},
	{"pull for push", pushPath, firstPull, 400, "pushVersion", nothing},
	{"push for pull", pullPath, onePush, 400, "pullVersion", nothing},
	{
		"pushVersion string", pushPath,
		strings.Replace(onePush, `"pushVersion":1`, `"pushVersion":"1"`, 1),
		400, "pushVersion", nothing,
	},
	{
		"pushVersion null", pushPath,
		strings.Replace(onePush, `"pushVersion":1`, `"pushVersion":null`, 1),
		400, "pushVersion", nothing,
	},
	{
		"pushVersion twice", pushPath,
		strings.Replace(onePush, `"pushVersion":1`, `"pushVersion":1,"pushVersion":0`, 1),
		400, "pushVersion", nothing,
	},
	{
		"pushVersion 1.5", pushPath,
		strings.Replace(onePush, `"pushVersion":1`, `"pushVersion":1.5`, 1),
		400, "pushVersion", nothing,
	},
	{
		"pushVersion 2", pushPath,
		`{"pushVersion":2}`,
		200, `{"error":"VersionNotSupported","versionType":"push"}`, nothing,
	},
	{
		"pushVersion 99", pushPath,
		strings.Replace(onePush, `"pushVersion":1`, `"pushVersion":99`, 1),
		200, `"versionType":"push"`, nothing,
	},
	{"pushVersion -1", pushPath, `{"pushVersion":-1}`, 200, `"versionType":"push"`, nothing},
	{
		"pullVersion 7", pullPath,
		`{"pullVersion":7}`,
		200, `{"error":"VersionNotSupported","versionType":"pull"}`, nothing,
	},
	{
		"no clientGroupID", pushPath,
		strings.Replace(onePush, `"clientGroupID":"g1",`, ``, 1),
		400, "clientGroupID", nothing,
	},
	{"clientGroupID empty", pushPath, strings.Replace(onePush, `"g1"`, `""`, 1), 400, "clientGroupID", nothing},
	{"clientGroupID number", pushPath, strings.Replace(onePush, `"g1"`, `1`, 1), 400, "clientGroupID", nothing},
	{
		"clientGroupID long", pushPath,
		strings.Replace(onePush, `"g1"`, `"`+strings.Repeat("g", 1025)+`"`, 1),
		400, "clientGroupID", nothing,
	},
	{
		"clientGroupID half a pair", pushPath,
		strings.Replace(onePush, `"g1"`, `"\ud800"`, 1),
		400, "clientGroupID", nothing,
	},
	{"no profileID", pushPath, strings.Replace(onePush, `"profileID":"p",`, ``, 1), 400, "profileID", nothing},
	{"no schemaVersion", pushPath, strings.Replace(onePush, `"schemaVersion":"",`, ``, 1), 400, "schemaVersion", nothing},
	{
		"schemaVersion number", pushPath,
		strings.Replace(onePush, `"schemaVersion":""`, `"schemaVersion":1`, 1),
		400, "schemaVersion", nothing,
	},
	{
		"names in capitals", pushPath,
		strings.Replace(onePush, `"pushVersion"`, `"PushVersion"`, 1),
		400, "pushVersion", nothing,
	},
	{"no mutations", pushPath, strings.Replace(push(`[]`), `,"mutations":[]`, ``, 1), 400, "mutations", nothing},
	{"mutations null", pushPath, push(`null`), 400, "mutations", nothing},
	{"mutations object", pushPath, push(`{}`), 400, "mutations", nothing},
	{"mutations empty", pushPath, push(`[]`), 200, "{}", nothing},
	{"mutation null", pushPath, push(`[null]`), 400, "mutations[0]", nothing},
	{"mutation string", pushPath, push(`["x"]`), 400, "mutations[0]", nothing},
	{
		"V0 mutation in V1", pushPath,
		mutate(`"id":2,"name":"createMessage","args":` + goodArgs + `,"timestamp":1`),
		400, "mutations[0].clientID", nothing,
	},
}

// ids: which mutation ids there are, and what is done with them (protocol.md §3,
// §8.3). The space has acknowledged mutation 1 of c1.
var ids = []badInput{
	{"already processed", pushPath, onePush, 200, "{}", nothing},
	{"already processed, other content", pushPath, create(`1`, goodArgs), 200, "{}", nothing},
	{"next", pushPath, create(`2`, goodArgs), 200, "{}", commits},
	{"next as float", pushPath, create(`2.0`, goodArgs), 200, "{}", commits},
	{"next with exponent", pushPath, create(`0.2e1`, goodArgs), 200, "{}", commits},
	{"from the future", pushPath, create(`3`, goodArgs), 200, "ClientStateNotFound", nothing},
	{"far future", pushPath, create(`9007199254740991`, goodArgs), 200, "ClientStateNotFound", nothing},
	{"2^53", pushPath, create(`9007199254740992`, goodArgs), 400, "mutations[0].id", nothing},
	{"1e300", pushPath, create(`1e300`, goodArgs), 400, "mutations[0].id", nothing},
	{"1e999999999", pushPath, create(`1e999999999`, goodArgs), 400, "mutations[0].id", nothing},
	{"zero", pushPath, create(`0`, goodArgs), 400, "mutations[0].id", nothing},
	{"negative", pushPath, create(`-1`, goodArgs), 400, "mutations[0].id", nothing},
	{"fraction", pushPath, create(`2.5`, goodArgs), 400, "mutations[0].id", nothing},
	{"string", pushPath, create(`"2"`, goodArgs), 400, "mutations[0].id", nothing},
	{"null", pushPath, create(`null`, goodArgs), 400, "mutations[0].id", nothing},
	{
		"absent", pushPath,
		mutate(`"clientID":"c1","name":"createMessage","args":null,"timestamp":1`),
		400, "mutations[0].id", nothing,
	},
	{"twice", pushPath, create(`2,"id":3`, goodArgs), 400, "mutations[0].id", nothing},
	{
		"good, then bad", pushPath,
		push(`[{"clientID":"c1","id":2,"name":"createMessage","args":` + goodArgs + `},{"clientID":"c1","id":"3"}]`),
		400, "mutations[1]", nothing,
	},
	{
		"good, then from the future", pushPath,
		push(`[{"clientID":"c1","id":2,"name":"createMessage","args":` + goodArgs +
			`,"timestamp":1},{"clientID":"c1","id":9,"name":"createMessage","args":` + goodArgs + `,"timestamp":1}]`),
		409, "mutation_gap", commits,
	},
	{"new client, 1", pushPath, strings.Replace(create(`1`, goodArgs), `"c1"`, `"c2"`, 1), 200, "{}", commits},
	{
		"new client, 2", pushPath,
		strings.Replace(create(`2`, goodArgs), `"c1"`, `"c2"`, 1),
		200, "ClientStateNotFound", nothing,
	},
	{
		"new group and client, 2", pushPath,
		strings.NewReplacer(`"c1"`, `"c2"`, `"g1"`, `"g2"`).Replace(create(`2`, goodArgs)),
		200, "ClientStateNotFound", nothing,
	},
	{
		"client of another group", pushPath,
		strings.Replace(create(`2`, goodArgs), `"g1"`, `"g2"`, 1),
		403, "forbidden", nothing,
	},
	{"group of another space", pushPath + "?space=other", create(`2`, goodArgs), 403, "forbidden", nothing},
	{
		"clientID empty", pushPath,
		strings.Replace(create(`2`, goodArgs), `"c1"`, `""`, 1),
		400, "mutations[0].clientID", nothing,
	},
	{
		"clientID long", pushPath,
		strings.Replace(create(`2`, goodArgs), `"c1"`, `"`+strings.Repeat("c", 1025)+`"`, 1),
		400, "mutations[0].clientID", nothing,
	},
	{
		"clientID number", pushPath,
		strings.Replace(create(`2`, goodArgs), `"c1"`, `7`, 1),
		400, "mutations[0].clientID", nothing,
	},
	{
		"name absent", pushPath,
		mutate(`"clientID":"c1","id":2,"args":null,"timestamp":1`),
		400, "mutations[0].name", nothing,
	},
	{
		"name number", pushPath,
		mutate(`"clientID":"c1","id":2,"name":3,"args":null,"timestamp":1`),
		400, "mutations[0].name", nothing,
	},
}

// rejections are acknowledged and have no effect: one commit, no message
// (protocol.md §3 "mutator raises", §8.3).
var rejections = []badInput{
	{
		"unknown mutator", pushPath,
		strings.Replace(create(`2`, goodArgs), "createMessage", "dropTables", 1),
		200, "{}", commits,
	},
	{"no name", pushPath, strings.Replace(create(`2`, goodArgs), "createMessage", "", 1), 200, "{}", commits},
	{
		"long name", pushPath,
		strings.Replace(create(`2`, goodArgs), "createMessage", strings.Repeat("n", 10_000), 1),
		200, "{}", commits,
	},
	{"message exists", pushPath, create(`2`, strings.Replace(goodArgs, "m2", "m1", 1)), 200, "{}", commits},
	{"args null", pushPath, create(`2`, `null`), 200, "{}", commits},
	{"args array", pushPath, create(`2`, `[]`), 200, "{}", commits},
	{"args empty", pushPath, create(`2`, `{}`), 200, "{}", commits},
	{"id a number", pushPath, create(`2`, strings.Replace(goodArgs, `"m2"`, `77`, 1)), 200, "{}", commits},
	{
		"order a string", pushPath,
		create(`2`, strings.Replace(goodArgs, `"order":2`, `"order":"2"`, 1)),
		200, "{}", commits,
	},
	{"content an object", pushPath, create(`2`, strings.Replace(goodArgs, `"tacos?"`, `{"a":1}`, 1)), 200, "{}", commits},
	{
		"id too long", pushPath,
		create(`2`, strings.Replace(goodArgs, `m2`, strings.Repeat("m", 2000), 1)),
		200, "{}", commits,
	},
	{
		"content too large", pushPath,
		create(`2`, strings.Replace(goodArgs, `tacos?`, strings.Repeat("x", 1_100_000), 1)),
		200, "{}", commits,
	},
	{"half a pair", pushPath, create(`2`, strings.Replace(goodArgs, `tacos?`, `\udc00`, 1)), 200, "{}", commits},
	{"args deep", pushPath, create(`2`, strings.Repeat(`[`, 9000)+strings.Repeat(`]`, 9000)), 200, "{}", commits},
	{
		"updates nothing", pushPath,
		strings.Replace(create(`2`, `{"id":"m9","content":"x"}`), "createMessage", "updateMessage", 1),
		200, "{}", commits,
	},
	{
		"deletes nothing", pushPath,
		strings.Replace(create(`2`, `{"id":"m9"}`), "createMessage", "deleteMessage", 1),
		200, "{}", commits,
	},
}

// pulls: cookies and the rest of a pull (protocol.md §2.1, §4.5, design §5).
var pulls = []badInput{
	{"group of nobody", pullPath, strings.Replace(firstPull, `"g1"`, `"new"`, 1), 200, `"op":"put"`, nothing},
	{"group of another space", pullPath + "?space=other", firstPull, 403, "forbidden", nothing},
	{
		"no clientGroupID", pullPath,
		strings.Replace(firstPull, `"clientGroupID":"g1",`, ``, 1),
		400, "clientGroupID", nothing,
	},
	{"no cookie", pullPath, strings.Replace(firstPull, `,"cookie":null`, ``, 1), 400, "cookie", nothing},
	{"cookie null", pullPath, pullWith(`null`), 200, `{"op":"clear"}`, nothing},
	{"cookie number", pullPath, pullWith(`41`), 200, `"order":42`, nothing},
	{"cookie negative", pullPath, pullWith(`-7`), 200, `{"op":"clear"}`, nothing},
	{"cookie fraction", pullPath, pullWith(`1.5`), 200, `{"op":"clear"}`, nothing},
	{"cookie string", pullPath, pullWith(`"abc"`), 200, `{"op":"clear"}`, nothing},
	{"cookie of another epoch", pullPath, pullWith(`{"order":8,"version":1,"epoch":"x"}`), 200, `"order":9`, nothing},
	{"cookie from the future", pullPath, pullWith(`{"order":8,"version":99,"epoch":"x"}`), 200, `"order":9`, nothing},
	{"cookie malformed", pullPath, pullWith(`{"order":8,"version":"x","epoch":[]}`), 200, `"order":9`, nothing},
	{"cookie foreign object", pullPath, pullWith(`{"order":8,"cvrID":"x"}`), 200, `"order":9`, nothing},
	{"cookie boolean", pullPath, pullWith(`true`), 400, "cookie", nothing},
	{"cookie array", pullPath, pullWith(`[1]`), 400, "cookie", nothing},
	{"cookie without order", pullPath, pullWith(`{"version":1}`), 400, "cookie", nothing},
	{"cookie order null", pullPath, pullWith(`{"order":null}`), 400, "cookie", nothing},
	{"cookie order boolean", pullPath, pullWith(`{"order":true}`), 400, "cookie", nothing},
	{"cookie 2^53", pullPath, pullWith(`9007199254740992`), 400, "cookie", nothing},
	{"cookie order 1e400", pullPath, pullWith(`{"order":1e400}`), 400, "cookie", nothing},
	{"cookie order 2^53-1", pullPath, pullWith(`{"order":9007199254740991}`), 400, "cookie", nothing},
}

// legacy: version 0 (protocol.md §1.3, §2.1).
var legacy = []badInput{
	{
		"push", pushPath,
		`{"pushVersion":0,"clientID":"v0","schemaVersion":"","mutations":[{"id":1,"name":"createMessage","args":` + goodArgs +
			`,"timestamp":1}]}`,
		200, "{}", commits,
	},
	{
		"push, unknown client", pushPath,
		`{"pushVersion":0,"clientID":"v0","schemaVersion":"","mutations":[{"id":5,"name":"createMessage","args":` + goodArgs +
			`,"timestamp":1}]}`,
		200, "ClientStateNotFound", nothing,
	},
	{"push, no clientID", pushPath, `{"pushVersion":0,"schemaVersion":"","mutations":[]}`, 400, "clientID", nothing},
	{
		"push, client of a group", pushPath,
		`{"pushVersion":0,"clientID":"c1","schemaVersion":"","mutations":[{"id":2,"name":"createMessage","args":` + goodArgs +
			`,"timestamp":1}]}`,
		403, "forbidden", nothing,
	},
	{
		"pull", pullPath,
		`{"pullVersion":0,"clientID":"v0","schemaVersion":"","cookie":null,"lastMutationID":0}`,
		200, `"lastMutationID":0`, nothing,
	},
	{
		"pull, lastMutationID string", pullPath,
		`{"pullVersion":0,"clientID":"v0","schemaVersion":"","cookie":null,"lastMutationID":"0"}`,
		400, "lastMutationID", nothing,
	},
	{
		"pull, no clientID", pullPath,
		`{"pullVersion":0,"schemaVersion":"","cookie":null,"lastMutationID":0}`,
		400, "clientID", nothing,
	},
}

// TestBadInput: each input has its status, and proof of what it changed: the
// space's version, its messages, and fsck at the end.
func TestBadInput(t *testing.T) {
	t.Parallel()
	for section, rows := range map[string][]badInput{
		"envelope": envelope, "ids": ids, "rejections": rejections, "pulls": pulls, "legacy": legacy,
	} {
		for _, row := range rows {
			t.Run(section+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				row.run(t, section == "rejections")
			})
		}
	}
}

func (row badInput) run(t *testing.T, rejected bool) {
	t.Helper()
	s := newService(t, nil, "other")
	if w := do(s, request("POST", pushPath, onePush)); w.Code != 200 {
		t.Fatalf("first push: %d %s", w.Code, w.Body)
	}
	before := s.view(t)

	w := do(s, request("POST", row.path, row.body))
	if w.Code != row.status {
		t.Errorf("status = %d, want %d: %s", w.Code, row.status, w.Body)
	}
	if w.Code != 200 {
		problemOf(t, w)
	}
	if !strings.Contains(w.Body.String(), row.contains) {
		t.Errorf("answer = %s, want %q in it", w.Body, row.contains)
	}

	after := s.view(t)
	if want := before.version + int64(row.effect); after.version != want {
		t.Errorf("version = %d, want %d", after.version, want)
	}
	if (row.effect == nothing || rejected) && after.messages != before.messages {
		t.Errorf("messages = %s, want %s as before", after.messages, before.messages)
	}
	if other, err := s.engine.Head(t.Context(), "other"); err != nil || other.Exists() {
		t.Errorf("another space: %+v, %v; want none", other, err)
	}
}

// view is what a space shows.
type view struct {
	version  int64
	messages string
}

func (s *service) view(t testing.TB) view {
	t.Helper()
	snap, err := s.store.Snapshot(t.Context(), "default", engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := snap.Range(t.Context(), engine.Range{})
	if err != nil {
		t.Fatal(err)
	}
	v := view{version: snap.Head().Version}
	for _, e := range entries {
		v.messages += fmt.Sprintf("%s=%s@%d ", e.Key, e.Value, e.Version)
	}
	return v
}

// TestOneSpaceOnly: nothing that a client says leads into another space.
func TestOneSpaceOnly(t *testing.T) {
	t.Parallel()
	s := newService(t, nil, "a", "a/b", "a/entries/x")
	for _, space := range []protocol.SpaceID{"a/b", "a/entries/x"} {
		body := strings.NewReplacer("g1", "g-"+string(space), "c1", "c-"+string(space)).Replace(onePush)
		if w := do(s, request("POST", pushPath+"?space="+string(space), body)); w.Code != 200 {
			t.Fatalf("push to %q: %d %s", space, w.Code, w.Body)
		}
	}
	w := do(s, request("POST", pullPath+"?space=a", firstPull))
	if w.Code != 200 || strings.Contains(w.Body.String(), `"put"`) {
		t.Errorf("pull of %q: %d %s, want an empty view", "a", w.Code, w.Body)
	}
}
