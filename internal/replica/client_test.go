package replica_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

var start = time.UnixMilli(1_700_000_000_000)

// synced is a client with two mutations confirmed, one pending and a view.
func synced(t *testing.T) *replica.Client {
	t.Helper()
	c := replica.New("c1", "g")
	for range 3 {
		c.Mutate("set", json.RawMessage(`{"k":"a"}`), start)
	}
	body := `{"cookie":{"order":5,"version":5,"epoch":"e"},"lastMutationIDChanges":{"c1":2,"c2":7},
		"patch":[{"op":"put","key":"a","value":1},{"op":"put","key":"b","value":null}]}`
	outcome, err := c.Apply(json.RawMessage("null"), []byte(body))
	if err != nil || outcome != replica.Applied {
		t.Fatalf("Apply = %v, %v, want applied", outcome, err)
	}
	return c
}

func TestApplyJudgesAsTheClientDoes(t *testing.T) {
	t.Parallel()
	const same = `{"order":5,"version":5,"epoch":"e"}`
	tests := map[string]struct {
		asked, body string
		want        replica.Outcome
		rule        string
	}{
		"newer":             {same, `{"cookie":6,"lastMutationIDChanges":{},"patch":[]}`, replica.Applied, ""},
		"same order, other": {same, `{"cookie":{"order":5},"lastMutationIDChanges":{},"patch":[]}`, replica.Applied, ""},
		"fields swapped": {
			same, `{"cookie":{"epoch":"e","version":5,"order":5},"lastMutationIDChanges":{},"patch":[]}`,
			replica.Unchanged, "",
		},
		"asked before": {"null", `{"cookie":6,"lastMutationIDChanges":{},"patch":[]}`, replica.Dropped, ""},
		"lost":         {"null", `{"error":"ClientStateNotFound"}`, replica.Lost, ""},
		"unsupported":  {same, `{"error":"VersionNotSupported"}`, replica.Unsupported, ""},
		"lmid back": {
			same, `{"cookie":6,"lastMutationIDChanges":{"c2":6},"patch":[]}`,
			replica.Refused, replica.RuleLastMutationID,
		},
		"cookie back": {
			same, `{"cookie":4,"lastMutationIDChanges":{},"patch":[]}`, replica.Refused, replica.RuleCookie,
		},
		"cookie null": {
			same, `{"cookie":null,"lastMutationIDChanges":{},"patch":[]}`, replica.Refused, replica.RuleCookie,
		},
		"equal with patch": {
			same, `{"cookie":` + same + `,"lastMutationIDChanges":{},"patch":[{"op":"clear"}]}`,
			replica.Refused, replica.RuleEqualCookie,
		},
		"equal with lmid": {
			same, `{"cookie":` + same + `,"lastMutationIDChanges":{"c1":3},"patch":[]}`,
			replica.Refused, replica.RuleEqualCookie,
		},
		"no JSON":    {same, `{"cookie":6`, replica.Refused, replica.RuleShape},
		"no cookie":  {same, `{"lastMutationIDChanges":{},"patch":[]}`, replica.Refused, replica.RuleShape},
		"no lmids":   {same, `{"cookie":6,"patch":[]}`, replica.Refused, replica.RuleShape},
		"no patch":   {same, `{"cookie":6,"lastMutationIDChanges":{}}`, replica.Refused, replica.RuleShape},
		"bad cookie": {same, `{"cookie":true,"lastMutationIDChanges":{},"patch":[]}`, replica.Refused, replica.RuleShape},
		"put without value": {
			same, `{"cookie":6,"lastMutationIDChanges":{},"patch":[{"op":"put","key":"a"}]}`,
			replica.Refused, replica.RuleShape,
		},
		"unknown operation": {
			same, `{"cookie":6,"lastMutationIDChanges":{},"patch":[{"op":"update","key":"a"}]}`,
			replica.Refused, replica.RuleShape,
		},
		"unknown error": {same, `{"error":"Foo"}`, replica.Refused, replica.RuleShape},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := synced(t)
			got, err := c.Apply(json.RawMessage(test.asked), []byte(test.body))
			rule := ""
			if v, ok := errors.AsType[*replica.Violation](err); ok {
				rule = v.Rule
			}
			if got != test.want || rule != test.rule {
				t.Errorf("Apply = %v, rule %q (%v), want %v, rule %q", got, rule, err, test.want, test.rule)
			}
			if got != replica.Applied && !cmp.Equal(string(c.Cookie()), same) {
				t.Errorf("cookie = %s, want the old one", c.Cookie())
			}
		})
	}
}

