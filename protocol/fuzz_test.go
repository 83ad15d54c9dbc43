package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/replifire/replifire/protocol"
)

// addBodies adds what both requests are fuzzed from.
func addBodies(f *testing.F) {
	f.Helper()
	for _, body := range []string{
		validPush, validPushV0, validPull, validPullV0,
		"", "null", "[]", "{", "{}", `{"pushVersion":2,"pullVersion":2}`,
		push1(`{"clientID":"\ud83d\ude00","id":1e3,"name":"\ud83d","args":{"\ude00":[[[]]]},"timestamp":-0.5E-3}`),
		push1(validMutation + "," + validMutation),
		push1(strings.Replace(validMutation, `{"id":"m"}`, strings.Repeat("[", 200)+strings.Repeat("]", 200), 1)),
		strings.Replace(validPull, `"order":9`, `"order":"a/0000000000000009"`, 1),
		strings.Replace(validPull, `{"order":9,"version":7,"epoch":"e"}`, `"\ud83d"`, 1),
		strings.Replace(validPullV0, `null`, `{"order":[true]}`, 1),
		`{"pullVersion":1,"pullVersion":1}`,
		"{\"\xff\":1}",
	} {
		f.Add([]byte(body))
	}
}

// checkRefusal: an error is one of the two that a client is answered.
func checkRefusal(t *testing.T, err error, unknown protocol.VersionType) {
	t.Helper()
	if e, ok := errors.AsType[*protocol.ErrorResponse](err); ok {
		if *e != *protocol.VersionNotSupported(unknown) {
			t.Errorf("got %v", e)
		}
		return
	}
	e, ok := errors.AsType[*protocol.DecodeError](err)
	if !ok || e.Reason == "" || !utf8.ValidString(e.Error()) {
		t.Errorf("got error %#v", err)
	}
}

// modelMembers finds the members of an object as encoding/json does: exact names, the
// last of each.
func modelMembers(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&members); err != nil || !json.Valid(body) || !utf8.Valid(body) {
		t.Fatalf("decoded what is no JSON object (%v): %q", err, body)
	}
	return members
}

func FuzzDecodePush(f *testing.F) {
	addBodies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := protocol.DecodePushRequest(body)
		if err != nil {
			checkRefusal(t, err, protocol.VersionTypePush)
			return
		}
		members := modelMembers(t, body)
		if err := protocol.CheckID(r.ClientGroupID); err != nil {
			t.Errorf("client group: %v", err)
		}
		if got, want := any(r.SchemaVersion), members["schemaVersion"]; got != want {
			t.Errorf("got schema version %q, want %q", got, want)
		}
		list, ok := members["mutations"].([]any)
		if !ok || len(list) != len(r.Mutations) {
			t.Fatalf("got %d mutations of %d", len(r.Mutations), len(list))
		}
		for i, m := range r.Mutations {
			checkMutation(t, m, list[i], r)
		}
		checkPushAgain(t, r)
	})
}

// checkMutation compares a mutation with the same one, decoded by encoding/json.
func checkMutation(t *testing.T, m protocol.Mutation, want any, r *protocol.PushRequest) {
	t.Helper()
	members, ok := want.(map[string]any)
	if !ok {
		t.Fatalf("mutation of %T", want)
	}
	if err := protocol.CheckID(m.ClientID); err != nil {
		t.Errorf("client: %v", err)
	}
	if r.Version == 1 && members["clientID"] != any(string(m.ClientID)) ||
		r.Version == 0 && string(m.ClientID) != string(r.ClientGroupID) {
		t.Errorf("got client %q of group %q, want %q", m.ClientID, r.ClientGroupID, members["clientID"])
	}
	number, ok := members["id"].(json.Number)
	if f, err := number.Float64(); !ok || err != nil || f != float64(m.ID) || m.ID < 1 || m.ID > protocol.MaxMutationID {
		t.Errorf("got id %d of %v", m.ID, members["id"])
	}
	depth, lone := modelValue(m.Args)
	name, ok := members["name"].(string)
	valid := depth <= protocol.MaxDepth && !lone && len(name) <= protocol.MaxNameBytes
	switch {
	case !ok || !strings.HasPrefix(name, m.Name) || len(m.Name) > protocol.MaxNameBytes:
		t.Errorf("got name %q of %q", m.Name, name)
	case m.Invalid == "" && (!valid || protocol.CheckValue(m.Args) != nil):
		t.Errorf("args %s of %q pass", m.Args, name)
	case m.Invalid != "" && valid && !strings.Contains(name, "\ufffd"):
		t.Errorf("args %s of %q are invalid: %s", m.Args, name, m.Invalid)
	}
}

