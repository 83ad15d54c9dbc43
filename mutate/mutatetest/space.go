package mutatetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// maxRejectionName is how much the server keeps of a rejected mutation's name.
const maxRejectionName = 100

// Options say what a space holds at first and who calls its mutators. The zero
// value is an empty space where nobody is signed in.
type Options struct {
	// State are the entries, each value anything that encoding/json can marshal.
	State map[string]any
	// Space is the space's name, "default" if empty.
	Space protocol.SpaceID
	// ClientID is the client's, "client" if empty.
	ClientID protocol.ClientID
	// UserID is the signed-in user's, "" where nobody is.
	UserID string
	// Claims is the JSON object of the user's claims, nil where there are none.
	Claims json.RawMessage
}

// Space is a space in memory, seen by one client. Make it with New; it is for one
// goroutine.
type Space struct {
	t        testing.TB
	mutators *mutate.Registry
	options  Options
	*contents
}

// contents are what the clients of a space share.
type contents struct {
	entries    map[string]json.RawMessage
	last       map[protocol.ClientID]int64
	rejections map[protocol.ClientID][]protocol.Rejection
}

// New makes a space. It ends the test if the state is one that no space can have.
func New(t testing.TB, mutators *mutate.Registry, o Options) *Space {
	t.Helper()
	o.Space = cmp.Or(o.Space, "default")
	o.ClientID = cmp.Or(o.ClientID, "client")
	return &Space{t: t, mutators: mutators, options: o, contents: &contents{
		entries:    encode(t, o.State),
		last:       map[protocol.ClientID]int64{},
		rejections: map[protocol.ClientID][]protocol.Rejection{},
	}}
}

// encode makes a state's entries.
func encode(t testing.TB, state map[string]any) map[string]json.RawMessage {
	t.Helper()
	entries := make(map[string]json.RawMessage, len(state))
	for key, v := range state {
		raw, err := mutate.EncodeValue(v)
		if err = cmp.Or(mutate.CheckKey(key), err); err != nil {
			t.Fatalf("no space can hold key %.80q: %v", key, err)
		}
		entries[key] = raw
	}
	return entries
}

// As is the same space seen by a client of another user's, whose client id is the
// user's id; "" is somebody who is not signed in. Claims may be nil.
func (s *Space) As(userID string, claims json.RawMessage) *Space {
	other := *s
	other.options.UserID, other.options.Claims = userID, claims
	other.options.ClientID = protocol.ClientID(cmp.Or(userID, "nobody"))
	return &other
}

// LastMutationID counts the client's mutations that were acknowledged, the rejected
// ones among them.
func (s *Space) LastMutationID() int64 { return s.last[s.options.ClientID] }

// Rejections are the client's rejected mutations with the reasons that it is told,
// oldest first.
func (s *Space) Rejections() []protocol.Rejection {
	return slices.Clone(s.rejections[s.options.ClientID])
}

// State is the JSON object of all entries: in the order of their keys, one a line.
func (s *Space) State() string { return "{" + strings.Join(lines(s.entries), ",") + "\n}" }

// Diff compares the space with the state that is wanted. It returns "" if they are
// the same, else a line for each entry that is missing (-) or too much (+). Values
// are compared by their canonical texts: 1 is 1.0, and members have no order.
func (s *Space) Diff(want map[string]any) string {
	s.t.Helper()
	return diff(encode(s.t, want), s.entries)
}

// diff lists the lines of want and got that the other does not have.
func diff(want, got map[string]json.RawMessage) string {
	var b strings.Builder
	w, g := lines(want), lines(got)
	for _, line := range w {
		if !slices.Contains(g, line) {
			b.WriteString("-" + line[1:] + "\n")
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			b.WriteString("+" + line[1:] + "\n")
		}
	}
	return b.String()
}

// lines has a line for each entry, beginning with the line's end before it; of one
// without a value, it says that it is deleted.
func lines(entries map[string]json.RawMessage) []string {
	list := make([]string, 0, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		value := string(entries[key])
		if entries[key] == nil {
			value = "deleted"
		}
		name, _ := mutate.EncodeValue(key) // cannot fail: CheckKey has seen it
		list = append(list, fmt.Sprintf("\n%s: %s", name, value))
	}
	return list
}
