package replica

import (
	"encoding/json"
	"fmt"

	"github.com/replifire/replifire/protocol"
)

// pushBody is a push of version 1, in the client's own order of fields.
type pushBody struct {
	ProfileID     string                 `json:"profileID"`
	ClientGroupID protocol.ClientGroupID `json:"clientGroupID"`
	Mutations     []Mutation             `json:"mutations"`
	PushVersion   int                    `json:"pushVersion"`
	SchemaVersion string                 `json:"schemaVersion"`
}

// pullBody is a pull of version 1.
type pullBody struct {
	ProfileID     string                 `json:"profileID"`
	ClientGroupID protocol.ClientGroupID `json:"clientGroupID"`
	Cookie        json.RawMessage        `json:"cookie"`
	PullVersion   int                    `json:"pullVersion"`
	SchemaVersion string                 `json:"schemaVersion"`
}

// PushRequest is the body of a push with all that is pending, nil when nothing is: a
// real client sends no empty push.
func (c *Client) PushRequest() []byte {
	if len(c.pending) == 0 {
		return nil
	}
	return c.PushRequestOf(c.pending)
}

// PushRequestOf is the body of a push with just these mutations: a prefix or a suffix
// of what is pending, those of other tabs of the group, or old ones again.
func (c *Client) PushRequestOf(mutations []Mutation) []byte {
	return encode(pushBody{
		ProfileID:     profileID,
		ClientGroupID: c.group,
		Mutations:     mutations,
		PushVersion:   1,
		SchemaVersion: c.schema,
	})
}

// PullRequest is the body of a pull. Its answer is to be applied with the Cookie
// that the client has now.
func (c *Client) PullRequest() []byte {
	return encode(pullBody{
		ProfileID:     profileID,
		ClientGroupID: c.group,
		Cookie:        c.cookie.Raw,
		PullVersion:   1,
		SchemaVersion: c.schema,
	})
}

// encode fails only for Args that are no JSON: a mistake in the test.
func encode(body any) []byte {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("replica: %v", err))
	}
	return raw
}