// checkPushAgain writes the request and decodes it again.
func checkPushAgain(t *testing.T, r *protocol.PushRequest) {
	t.Helper()
	list := []map[string]any{}
	for _, m := range r.Mutations {
		list = append(list, map[string]any{
			"clientID": m.ClientID, "id": m.ID, "name": m.Name, "args": m.Args, "timestamp": 0,
		})
	}
	body, err := json.Marshal(map[string]any{
		"pushVersion": r.Version, "profileID": r.ProfileID, "schemaVersion": r.SchemaVersion,
		"clientGroupID": r.ClientGroupID, "clientID": r.ClientGroupID, "mutations": list,
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := protocol.DecodePushRequest(body)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	// What was cut off or replaced in a name does not come again, and encoding/json
	// writes args without white space.
	ignore := cmpopts.IgnoreFields(protocol.Mutation{}, "Invalid", "Args")
	if diff := cmp.Diff(r, again, ignore); diff != "" {
		t.Errorf("-first +again\n%s", diff)
	}
}

func FuzzDecodePull(f *testing.F) {
	addBodies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := protocol.DecodePullRequest(body)
		if err != nil {
			checkRefusal(t, err, protocol.VersionTypePull)
			return
		}
		members := modelMembers(t, body)
		if got, want := any(r.SchemaVersion), members["schemaVersion"]; got != want {
			t.Errorf("got schema version %q, want %q", got, want)
		}
		field, id := "clientGroupID", string(r.ClientGroupID)
		if r.Version == 0 {
			field, id = "clientID", string(r.ClientID)
		}
		if members[field] != any(id) || protocol.CheckID(id) != nil {
			t.Errorf("got %s %q, want %q", field, id, members[field])
		}
		if r.LastMutationID < 0 || r.LastMutationID > protocol.MaxMutationID {
			t.Errorf("got last mutation id %d", r.LastMutationID)
		}
		checkCookie(t, r.Cookie, r.Version)
	})
}

// checkCookie: a request's cookie can be answered, and its answer comes back.
func checkCookie(t *testing.T, c protocol.Cookie, version int) {
	t.Helper()
	if !json.Valid(c.Raw) {
		t.Fatalf("cookie %q is no JSON", c.Raw)
	}
	next, err := c.Reset(5, "e")
	if err != nil {
		wantDecodeError(t, err, "cookie") // no room
		return
	}
	if version == 1 && modelCompare(t, next.Raw, bytes.TrimSpace(c.Raw)) <= 0 {
		t.Errorf("%s is not newer than %s", next.Raw, c.Raw)
	}
	again, err := protocol.ParseCookie(next.Raw)
	if diff := cmp.Diff(next, again); diff != "" || err != nil {
		t.Errorf("%s comes back with %v: -made +parsed\n%s", next.Raw, err, diff)
	}
}

func FuzzCookie(f *testing.F) {
	for _, raw := range []string{
		"null", "0", "-0.5", "1e21", "9007199254740990", `"10"`, `"9"`, `"\ud83d"`, `"a/0000000000000009"`,
		`{"order":9,"version":7,"epoch":"e"}`, `{"order":"a/0000000000000009","version":7,"epoch":"e"}`,
		`{"order":1,"order":2}`, "true", "[]", "{}",
	} {
		f.Add([]byte(raw), []byte(`{"order":3,"version":2,"epoch":"e"}`), int64(9))
	}
	f.Fuzz(func(t *testing.T, left, right []byte, ahead int64) {
		c, err := protocol.ParseCookie(left)
		if err != nil {
			checkRefusal(t, err, "")
			return
		}
		checkCookie(t, c, 1)
		if c.Ours {
			checkNext(t, c, ahead)
		}
		d, err := protocol.ParseCookie(right)
		if err != nil {
			return
		}
		want := modelCompare(t, bytes.TrimSpace(left), bytes.TrimSpace(right))
		if got := c.Compare(d); sign(got) != sign(want) || sign(d.Compare(c)) != sign(-want) {
			t.Errorf("%s compared with %s: got %d, want %d", left, right, got, want)
		}
	})
}

// checkNext: the cookie for a later version is newer, unless there is no room for it.
func checkNext(t *testing.T, c protocol.Cookie, ahead int64) {
	t.Helper()
	version := min(c.Version+1+ahead&0xffff, protocol.MaxMutationID)
	next, err := c.Next(version, c.Epoch)
	if err != nil {
		wantDecodeError(t, err, "cookie")
		return
	}
	if version > c.Version && next.Compare(c) <= 0 || next.Version != version || next.Epoch != c.Epoch || !next.Ours {
		t.Errorf("version %d after %s: got %+v", version, c.Raw, next)
	}
}

func FuzzCheckValue(f *testing.F) {
	for _, value := range []string{
		"null", " true ", "[1,-0.5e+7,{\"a\":[]}]", `"\ud83d\ude00\n"`, `"\ud83d"`, "1 1",
		"{\"a\":1,}", "\"\xff\"", "01", "tru",
		strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat("[", 101) + strings.Repeat("]", 101),
		`{"a":{"b":[[{"c":"d"}],"e"]},"f":0}`, "\ufeff1", "\x00", "\"\x00\"", `"\u12g4"`,
	} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		want := json.Valid(value) && utf8.Valid(value)
		if want {
			depth, lone := modelValue(value)
			want = depth <= protocol.MaxDepth && !lone
		}
		if err := protocol.CheckValue(value); (err == nil) != want {
			t.Errorf("got %v, want valid: %t", err, want)
		}
	})
}

// FuzzScanner: a body is read if encoding/json reads it encoding/json accepts, and no more, at any depth: the args of
// a mutation are read whatever MaxDepth is.
func FuzzScanner(f *testing.F) {
	for _, value := range []string{
		"null", `{"a":[{"b":1}]}`, `"\ud83d"`, "[1,]", "1}", "1}]}", `[[],{"":{}}]`, "{\"\xff\":1}",
		strings.Repeat("[", 200) + strings.Repeat("]", 200),
	} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		body := append([]byte(`{"pushVersion":7,"mutations":[{"args":`), value...)
		body = append(body, "}]}"...)
		_, err := protocol.DecodePushRequest(body)
		e, refused := errors.AsType[*protocol.DecodeError](err)
		got := !refused || e.Field != "" // what is wrong with a field is not about JSON
		if want := json.Valid(body) && utf8.Valid(body); got != want {
			t.Errorf("got %v for valid JSON: %t", err, want)
		}
	})
}
