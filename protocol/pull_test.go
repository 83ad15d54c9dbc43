package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/protocol"
)

const (
	validPull = `{"profileID":"p","clientGroupID":"g","cookie":{"order":9,"version":7,"epoch":"e"},` +
		`"pullVersion":1,"schemaVersion":"s"}`
	validPullV0 = `{"clientID":"c","cookie":null,"lastMutationID":3,"pullVersion":0,"schemaVersion":"s"}`
)

func TestDecodePullRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		body string
		want protocol.PullRequest
	}{
		{"version 1", validPull, protocol.PullRequest{
			Version: 1, ProfileID: "p", ClientGroupID: "g", SchemaVersion: "s",
			Cookie: protocol.Cookie{
				Raw:     json.RawMessage(`{"order":9,"version":7,"epoch":"e"}`),
				Version: 7, Epoch: "e", Ours: true,
			},
		}},
		{"version 0", validPullV0, protocol.PullRequest{
			Version: 0, ClientGroupID: "c", ClientID: "c", LastMutationID: 3, SchemaVersion: "s",
			Cookie: protocol.Cookie{Raw: json.RawMessage("null")},
		}},
		{
			"version 1 knows no clientID and no lastMutationID",
			strings.Replace(validPull, "{", `{"clientID":1,"lastMutationID":"x","lastMutationID":-1,`, 1),
			protocol.PullRequest{
				Version: 1, ProfileID: "p", ClientGroupID: "g", SchemaVersion: "s",
				Cookie: protocol.Cookie{
					Raw:     json.RawMessage(`{"order":9,"version":7,"epoch":"e"}`),
					Version: 7, Epoch: "e", Ours: true,
				},
			},
		},
		{
			"version 0 knows no clientGroupID, but a profile",
			strings.Replace(validPullV0, "{", `{"clientGroupID":1,"profileID":"p",`, 1),
			protocol.PullRequest{
				Version: 0, ProfileID: "p", ClientGroupID: "c", ClientID: "c", LastMutationID: 3, SchemaVersion: "s",
				Cookie: protocol.Cookie{Raw: json.RawMessage("null")},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := protocol.DecodePullRequest([]byte(tt.body))
			if err != nil {
				t.Fatalf("DecodePullRequest(%s): %v", tt.body, err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("DecodePullRequest(%s): -want +got\n%s", tt.body, diff)
			}
		})
	}
}

func TestDecodePullRequestRefuses(t *testing.T) {
	t.Parallel()
	const cookie = `{"order":9,"version":7,"epoch":"e"}`
	tests := []struct {
		name           string
		body, old, new string
		field          string
	}{
		{"version missing", validPull, `"pullVersion":1,`, ``, "pullVersion"},
		{"version a string", validPull, `"pullVersion":1`, `"pullVersion":"1"`, "pullVersion"},
		{"version with a fraction", validPull, `"pullVersion":1`, `"pullVersion":0.5`, "pullVersion"},
		{"a push", validPull, `"pullVersion"`, `"pushVersion"`, "pullVersion"},
		{"profile missing", validPull, `"profileID":"p",`, ``, "profileID"},
		{"group missing", validPull, `"clientGroupID":"g",`, ``, "clientGroupID"},
		{"group empty", validPull, `"g"`, `""`, "clientGroupID"},
		{"group an object", validPull, `"g"`, `{}`, "clientGroupID"},
		{"schema missing", validPull, `,"schemaVersion":"s"`, ``, "schemaVersion"},
		{"schema false", validPull, `"s"`, `false`, "schemaVersion"},
		{"cookie missing", validPull, `"cookie":` + cookie + `,`, ``, "cookie"},
		{"cookie twice", validPull, `"cookie":`, `"cookie":1,"cookie":`, "cookie"},
		{"cookie true", validPull, cookie, `true`, "cookie"},
		{"cookie an array", validPull, cookie, `[1]`, "cookie"},
		{"cookie without order", validPull, cookie, `{"version":7}`, "cookie.order"},
		{"cookie with null order", validPull, cookie, `{"order":null}`, "cookie.order"},
		{"a body of version 0", validPullV0, `"pullVersion":0`, `"pullVersion":1`, "profileID"},
		{"a body of version 1 as 0", validPull, `"pullVersion":1`, `"pullVersion":0`, "clientID"},
		{"version 0: client missing", validPullV0, `"clientID":"c",`, ``, "clientID"},
		{"version 0: client a number", validPullV0, `"c"`, `1`, "clientID"},
		{"version 0: cookie missing", validPullV0, `"cookie":null,`, ``, "cookie"},
		{"version 0: last missing", validPullV0, `"lastMutationID":3,`, ``, "lastMutationID"},
		{"version 0: last a string", validPullV0, `:3`, `:"3"`, "lastMutationID"},
		{"version 0: last negative", validPullV0, `:3`, `:-1`, "lastMutationID"},
		{"version 0: last with a fraction", validPullV0, `:3`, `:3.5`, "lastMutationID"},
		{"version 0: last too large", validPullV0, `:3`, `:9007199254740992`, "lastMutationID"},
		{"version 0: schema missing", validPullV0, `,"schemaVersion":"s"`, ``, "schemaVersion"},
		{"version 0: profile a number", validPullV0, `{`, `{"profileID":7,`, "profileID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := protocol.DecodePullRequest([]byte(replace(t, tt.body, tt.old, tt.new)))
			wantDecodeError(t, err, tt.field)
		})
	}
}

// TestDecodePullRequestV0Cookies: a client of version 0 may have been given any JSON.
// What is not ours is answered by a resync.
func TestDecodePullRequestV0Cookies(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"null", "true", "false", "[]", `[1,{"a":2}]`, "{}", `{"order":null}`, `{"order":[]}`, `""`, `"4"`, "0", "-7.5",
		"9007199254740991", "1e400", "-1e400", `"` + strings.Repeat("x", 5000) + `"`, `{"order":1,"order":2}`,
		`{"order":1e400,"version":1,"epoch":"e"}`, `"\ud83d"`, strings.Repeat("[", 500) + strings.Repeat("]", 500),
	} {
		t.Run(raw[:min(len(raw), 40)], func(t *testing.T) {
			t.Parallel()
			r, err := protocol.DecodePullRequest([]byte(replace(t, validPullV0, "null", raw)))
			if err != nil {
				t.Fatalf("DecodePullRequest: %v", err)
			}
			if r.Cookie.Ours || string(r.Cookie.Raw) != raw {
				t.Errorf("got cookie %+v, want one of others, as it was sent", r.Cookie)
			}
			next, err := r.Cookie.Reset(5, "e")
			if err != nil || !next.Ours || next.Version != 5 {
				t.Errorf("Reset: got %+v, %v, want one of ours", next, err)
			}
		})
	}
}
