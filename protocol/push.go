package protocol

import (
	"encoding/json"
	"fmt"
	"io"
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
	// Mutations are what the sender has pending, oldest first for each client, clients
	// interleaved in any way: all of it, but for what ReadPushRequest leaves out.
	Mutations []Mutation
	// More: Mutations are not all. They were as much as is taken at once, and the sender
	// has to send what is behind them again.
	More bool
	// Skipped are clients of whom mutations came before these, and were left out since
	// they are applied (PushBounds.Applied).
	Skipped map[ClientID]bool
}

// Mutation is one call of a mutator by a client.
type Mutation struct {
	ClientID ClientID
	// ID counts the client's mutations from 1.
	ID   int64
	Name string
	// Args is the JSON of the call's one argument, perhaps a slice of the request's body.
	Args json.RawMessage
	// Invalid says why Args can never be used (nested too deeply, a lone
	// surrogate, too long), empty when it can. Such a mutation is rejected, not refused: a
	// 400 would stop its client for good.
	Invalid string
}

// DecodePushRequest decodes the body of a push, all of it. It fails with a *DecodeError, or
// with a *ErrorResponse VersionNotSupported if pushVersion is an integer but neither 0 nor 1.
// The result keeps slices of body, which must not be changed any more.
func DecodePushRequest(body []byte) (*PushRequest, error) {
	return (&pushDecoder{body: newScanner(body)}).decode()
}

// ReadPushRequest decodes the body of a push as it arrives, to its end, however long that
// is. It keeps the first mutations, as many as the bounds allow; what is behind them is
// read and forgotten. Fails as DecodePushRequest does, or with the error of body or of
// a function of the bounds. The result keeps nothing of body.
func ReadPushRequest(body io.Reader, bounds PushBounds) (*PushRequest, error) {
	d := &pushDecoder{window: window{bounds: bounds}}
	in := &input{source: body, grow: d.makeRoom, start: -1, room: shortValue}
	in.next = int(min(max(bounds.Length, 0)+minRead, firstPiece))
	d.body = &scanner{in: in}
	defer d.trim()
	return d.decode()
}

// minRead is room for the byte behind the end, which is asked for, and some more.
const minRead = 512

// pushDecoder reads a push in one pass, though what is required of it is known only
// when pushVersion was seen, which may come last.
type pushDecoder struct {
	body *scanner
	fields
	// only1 has what is wrong in version 1 only.
	only1 fields

	version, profileID, schemaVersion token
	clientGroupID, clientID, list     token

	window
}

func (d *pushDecoder) decode() (*PushRequest, error) {
	d.read()
	if d.body.in != nil && d.body.in.err != nil {
		return nil, d.body.in.err
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

// read reads the whole body.
func (d *pushDecoder) read() {
	for name := range d.body.members() {
		place := d.place(name)
		switch {
		case place == nil:
			d.body.skip()
		case place == &d.list && d.body.peek() == '[':
			place.set(token{kind: kindArray})
			d.readMutations()
		default:
			place.set(d.body.value())
		}
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

// readMutations keeps the mutations as far as nothing is wrong with them, and there is
// room: a body of nothing but empty objects must not take many times its size.
func (d *pushDecoder) readMutations() {
	for i := range d.body.elements() {
		switch {
		case d.more:
			d.body.skip()
		case d.body.peek() != '{':
			d.body.skip()
			d.fail(path{i, ""}, "must be an object")
		default:
			d.readMutation(i)
		}
	}
}

// readMutation reads the mutation of index i.
func (d *pushDecoder) readMutation(i int) {
	var t mutationTokens
	for name := range d.body.members() {
		place := t.place(name)
		if place == nil {
			d.body.skip()
			continue
		}
		if place == &t.args {
			d.body.room(d.bounds.MaxBytes)
		}
		place.set(d.body.value())
		d.body.room(shortValue)
	}
	if d.body.err != nil || d.problem != nil {
		return
	}
	if m := d.mutation(i, &t); d.problem == nil {
		d.take(m)
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
	case t.args.kind == kindMissing: // JSON.stringify leaves out what is undefined
		m.Args = json.RawMessage("null")
	case !d.present(path{i, "args"}, t.args):
	case t.args.long:
		m.Args, m.Invalid = json.RawMessage("null"), fmt.Sprintf("args are longer than %d bytes", d.bounds.MaxBytes)
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
	long := t.long
	t.long = false
	if !d.require(at, t, kindString, "a string") {
		return "", ""
	}
	text := t.content()
	switch {
	case long:
		invalid = fmt.Sprintf("name is longer than %d bytes", MaxNameBytes)
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
		More:          d.more,
		Skipped:       d.skipped(),
	}
	d.require(path{topLevel, "mutations"}, d.list, kindArray, "an array")
	r.ProfileID = d.profile(v, d.profileID)
	if d.owner != "" && d.byOwner != (v == 0) {
		d.fail(path{topLevel, "mutations"}, "must have a clientID in version 1, and none in version 0")
	}
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
