package protocol

import "fmt"

// DecodeError says what is wrong with a request. Its sender is to be answered
// with status 400: sending the same again will not help. It carries nothing of
// the request but a field's name and a position, and is safe to show.
type DecodeError struct {
	// Field is the path of the field at fault, such as "mutations[3].id"; empty if
	// the request is not a JSON object at all.
	Field string
	// Reason is the rest of a sentence that begins with the field.
	Reason string
}

// Error names the field.
func (e *DecodeError) Error() string {
	if e.Field == "" {
		return "request " + e.Reason
	}
	return e.Field + " " + e.Reason
}

// ErrorKind is what an ErrorResponse tells a client.
type ErrorKind string

// The kinds a Replicache client knows (protocol.md §1.4, §2.3).
const (
	// KindClientStateNotFound: the server has lost what the client relies on. The
	// client starts anew under a new client group; its pending mutations are lost.
	KindClientStateNotFound ErrorKind = "ClientStateNotFound"
	// KindVersionNotSupported: the client is older or newer than the server. The
	// client asks its user to reload.
	KindVersionNotSupported ErrorKind = "VersionNotSupported"
)

// VersionType is which version is not supported.
type VersionType string

// The version types a Replicache client knows; it takes no notice of an answer
// with any other.
const (
	VersionTypePush   VersionType = "push"
	VersionTypePull   VersionType = "pull"
	VersionTypeSchema VersionType = "schema"
)

// ErrorResponse is an answer that a Replicache client acts on. Its JSON is the
// body of the answer, and the status MUST be 200: with any other, the client does
// not read the body (protocol.md §1.4).
type ErrorResponse struct {
	Kind        ErrorKind   `json:"error"`
	VersionType VersionType `json:"versionType,omitempty"`
}

// ClientStateNotFound returns the answer of that name. It is never the answer to
// a cookie: the client would come back with the same one (protocol.md §2.1).
func ClientStateNotFound() *ErrorResponse {
	return &ErrorResponse{Kind: KindClientStateNotFound}
}

// VersionNotSupported returns the answer of that name for a version of type t.
func VersionNotSupported(t VersionType) *ErrorResponse {
	return &ErrorResponse{Kind: KindVersionNotSupported, VersionType: t}
}

// Error names the kind, and the version type if there is one.
func (e *ErrorResponse) Error() string {
	if e.VersionType == "" {
		return string(e.Kind)
	}
	return fmt.Sprintf("%s (%s)", e.Kind, e.VersionType)
}