func TestApplyTakesOverAllOfIt(t *testing.T) {
	t.Parallel()
	c := synced(t)
	if got, want := len(c.Pending()), 1; got != want || c.Pending()[0].ID != 3 {
		t.Errorf("pending = %v, want only mutation 3", c.Pending())
	}
	body := `{"cookie":9,"lastMutationIDChanges":{"c1":3},
		"patch":[{"op":"del","key":"a"},{"op":"put","key":"c","value":[1]}]}`
	if _, err := c.Apply(c.Cookie(), []byte(body)); err != nil {
		t.Fatal(err)
	}
	want := map[string]json.RawMessage{"b": json.RawMessage("null"), "c": json.RawMessage("[1]")}
	if diff := cmp.Diff(want, c.View()); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
	lmids := map[protocol.ClientID]int64{"c1": 3, "c2": 7}
	if diff := cmp.Diff(lmids, c.LastMutationIDs()); diff != "" {
		t.Errorf("lastMutationIDs (-want +got):\n%s", diff)
	}
	if len(c.Pending()) != 0 || c.Confirmed() != 3 {
		t.Errorf("pending %v, confirmed %d, want none and 3", c.Pending(), c.Confirmed())
	}
	if m := c.Mutate("set", nil, start); m.ID != 4 || string(m.Args) != "null" {
		t.Errorf("next mutation = %+v, want id 4 with null args", m)
	}
}

func TestForkKeepsWhatIsConfirmed(t *testing.T) {
	t.Parallel()
	c := synced(t)
	fork := c.Fork("c3")
	body := `{"cookie":6,"lastMutationIDChanges":{},"patch":[{"op":"clear"}]}`
	if _, err := c.Apply(c.Cookie(), []byte(body)); err != nil {
		t.Fatal(err)
	}
	if len(fork.View()) != 2 || len(fork.Pending()) != 0 || fork.Group() != "g" {
		t.Errorf("fork has view %s, pending %v, group %s", fork.View(), fork.Pending(), fork.Group())
	}
	if m := fork.Mutate("set", nil, start); m.ID != 1 || m.ClientID != "c3" {
		t.Errorf("fork's first mutation = %+v, want id 1 of c3", m)
	}
	other := c.Regroup("c4", "h")
	if len(other.LastMutationIDs()) != 0 || string(other.Cookie()) != "6" || other.Group() != "h" {
		t.Errorf("regrouped: %v at %s of %s", other.LastMutationIDs(), other.Cookie(), other.Group())
	}
}

func TestRequestsAreOnesTheServerReads(t *testing.T) {
	t.Parallel()
	if body := replica.New("c", "g").PushRequest(); body != nil {
		t.Errorf("push with nothing pending = %s, want none", body)
	}
	c := synced(t)
	c.SetSchemaVersion("2")
	push, err := protocol.DecodePushRequest(c.PushRequest())
	if err != nil {
		t.Fatal(err)
	}
	want := &protocol.PushRequest{
		Version: 1, ProfileID: "p-replica", ClientGroupID: "g", SchemaVersion: "2",
		Mutations: []protocol.Mutation{{ClientID: "c1", ID: 3, Name: "set", Args: json.RawMessage(`{"k":"a"}`)}},
	}
	if diff := cmp.Diff(want, push); diff != "" {
		t.Errorf("push (-want +got):\n%s", diff)
	}
	pull, err := protocol.DecodePullRequest(c.PullRequest())
	if err != nil {
		t.Fatal(err)
	}
	if pull.Cookie.Version != 5 || pull.ClientGroupID != "g" || pull.SchemaVersion != "2" {
		t.Errorf("pull = %+v, want cookie 5 of group g", pull)
	}
}
