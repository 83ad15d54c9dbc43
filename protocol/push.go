package protocol

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// MaxNameBytes bounds the name of a mutator. A longer one is cut off and its
// mutation marked as invalid: names are kept with rejections.
const MaxNameBytes = 256

// PushRequest is the body of a push, of version 0 or 1 (protocol.md §1.2, §1.3).
type PushRequest struct {
	// Version is pushVersion: 0 or 1.
	Version int
	// ProfileID names a browser profile; may be empty in version 0.
	ProfileID string
	// ClientGroupID owns the clients. A version 0 client knows no groups: it is
	// a group of its own, under its own id.
	ClientGroupID ClientGroupID
	// SchemaVersion is the app's, "" when it sets none.
	SchemaVersion string
	// Mutations are all that the sender has pending, oldest first for each
	// client, clients interleaved in any way.
	Mutations []Mutation
}

// Mutation is one call of a mutator by a client.
type Mutation struct {
	ClientID ClientID
	// ID counts the client's mutations from 1.
	ID   int64
	Name string
	// Args is the JSON of the call's one argument, a slice of the request's body.
	Args json.RawMessage
	// Invalid says why Args can never be used (nested too deeply, a lone
	// surrogate), empty when it can. Such a mutation is rejected, not refused: a
	// 400 would stop its client for good.
	Invalid string
}

// TooManyMutationsError says that a push has more mutations than were asked for.
type TooManyMutationsError struct{ Most int }

// Error says how many there may be.
func (e *TooManyMutationsError) Error() string {
	return fmt.Sprintf("The push has more than %d mutations.", e.Most)
}

// DecodePushRequest decodes the body of a push, however many mutations it has. See
// DecodePushRequestWithin.
func DecodePushRequest(body []byte) (*PushRequest, error) { return DecodePushRequestWithin(body, 0) }

// DecodePushRequestWithin decodes the body of a push of at most so many mutations, 0: any
// number. It fails with a *TooManyMutationsError, having read no further than the first
// one beyond, whatever else is wrong; otherwise with a *DecodeError, or with a
// *ErrorResponse VersionNotSupported if pushVersion is an integer but neither 0 nor 1.
// The result keeps slices of body, which must not be changed any more.
func DecodePushRequestWithin(body []byte, most int) (*PushRequest, error) {
	d := pushDecoder{body: newScanner(body), most: most}
	d.read()
	if d.more {
		return nil, &TooManyMutationsError{Most: most}
	}
	if d.body.err != nil {
		return nil, d.body.err
	}
	v, err := version("pushVersion", d.version, VersionTypePush)
	if err != nil {
		return nil, err
	}
	r := d.request(v)
	if d.problem == nil && v == 1 {
		d.problem = d.only1.problem
	}
	if d.problem != nil {
		return nil, d.problem
	}
	return r, nil
}

// pushDecoder reads a push in one pass, though what is required of it is known only
// when pushVersion was seen, which may come last.
type pushDecoder struct {
	body *scanner
	fields
	// only1 has what is wrong in version 1 only.
	only1 fields

	version, profileID, schemaVersion token
	clientGroupID, clientID, list     token

	mutations []Mutation
	// most is how many mutations there may be, 0: any number; more: there are more.
	most int
	more bool
}

// read reads the whole body.
func (d *pushDecoder) read() {
	for name := range d.body.members() {
		place := d.place(name)
		if place == &d.list && d.body.peek() == '[' {
			place.set(token{kind: kindArray})
			d.readMutations()
			continue
		}
		place.set(d.body.value())
	}
	d.body.end()
}

func (d *pushDecoder) place(name []byte) *token {
	switch string(name) {
	case "pushVersion":
		return &d.version
	case "profileID":
		return &d.profileID
	case "schemaVersion":
		return &d.schemaVersion
	case "clientGroupID":
		return &d.clientGroupID
	case "clientID":
		return &d.clientID
	case "mutations":
		return &d.list
	}
	return nil
}

// readMutations keeps the mutations as far as nothing is wrong with them: a body
// of nothing but empty objects must not take many times its size.
func (d *pushDecoder) readMutations() {
	for i := range d.body.elements() {
		if d.more = d.most > 0 && i >= d.most; d.more {
			d.body.fail("has more mutations than were asked for")
			return
		}
		if d.body.peek() != '{' {
			d.body.value()
			d.fail(path{i, ""}, "must be an object")
			continue
		}
		var t mutationTokens
		for name := range d.body.members() {
			t.place(name).set(d.body.value())
		}
		if d.body.err != nil || d.problem != nil {
			continue
		}
		d.mutations = append(d.mutations, d.mutation(i, &t))
	}
}

// mutationTokens are the members of a mutation.
type mutationTokens struct {
	clientID, id, name, args, timestamp token
}

func (t *mutationTokens) place(name []byte) *token {
	switch string(name) {
	case "clientID":
		return &t.clientID
	case "id":
		return &t.id
	case "name":
		return &t.name
	case "args":
		return &t.args
	case "timestamp":
		return &t.timestamp
	}
	return nil
}

// mutation makes the mutation of index i. In version 0 it has no clientID, and
// perhaps no timestamp: the documents of that time do not mention it.
func (d *pushDecoder) mutation(i int, t *mutationTokens) Mutation {
	m := Mutation{
		ClientID: ClientID(d.only1.id(path{i, "clientID"}, t.clientID)),
		ID:       d.integer(path{i, "id"}, t.id, 1),
		Args:     t.args.raw,
	}
	m.Name, m.Invalid = d.mutatorName(path{i, "name"}, t.name)
	switch {
	case !d.present(path{i, "args"}, t.args):
	case m.Invalid != "":
	case t.args.depth > MaxDepth:
		m.Invalid = fmt.Sprintf("args are nested deeper than %d", MaxDepth)
	case t.args.lone:
		m.Invalid = "args contain half of a surrogate pair"
	}
	timestamp := &d.fields
	if t.timestamp.kind == kindMissing {
		timestamp = &d.only1
	}
	timestamp.require(path{i, "timestamp"}, t.timestamp, kindNumber, "a number")
	return m
}

// mutatorName returns a mutator's name in a form that can be kept, and why no
// mutator can have the name that was sent.
func (d *pushDecoder) mutatorName(at path, t token) (name, invalid string) {
	if !d.require(at, t, kindString, "a string") {
		return "", ""
	}
	text := t.content()
	switch {
	case len(text) > MaxNameBytes:
		invalid = fmt.Sprintf("name is longer than %d bytes", MaxNameBytes)
		text = cut(text, MaxNameBytes)
	case t.lone:
		invalid = "name contains half of a surrogate pair"
	}
	return d.intern(text), invalid
}

// cut returns the first n bytes of text, or a little less: whole characters.
func cut(text []byte, n int) []byte {
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// request makes the request, of version v.
func (d *pushDecoder) request(v int) *PushRequest {
	r := &PushRequest{
		Version:       v,
		SchemaVersion: d.text(path{topLevel, "schemaVersion"}, d.schemaVersion),
		Mutations:     d.mutations,
	}
	d.require(path{topLevel, "mutations"}, d.list, kindArray, "an array")
	r.ProfileID = d.profile(v, d.profileID)
	if v == 1 {
		r.ClientGroupID = ClientGroupID(d.id(path{topLevel, "clientGroupID"}, d.clientGroupID))
		return r
	}
	client := d.id(path{topLevel, "clientID"}, d.clientID)
	r.ClientGroupID = ClientGroupID(client)
	for i := range r.Mutations {
		r.Mutations[i].ClientID = ClientID(client)
	}
	return r
}
