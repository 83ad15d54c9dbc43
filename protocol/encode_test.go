package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/replifire/replifire/protocol"
)

var errBroken = errors.New("broken")

// patch yields operations, then err if there is one.
func patch(err error, operations ...protocol.PatchOperation) iter.Seq2[protocol.PatchOperation, error] {
	return func(yield func(protocol.PatchOperation, error) bool) {
		for _, op := range operations {
			if !yield(op, nil) {
				return
			}
		}
		if err != nil {
			yield(protocol.PatchOperation{}, err)
		}
	}
}

func put(key, value string) protocol.PatchOperation {
	return protocol.PatchOperation{Op: protocol.OpPut, Key: key, Value: json.RawMessage(value)}
}

// clients yields what has changed of clients, then err if there is one.
func clients(err error, changes ...protocol.ClientChange) iter.Seq2[protocol.ClientChange, error] {
	return func(yield func(protocol.ClientChange, error) bool) {
		for _, c := range changes {
			if !yield(c, nil) {
				return
			}
		}
		if err != nil {
			yield(protocol.ClientChange{}, err)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	cookie := json.RawMessage(`{"order":1,"version":1,"epoch":"e"}`)
	tests := []struct {
		name     string
		response protocol.PullResponse
		want     string
	}{
		{
			"nothing",
			protocol.PullResponse{Version: 1, Cookie: cookie},
			`{"cookie":{"order":1,"version":1,"epoch":"e"},"lastMutationIDChanges":{},"patch":[]}`,
		},
		{
			"version 1",
			protocol.PullResponse{
				Version: 1, Cookie: cookie, LastMutationID: 99,
				Clients: clients(nil,
					protocol.ClientChange{LastMutationID: 0}, protocol.ClientChange{ID: `"`, LastMutationID: 3},
					protocol.ClientChange{ID: "b", LastMutationID: 2},
					protocol.ClientChange{ID: "a", LastMutationID: protocol.MaxMutationID},
				),
				Patch: patch(nil,
					protocol.PatchOperation{Op: protocol.OpClear, Key: "ignored"},
					put("", `null`),
					put(`a"b`, ` { "x" : [ 1 ] } `),
					protocol.PatchOperation{Op: protocol.OpDel, Key: "a/b", Value: json.RawMessage("1")},
				),
			},
			`{"cookie":{"order":1,"version":1,"epoch":"e"},` +
				`"lastMutationIDChanges":{"":0,"\"":3,"b":2,"a":9007199254740991},` +
				`"patch":[{"op":"clear"},{"op":"put","key":"","value":null},` +
				`{"op":"put","key":"a\"b","value": { "x" : [ 1 ] } },{"op":"del","key":"a/b"}]}`,
		},
		{
			"version 0",
			protocol.PullResponse{
				Version: 0, Cookie: json.RawMessage("null"), LastMutationID: 7,
				Clients: clients(nil, protocol.ClientChange{ID: "ignored", LastMutationID: 2}),
				Patch:   patch(nil, put("k", "1")),
			},
			`{"cookie":null,"lastMutationID":7,"patch":[{"op":"put","key":"k","value":1}]}`,
		},
		{
			"rejections",
			protocol.PullResponse{
				Version: 1, Cookie: cookie,
				Clients: clients(nil,
					protocol.ClientChange{
						ID: "a", LastMutationID: 2, Rejections: []protocol.Rejection{{ID: 1, Name: "x", Reason: `"`}, {ID: 2}},
					},
					protocol.ClientChange{ID: "none", LastMutationID: 1},
					protocol.ClientChange{
						ID: "b", LastMutationID: 4, Rejections: []protocol.Rejection{{ID: 3, Name: "n\n", Reason: "no"}},
					},
				),
			},
			`{"cookie":{"order":1,"version":1,"epoch":"e"},"lastMutationIDChanges":{"a":2,"none":1,"b":4},"rejections":{` +
				`"a":[{"id":1,"name":"x","reason":"\""},{"id":2,"name":"","reason":""}],` +
				`"b":[{"id":3,"name":"n\n","reason":"no"}]},"patch":[]}`,
		},
		{
			"rejections in version 0",
			protocol.PullResponse{
				Version: 0, Cookie: cookie,
				Clients: clients(nil, protocol.ClientChange{ID: "a", Rejections: []protocol.Rejection{{ID: 1, Name: "x"}}}),
			},
			`{"cookie":{"order":1,"version":1,"epoch":"e"},"lastMutationID":0,` +
				`"rejections":{"a":[{"id":1,"name":"x","reason":""}]},"patch":[]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			if err := tt.response.Encode(&got); err != nil {
				t.Fatalf("Encode: %v", err)
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("Encode: -want +got\n%s", diff)
			}
		})
	}
}

// TestEncodeStrings: every string arrives as it was sent, but invalid UTF-8, which
// JSON cannot carry.
func TestEncodeStrings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`([\x00-\x1f"\\/]|é|😀|\x{2028}|\x{fffd}|<&>){0,20}`),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		).Draw(t, "key")
		r := protocol.PullResponse{Version: 1, Cookie: json.RawMessage("1"), Patch: patch(nil, put(key, "1"))}
		var got bytes.Buffer
		if err := r.Encode(&got); err != nil {
			t.Fatal(err)
		}
		var body struct{ Patch []struct{ Key string } }
		if err := json.Unmarshal(got.Bytes(), &body); err != nil {
			t.Fatalf("%s: %v", &got, err)
		}
		want := string([]rune(key)) // with U+FFFD for each invalid byte
		if body.Patch[0].Key != want {
			t.Fatalf("got key %q, want %q", body.Patch[0].Key, want)
		}
		if err := protocol.CheckValue(got.Bytes()); err != nil {
			t.Fatalf("%s: %v", &got, err)
		}
	})
}

// pieces keeps what it is given in each call, and fails from call number fail on.
type pieces struct {
	all  []byte
	each []int
	fail int
}

func (p *pieces) Write(b []byte) (int, error) {
	if p.fail > 0 && len(p.each)+1 >= p.fail {
		return 0, errBroken
	}
	p.all = append(p.all, b...)
	p.each = append(p.each, len(b))
	return len(b), nil
}

// many yields n puts of values of size bytes, and counts in asked how many were
// taken.
func many(n, size int, asked *int) iter.Seq2[protocol.PatchOperation, error] {
	return func(yield func(protocol.PatchOperation, error) bool) {
		value := `"` + strings.Repeat("x", size-2) + `"`
		for *asked < n {
			*asked++
			if !yield(put("key", value), nil) {
				return
			}
		}
	}
}

// TestEncodeStreams: a patch is written while it is read.
func TestEncodeStreams(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 1000, 16 << 10, 100_000} {
		count, asked := 1_000_000/size, 0
		var w pieces
		r := protocol.PullResponse{Version: 1, Cookie: json.RawMessage("1"), Patch: many(count, size, &asked)}
		if err := r.Encode(&w); err != nil {
			t.Fatal(err)
		}
		var body struct{ Patch []struct{ Value string } }
		if err := json.Unmarshal(w.all, &body); err != nil {
			t.Fatal(err)
		}
		if len(body.Patch) != count || len(body.Patch[count-1].Value) != size-2 {
			t.Errorf("values of %d bytes: %d arrived", size, len(body.Patch))
		}
		for _, n := range w.each {
			if n > max(32<<10, size) {
				t.Errorf("values of %d bytes: %d were written at once", size, n)
			}
		}
	}
}

// TestEncodeStopsAtWriteError: a client that hung up is not read a space for.
func TestEncodeStopsAtWriteError(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1000, 20_000} {
		for _, fail := range []int{1, 2, 5} {
			asked := 0
			w := pieces{fail: fail}
			r := protocol.PullResponse{Version: 1, Cookie: json.RawMessage("1"), Patch: many(2000, size, &asked)}
			if err := r.Encode(&w); !errors.Is(err, errBroken) {
				t.Errorf("got error %v, want the writer's", err)
			}
			if asked > 200 {
				t.Errorf("writer failed at call %d, and %d operations were read", fail, asked)
			}
			if json.Valid(w.all) {
				t.Errorf("what was written is complete: %s", w.all)
			}
		}
	}
	r := protocol.PullResponse{Version: 1, Cookie: json.RawMessage("1")}
	if err := r.Encode(&pieces{fail: 1}); !errors.Is(err, errBroken) {
		t.Errorf("got error %v, want the writer's", err)
	}
	asked := 0
	r.Clients = func(yield func(protocol.ClientChange, error) bool) {
		for range 1_000_000 {
			if asked++; !yield(protocol.ClientChange{ID: "some client"}, nil) {
				return
			}
		}
	}
	if err := r.Encode(&pieces{fail: 1}); !errors.Is(err, errBroken) || asked > 2000 {
		t.Errorf("got error %v after %d clients, want the writer's", err, asked)
	}
}

// TestEncodeManyClients: memory does not grow with the clients, nor with their rejections,
// and none is left out.
func TestEncodeManyClients(t *testing.T) {
	t.Parallel()
	for _, version := range []int{0, 1} {
		for _, n := range []int{1, 100, 2000} {
			var w pieces
			reason := strings.Repeat("x", 1000)
			r := protocol.PullResponse{Version: version, Cookie: json.RawMessage("1"), Clients: func(
				yield func(protocol.ClientChange, error) bool,
			) {
				for i := range n {
					c := protocol.ClientChange{ID: protocol.ClientID(fmt.Sprint("c", i)), LastMutationID: int64(i)}
					if i%2 == 0 {
						c.Rejections = []protocol.Rejection{{ID: int64(i), Name: "x", Reason: reason}}
					}
					if !yield(c, nil) {
						return
					}
				}
				if n > 1000 && len(w.each) == 0 {
					t.Errorf("version %d: all %d clients were read before anything was written", version, n)
				}
			}}
			if err := r.Encode(&w); err != nil {
				t.Fatal(err)
			}
			checkClients(t, w.all, version, n)
			for _, size := range w.each {
				if size > 70<<10 {
					t.Errorf("%d bytes were written at once, want what is kept of rejections at the most", size)
				}
			}
		}
	}
}

func checkClients(t *testing.T, text []byte, version, n int) {
	t.Helper()
	var body struct {
		LastMutationIDChanges map[string]int64
		Rejections            map[string][]protocol.Rejection
	}
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatalf("version %d, %d clients: %v", version, n, err)
	}
	if got := len(body.LastMutationIDChanges); got != version*n {
		t.Errorf("version %d, %d clients: got %d lastMutationIDs", version, n, got)
	}
	if got := len(body.Rejections); got != (n+1)/2 {
		t.Errorf("version %d, %d clients: got rejections of %d", version, n, got)
	}
	for i := range n {
		id := fmt.Sprint("c", i)
		if r := body.Rejections[id]; len(r) != (i+1)%2 || len(r) > 0 && r[0].ID != int64(i) {
			t.Errorf("version %d: rejections of %s: got %d", version, id, len(r))
		}
		if version == 1 && body.LastMutationIDChanges[id] != int64(i) {
			t.Errorf("lastMutationID of %s: got %d", id, body.LastMutationIDChanges[id])
		}
	}
	if bytes.Count(text, []byte(`"rejections"`)) != 1 {
		t.Errorf("version %d, %d clients: rejections are there more than once", version, n)
	}
}

// TestBeforePatch is how many bytes are for the asking group.
func TestBeforePatch(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 5000} {
		var changes []protocol.ClientChange
		for i := range n {
			changes = append(changes, protocol.ClientChange{ID: protocol.ClientID(fmt.Sprint("c", i)), LastMutationID: 1})
		}
		r := protocol.PullResponse{
			Version: 1, Cookie: json.RawMessage("1"), Clients: clients(nil, changes...), Patch: patch(nil, put("a", "1")),
		}
		var got strings.Builder
		if err := r.Encode(&got); err != nil {
			t.Fatal(err)
		}
		if want := strings.Index(got.String(), `{"op"`); r.BeforePatch != int64(want) {
			t.Errorf("%d clients: got %d bytes before the patch, want %d", n, r.BeforePatch, want)
		}
	}
}

