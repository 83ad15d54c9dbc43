package replica

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/replifire/replifire/protocol"
)

// Outcome says what became of an answer.
type Outcome int

// The outcomes of Apply. With an error, nothing was taken over.
const (
	// Refused goes with a *Violation: the client drops the answer and asks again,
	// for ever if the server goes on like that.
	Refused Outcome = iota
	// Applied: the state is the answer's now.
	Applied
	// Unchanged: the answer has the client's own cookie.
	Unchanged
	// Dropped: the client has moved on since it asked.
	Dropped
	// Lost: the server does not know this client's state. It is of no more use.
	Lost
	// Unsupported: the server does not speak the client's version.
	Unsupported
)

// String names the outcome.
func (o Outcome) String() string {
	names := [...]string{"refused", "applied", "unchanged", "dropped", "lost", "unsupported"}
	if o < 0 || int(o) >= len(names) {
		return fmt.Sprintf("Outcome(%d)", int(o))
	}
	return names[o]
}

// The rules that an answer can break.
const (
	// RuleShape: the answer is not JSON or not of the form of protocol.md §2.2.
	RuleShape = "shape"
	// RuleLastMutationID: a lastMutationID went back.
	RuleLastMutationID = "lastMutationID went back"
	// RuleCookie: the cookie went back in the client's order.
	RuleCookie = "cookie went back"
	// RuleEqualCookie: there are changes, but the cookie is the client's own, so that
	// it ignores them.
	RuleEqualCookie = "changes under an equal cookie"
)

// Violation is an answer that a real client refuses, or ignores with an error in its
// log. It is the error of Apply.
type Violation struct { //nolint:errname // it is what is judged, and an error only by the way
	Rule   string // one of the Rule constants
	Detail string
}

// Error names the rule first.
func (v *Violation) Error() string { return v.Rule + ": " + v.Detail }

// answer is a pull's answer of version 1, or an error that stands in its place.
type answer struct {
	Error           string                      `json:"error"`
	Cookie          json.RawMessage             `json:"cookie"`
	LastMutationIDs map[protocol.ClientID]int64 `json:"lastMutationIDChanges"`
	Patch           []operation                 `json:"patch"`

	cookie protocol.Cookie
}

type operation struct {
	Op    protocol.Op     `json:"op"`
	Key   *string         `json:"key"`
	Value json.RawMessage `json:"value"`
}

// Apply judges the body of an answer (with status 200) to a pull that was sent when
// the client's cookie was askedWith, and takes it over if the real client would.
// The error is a *Violation.
func (c *Client) Apply(askedWith json.RawMessage, body []byte) (Outcome, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return Refused, &Violation{Rule: RuleShape, Detail: err.Error()}
	}
	switch a.Error {
	case "ClientStateNotFound":
		return Lost, nil
	case "VersionNotSupported":
		return Unsupported, nil
	}
	if err := a.check(); err != nil {
		return Refused, &Violation{Rule: RuleShape, Detail: err.Error()}
	}
	if !equal(askedWith, c.cookie.Raw) {
		return Dropped, nil
	}
	return c.judge(&a)
}

// judge makes the client's checks in the client's order.
func (c *Client) judge(a *answer) (Outcome, error) {
	for id, n := range a.LastMutationIDs {
		if n < c.lmids[id] {
			return Refused, &Violation{
				Rule:   RuleLastMutationID,
				Detail: fmt.Sprintf("client %s: %d after %d", id, n, c.lmids[id]),
			}
		}
	}
	if a.cookie.Compare(c.cookie) < 0 {
		return Refused, &Violation{
			Rule:   RuleCookie,
			Detail: fmt.Sprintf("%s after %s", a.Cookie, c.cookie.Raw),
		}
	}
	if !equal(a.Cookie, c.cookie.Raw) {
		c.confirm(a)
		return Applied, nil
	}
	if len(a.Patch)+len(a.LastMutationIDs) > 0 {
		return Refused, &Violation{
			Rule: RuleEqualCookie,
			Detail: fmt.Sprintf("%d operations and %d lastMutationIDs at %s",
				len(a.Patch), len(a.LastMutationIDs), a.Cookie),
		}
	}
	return Unchanged, nil
}

// check holds an answer to its form and reads its cookie.
func (a *answer) check() (err error) {
	switch {
	case a.Error != "":
		return fmt.Errorf("unknown error %q", a.Error)
	case a.Cookie == nil:
		return errors.New("no cookie")
	case a.LastMutationIDs == nil:
		return errors.New("no lastMutationIDChanges")
	case a.Patch == nil:
		return errors.New("no patch")
	}
	for i, op := range a.Patch {
		if !op.valid() {
			return fmt.Errorf("operation %d of the patch is none", i)
		}
	}
	if a.cookie, err = protocol.ParseCookie(a.Cookie); err != nil {
		return err
	}
	return nil
}

func (op operation) valid() bool {
	switch op.Op {
	case protocol.OpPut:
		return op.Key != nil && op.Value != nil
	case protocol.OpDel:
		return op.Key != nil
	case protocol.OpClear:
		return true
	}
	return false
}

// equal compares two JSON texts as values, since the client does.
func equal(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}
