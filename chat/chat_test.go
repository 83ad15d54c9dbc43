package chat_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/mutate/mutatetest"
)

// golden is a line of testdata/mutators.jsonl: a mutation with the state before it,
// and either the state after it or why it is rejected.
type golden struct {
	Name     string          `json:"name"`
	State    map[string]any  `json:"state"`
	User     string          `json:"user"`
	Mutator  string          `json:"mutator"`
	Args     json.RawMessage `json:"args"`
	Want     map[string]any  `json:"want"`
	Rejected string          `json:"rejected"`
}

func TestGolden(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range goldenCases(t) {
		if seen[c.Name] {
			t.Errorf("two cases are named %q", c.Name)
		}
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			checkGolden(t, c)
		})
	}
	if len(seen) < 100 {
		t.Errorf("got %d cases, want all of them, 100 or more", len(seen))
	}
}

func checkGolden(t *testing.T, c golden) {
	t.Helper()
	space := mutatetest.New(t, chat.Mutators(), mutatetest.Options{State: c.State, UserID: c.User})
	before := space.State()
	err := space.Run(c.Mutator, c.Args)
	if space.LastMutationID() != 1 {
		t.Errorf("got last mutation id %d, want 1", space.LastMutationID())
	}
	if c.Rejected == "" {
		if err != nil {
			t.Errorf("got error %v, want none", err)
		}
		if diff := space.Diff(c.Want); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
		return
	}
	if err == nil {
		t.Fatalf("got no error, want %q", c.Rejected)
	}
	if got := mutate.Reason(err); got != c.Rejected {
		t.Errorf("got reason %q, want %q", got, c.Rejected)
	}
	if after := space.State(); after != before {
		t.Errorf("rejected, but the state changed (-before +after):\n%s", cmp.Diff(before, after))
	}
}

// goldenCases reads the file. Fields that no case has are mistakes.
func goldenCases(t *testing.T) []golden {
	t.Helper()
	text, err := os.ReadFile("testdata/mutators.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var cases []golden
	for line := range bytes.Lines(text) {
		var c golden
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("line %d: %v", len(cases)+1, err)
		}
		if (c.Want == nil) == (c.Rejected == "") || c.State == nil {
			t.Fatalf("line %d: needs a state, and either want or rejected", len(cases)+1)
		}
		cases = append(cases, c)
	}
	return cases
}

// TestServerOnly has what a client's own mutators need not refuse.
func TestServerOnly(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", mutate.MaxKeyBytes-len("message/"))
	big := strings.Repeat("x", mutate.MaxValueBytes-len(`{"from":"","content":"","order":1}`))
	notAMessage := map[string]any{"message/m1": "text"}
	for _, c := range []struct {
		name     string
		state    map[string]any
		mutator  string
		args     string
		rejected string
	}{
		{"longest id", nil, "createMessage", create(long, ""), ""},
		{"id too long", nil, "createMessage", create(long+"x", ""), "key is longer than 1024 bytes"},
		{"id too long to be there", nil, "deleteMessage", `{"id":"` + long + `xx"}`, ""},
		{"largest message", nil, "createMessage", create("m1", big), ""},
		{"message too large", nil, "createMessage", create("m1", big+"x"), "value is larger than 1000000 bytes"},
		{
			"half of a surrogate pair", nil, "createMessage", create("m1", `\ud83d`),
			"bad arguments: args contain half of a surrogate pair",
		},
		{
			"nested too deeply", nil, "deleteMessage",
			`{"id":"m1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
			"bad arguments: args are nested deeper than 100",
		},
		{
			"update what is no message", notAMessage, "updateMessage", `{"id":"m1","content":""}`,
			"stored value: JSON string does not fit",
		},
		{
			"create over what is no message", notAMessage, "createMessage", create("m1", ""),
			"a message with this id exists",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			space := mutatetest.New(t, chat.Mutators(), mutatetest.Options{State: c.state})
			before, got := space.State(), ""
			if err := space.Run(c.mutator, json.RawMessage(c.args)); err != nil {
				got = mutate.Reason(err)
			}
			if got != c.rejected {
				t.Errorf("got reason %q, want %q", got, c.rejected)
			}
			if changed := space.State() != before; changed != (c.mutator == "createMessage" && got == "") {
				t.Errorf("the state changed: %v", changed)
			}
		})
	}
}

func create(id, content string) string {
	return `{"id":"` + id + `","from":"","content":"` + content + `","order":1}`
}

// TestConversation is two users' use of the chat.
func TestConversation(t *testing.T) {
	t.Parallel()
	ann := mutatetest.New(t, chat.Mutators(), mutatetest.Options{UserID: "ann"})
	bob := ann.As("bob", nil)
	for i, step := range []struct {
		space *mutatetest.Space
		name  string
		args  string
		ok    bool
	}{
		{ann, "createMessage", create("1", "lunch?"), true},
		{bob, "createMessage", create("1", "mine"), false},
		{bob, "createMessage", create("2", "tacos?"), true},
		{ann, "updateMessage", `{"id":"2","content":"pizza"}`, false},
		{ann, "updateMessage", `{"id":"1","content":"dinner?"}`, true},
		{ann, "deleteMessage", `{"id":"2"}`, false},
		{bob, "deleteMessage", `{"id":"2"}`, true},
		{bob, "deleteMessage", `{"id":"2"}`, true},
		{ann, "createMessage", create("2", "mine now"), true},
	} {
		if err := step.space.Run(step.name, json.RawMessage(step.args)); (err == nil) != step.ok {
			t.Errorf("step %d: got error %v, want one: %v", i, err, !step.ok)
		}
	}
	if diff := ann.Diff(map[string]any{
		"message/1": chat.Message{From: "ann", Content: "dinner?", Order: 1},
		"message/2": chat.Message{From: "ann", Content: "mine now", Order: 1},
	}); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestMutators(t *testing.T) {
	t.Parallel()
	want := []string{"createMessage", "deleteMessage", "updateMessage"}
	if diff := cmp.Diff(want, chat.Mutators().Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