// TestEncodeErrors: after an error nothing complete was written, and nothing at all if
// the response was small.
func TestEncodeErrors(t *testing.T) {
	t.Parallel()
	one := json.RawMessage("1")
	asked := 0
	tests := []struct {
		name     string
		response protocol.PullResponse
		is       error
		written  bool
	}{
		{"no cookie", protocol.PullResponse{Version: 1}, nil, false},
		{"clients break", protocol.PullResponse{Version: 1, Cookie: one, Clients: clients(errBroken)}, errBroken, false},
		{"clients break in version 0", protocol.PullResponse{Cookie: one, Clients: clients(errBroken)}, errBroken, false},
		{"patch breaks at once", protocol.PullResponse{Version: 1, Cookie: one, Patch: patch(errBroken)}, errBroken, false},
		{
			"patch breaks",
			protocol.PullResponse{Version: 1, Cookie: one, Patch: patch(errBroken, put("a", "1"))},
			errBroken, false,
		},
		{
			"patch breaks late",
			protocol.PullResponse{Version: 1, Cookie: one, Patch: func(yield func(protocol.PatchOperation, error) bool) {
				many(100, 1000, &asked)(yield)
				yield(protocol.PatchOperation{}, errBroken)
			}},
			errBroken, true,
		},
		{
			"put without value",
			protocol.PullResponse{Version: 1, Cookie: one, Patch: patch(nil, put("a", ""))},
			nil, false,
		},
		{
			"operation that old clients do not know",
			protocol.PullResponse{Version: 1, Cookie: one, Patch: patch(nil, protocol.PatchOperation{Op: "update"})},
			nil, false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var w pieces
			err := tt.response.Encode(&w)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got error %v, want %v", err, tt.is)
			}
			if (len(w.all) > 0) != tt.written || json.Valid(w.all) {
				t.Errorf("%d bytes were written: %.100s", len(w.all), w.all)
			}
		})
	}
}

