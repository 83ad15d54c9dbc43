package protocol

import (
	"bytes"
	"encoding/json"
	"iter"
)

// PullRequest is the body of a pull, of version 0 or 1 (protocol.md §2.1).
type PullRequest struct {
	// Version is pullVersion: 0 or 1.
	Version int
	// ProfileID names a browser profile; may be empty in version 0.
	ProfileID string
	// ClientGroupID is the asking group; in version 0 the client's own id.
	ClientGroupID ClientGroupID
	// ClientID is the asking client in version 0, empty in version 1.
	ClientID ClientID
	// LastMutationID is what a version 0 client's snapshot holds.
	LastMutationID int64
	// Cookie is what the server answered last.
	Cookie Cookie
	// SchemaVersion is the app's, "" when it sets none.
	SchemaVersion string
}

// PullResponse is the answer to a pull: everything in it is of one snapshot.
type PullResponse struct {
	// Version is that of the request and chooses the shape: version 1 carries
	// lastMutationIDChanges, version 0 the one LastMutationID.
	Version int
	// Cookie is the JSON of the new cookie.
	Cookie json.RawMessage
	// Ahead: the request's cookie is of a version that the space has yet to reach, or that
	// another commit has made. It is forged, or of a state that was lost. Not sent.
	Ahead bool
	// Clients yields what has changed of the asking group's clients since its cookie, each
	// client once: their lastMutationIDChanges, and their rejections, an extra field that
	// Replicache ignores and @replifire/client reads. It is read while the answer is written,
	// a second time if there are many rejections, and MUST then yield the same; an error ends
	// it and the answer. Nil: nothing has changed.
	Clients iter.Seq2[ClientChange, error]
	// LastMutationID is the asking client's, in version 0.
	LastMutationID int64
	// Patch yields the operations in the order they apply. It is read once, while
	// the answer is written; an error ends it and the answer.
	Patch iter.Seq2[PatchOperation, error]
	// Encoded yields the operations of Patch as JSON (PatchOperation.Encode), where
	// somebody has encoded them already; else it is nil. Encode writes these then, and
	// does not read Patch.
	Encoded iter.Seq[json.RawMessage]
	// BeforePatch is set by Encode when it comes to the patch, which is the same for all who
	// ask from the same cookie: how many bytes are before it, which are for the asking group.
	BeforePatch int64
}

// ClientChange is what an answer says of a client.
type ClientChange struct {
	ID             ClientID
	LastMutationID int64
	// Rejections are the refused ones among the mutations that the answer acknowledges.
	Rejections []Rejection
}

// Rejection tells a client that a mutation of its was refused for good.
type Rejection struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Op is the kind of a patch operation.
type Op string

// The operations every Replicache client understands (protocol.md §2.2).
const (
	OpPut   Op = "put"
	OpDel   Op = "del"
	OpClear Op = "clear"
)

// PatchOperation changes one key of a client's view, or clears the view.
type PatchOperation struct {
	Op    Op
	Key   string
	Value json.RawMessage // of a put
}

// Encode is the operation as JSON, for PullResponse.Encoded: it is worth its memory
// where many answers carry the same operation. It fails for an unknown Op and for a
// put without a value. Value MUST be valid JSON and is copied.
func (op PatchOperation) Encode() (json.RawMessage, error) {
	var text bytes.Buffer
	e := encoder{w: &text}
	if err := e.operation(op); err != nil {
		return nil, err
	}
	e.flush()
	return text.Bytes(), e.err
}

// DecodePullRequest decodes the body of a pull. It fails with a *DecodeError, or
// with a *ErrorResponse VersionNotSupported if pullVersion is an integer but
// neither 0 nor 1. The result keeps slices of body, which must not be changed
// any more.
func DecodePullRequest(body []byte) (*PullRequest, error) {
	d := pullDecoder{body: newScanner(body)}
	for name := range d.body.members() {
		d.place(name).set(d.body.value())
	}
	d.body.end()
	if d.body.err != nil {
		return nil, d.body.err
	}
	v, err := version("pullVersion", d.version, VersionTypePull)
	if err != nil {
		return nil, err
	}
	r := d.request(v)
	if d.problem != nil {
		return nil, d.problem
	}
	return r, nil
}

// pullDecoder reads a pull, and makes a request of it afterwards.
type pullDecoder struct {
	body *scanner
	fields

	version, profileID, schemaVersion, cookie token
	clientGroupID, clientID, lastMutationID   token
}

func (d *pullDecoder) place(name []byte) *token {
	switch string(name) {
	case "pullVersion":
		return &d.version
	case "profileID":
		return &d.profileID
	case "schemaVersion":
		return &d.schemaVersion
	case "cookie":
		return &d.cookie
	case "clientGroupID":
		return &d.clientGroupID
	case "clientID":
		return &d.clientID
	case "lastMutationID":
		return &d.lastMutationID
	}
	return nil
}

// request makes the request, of version v.
func (d *pullDecoder) request(v int) *PullRequest {
	r := &PullRequest{
		Version:       v,
		ProfileID:     d.profile(v, d.profileID),
		SchemaVersion: d.text(path{topLevel, "schemaVersion"}, d.schemaVersion),
		Cookie:        d.requestCookie(v),
	}
	if v == 1 {
		r.ClientGroupID = ClientGroupID(d.id(path{topLevel, "clientGroupID"}, d.clientGroupID))
		return r
	}
	client := d.id(path{topLevel, "clientID"}, d.clientID)
	r.ClientID, r.ClientGroupID = ClientID(client), ClientGroupID(client)
	r.LastMutationID = d.integer(path{topLevel, "lastMutationID"}, d.lastMutationID, 0)
	return r
}

// requestCookie makes the cookie. In version 0 it may be anything, and clients do
// not compare cookies: what cannot be used is answered like no cookie at all.
func (d *pullDecoder) requestCookie(v int) Cookie {
	if !d.present(path{topLevel, "cookie"}, d.cookie) {
		return Cookie{}
	}
	c, problem := parseCookie(d.cookie.raw)
	if problem == nil {
		return c
	}
	if v == 1 && d.problem == nil {
		d.problem = problem
	}
	return Cookie{Raw: d.cookie.raw}
}
