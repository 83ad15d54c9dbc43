package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/replifire/replifire/protocol"
)

func ExampleDecodePushRequest() {
	r, err := protocol.DecodePushRequest([]byte(`{
		"pushVersion": 1, "profileID": "p1", "clientGroupID": "g1", "schemaVersion": "",
		"mutations": [{"clientID": "c1", "id": 1, "name": "deleteMessage", "args": {"id": "m1"}, "timestamp": 3.5}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range r.Mutations {
		fmt.Printf("%s %d: %s(%s)\n", m.ClientID, m.ID, m.Name, m.Args)
	}
	// Output: c1 1: deleteMessage({"id": "m1"})
}

func ExampleDecodePullRequest() {
	_, err := protocol.DecodePullRequest([]byte(`{"pullVersion": 1, "profileID": "p1", "schemaVersion": "", "cookie": 7}`))
	if e, ok := errors.AsType[*protocol.DecodeError](err); ok {
		fmt.Println("400:", e)
	}
	_, err = protocol.DecodePullRequest([]byte(`{"pullVersion": 3}`))
	if e, ok := errors.AsType[*protocol.ErrorResponse](err); ok {
		body, err := json.Marshal(e)
		fmt.Println("200:", string(body), err)
	}
	// Output:
	// 400: clientGroupID is missing
	// 200: {"error":"VersionNotSupported","versionType":"pull"} <nil>
}

// A client that synced with another server, where its cookie was 42, is given all
// there is under a cookie that it takes for a newer one.
func ExampleCookie_Reset() {
	c, err := protocol.ParseCookie(json.RawMessage("42"))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, _ = c.Reset(7, "e1") // there is room above 42
	fmt.Println(string(c.Raw))
	c, _ = c.Next(9, "e1") // and above 43
	fmt.Println(string(c.Raw))
	// Output:
	// {"order":43,"version":7,"epoch":"e1"}
	// {"order":45,"version":9,"epoch":"e1"}
}

func ExamplePullResponse_Encode() {
	r := protocol.PullResponse{
		Version: 1,
		Cookie:  json.RawMessage(`{"order":9,"version":9,"epoch":"e"}`),
		Clients: func(yield func(protocol.ClientChange, error) bool) {
			yield(protocol.ClientChange{ID: "c1", LastMutationID: 4}, nil)
		},
		Patch: func(yield func(protocol.PatchOperation, error) bool) {
			yield(protocol.PatchOperation{Op: protocol.OpDel, Key: "m1"}, nil)
		},
	}
	if err := r.Encode(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"cookie":{"order":9,"version":9,"epoch":"e"},"lastMutationIDChanges":{"c1":4},"patch":[{"op":"del","key":"m1"}]}
}