// TestEncodedOperations: operations that are encoded already give the same answer.
func TestEncodedOperations(t *testing.T) {
	t.Parallel()
	operations := []protocol.PatchOperation{
		{Op: protocol.OpClear},
		put("a\n/\u2028", `{"x":[1]}`),
		{Op: protocol.OpDel, Key: "b"},
		put("large", `"`+strings.Repeat("x", 100_000)+`"`),
	}
	r := protocol.PullResponse{Version: 1, Cookie: json.RawMessage("1"), Patch: patch(nil, operations...)}
	var want, got strings.Builder
	if err := r.Encode(&want); err != nil {
		t.Fatal(err)
	}
	r.Patch = patch(errors.New("is not read"))
	r.Encoded = func(yield func(json.RawMessage) bool) {
		for _, op := range operations {
			text, err := op.Encode()
			if err != nil {
				t.Errorf("encode %s of %s: %v", op.Op, op.Key, err)
			}
			if !yield(text) {
				return
			}
		}
	}
	if err := r.Encode(&got); err != nil || got.String() != want.String() {
		t.Errorf("got %.200q, %v, want %.200q", got.String(), err, want.String())
	}
	for _, op := range []protocol.PatchOperation{{Op: "nope"}, {Op: protocol.OpPut, Key: "no value"}} {
		if text, err := op.Encode(); err == nil {
			t.Errorf("%v was encoded as %s", op, text)
		}
	}
}
