package history_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/internal/history"
	"github.com/replifire/replifire/internal/load"
	"github.com/replifire/replifire/internal/replica"
)

// good is a history of a client in one space and of two of different groups in another, with
// a lost reply, a refused mutation and a register. The planted bugs are changes of it.
const good = `
{"at":0,"type":"invoke","op":"push","space":"z","group":"k","client":"r-c3","last":1,"mutations":[
  {"id":1,"name":"createMessage","args":{"id":"r-c3-a","from":"x","content":"far","order":1}}]}
{"at":0,"type":"ok","op":"push","space":"z","group":"k","client":"r-c3","last":1}
{"at":0,"type":"invoke","op":"pull","space":"z","group":"k","client":"r-c3"}
{"at":0,"type":"ok","op":"pull","space":"z","group":"k","client":"r-c3","outcome":"applied","answer":
  {"cookie":{"order":1,"version":1,"epoch":"e"},"lastMutationIDChanges":{"r-c3":1},"patch":[{"op":"clear"},
   {"op":"put","key":"message/r-c3-a","value":{"from":"x","content":"far","order":1}}]}}
{"at":1,"type":"invoke","op":"push","space":"s","group":"g","client":"r-c1","last":3,"mutations":[
  {"id":1,"name":"createMessage","args":{"id":"r-c1-a","from":"x","content":"one","order":1}},
  {"id":2,"name":"updateMessage","args":{"id":"r-c1-a","content":"two"}},
  {"id":3,"name":"updateMessage","args":{"id":"reg-0","content":"r-c1.3"}}]}
{"at":2,"type":"ok","op":"push","space":"s","group":"g","client":"r-c1","last":3}
{"at":3,"type":"invoke","op":"pull","space":"s","group":"g","client":"r-c1"}
{"at":4,"type":"ok","op":"pull","space":"s","group":"g","client":"r-c1","outcome":"applied","answer":
  {"cookie":{"order":2,"version":2,"epoch":"e"},"lastMutationIDChanges":{"r-c1":3},"patch":[{"op":"clear"},
   {"op":"put","key":"message/r-c1-a","value":{"from":"x","content":"two","order":1}},
   {"op":"put","key":"message/reg-0","value":{"from":"x","content":"r-c1.3","order":1}}]}}
{"at":5,"type":"invoke","op":"push","space":"s","group":"g","client":"r-c1","last":6,"mutations":[
  {"id":4,"name":"createMessage","args":{"id":"r-c1-a","from":"x","content":"again","order":1}},
  {"id":5,"name":"deleteMessage","args":{"id":"r-c1-a"}},
  {"id":6,"name":"createMessage","args":{"id":"r-c1-b","from":"x","content":"six","order":1}}]}
{"at":6,"type":"info","op":"push","space":"s","group":"g","client":"r-c1","last":6}
{"at":7,"type":"fault","what":"kill"}
{"at":8,"type":"invoke","op":"pull","space":"s","group":"g","client":"r-c1"}
{"at":9,"type":"ok","op":"pull","space":"s","group":"g","client":"r-c1","outcome":"applied","answer":
  {"cookie":{"order":3,"version":3,"epoch":"e"},"lastMutationIDChanges":{"r-c1":6},
   "rejections":{"r-c1":[{"id":4,"name":"createMessage","reason":"exists"}]},
   "patch":[{"op":"del","key":"message/r-c1-a"},
   {"op":"put","key":"message/r-c1-b","value":{"from":"x","content":"six","order":1}}]}}
{"at":10,"type":"invoke","op":"push","space":"s","group":"h","client":"r-c2","last":1,"mutations":[
  {"id":1,"name":"updateMessage","args":{"id":"reg-0","content":"r-c2.1"}}]}
{"at":11,"type":"ok","op":"push","space":"s","group":"h","client":"r-c2","last":1}
{"at":12,"type":"invoke","op":"pull","space":"s","group":"h","client":"r-c2"}
{"at":13,"type":"ok","op":"pull","space":"s","group":"h","client":"r-c2","outcome":"applied","answer":
  {"cookie":{"order":4,"version":4,"epoch":"e"},"lastMutationIDChanges":{"r-c2":1},"patch":[{"op":"clear"},
   {"op":"put","key":"message/r-c1-b","value":{"from":"x","content":"six","order":1}},
   {"op":"put","key":"message/reg-0","value":{"from":"x","content":"r-c2.1","order":1}}]}}
{"at":14,"type":"invoke","op":"pull","space":"s","group":"g","client":"r-c1"}
{"at":15,"type":"ok","op":"pull","space":"s","group":"g","client":"r-c1","outcome":"applied","answer":
  {"cookie":{"order":4,"version":4,"epoch":"e"},"lastMutationIDChanges":{},
   "patch":[{"op":"put","key":"message/reg-0","value":{"from":"x","content":"r-c2.1","order":1}}]}}
{"at":16,"type":"invoke","op":"pull","space":"s","group":"g","client":"r-c1"}
{"at":17,"type":"ok","op":"pull","space":"s","group":"g","client":"r-c1","outcome":"unchanged","answer":
  {"cookie":{"order":4,"version":4,"epoch":"e"},"lastMutationIDChanges":{},"patch":[]}}
`

// judge has a history judged, and says which invariants it breaks.
func judge(t *testing.T, text string) (broken []history.Invariant, l history.Linearizability) {
	t.Helper()
	var j history.Judge
	var r history.Registers
	lines := strings.ReplaceAll(strings.TrimSpace(text), "\n ", " ")
	for e, err := range history.Read(strings.NewReader(lines)) {
		if err != nil {
			t.Fatal(err)
		}
		j.Add(e)
		r.Add(e)
	}
	for _, v := range j.Finish() {
		t.Log(v)
		if !slices.Contains(broken, v.Invariant) {
			broken = append(broken, v.Invariant)
		}
	}
	return broken, r.Check(time.Minute)
}

func TestGoodHistory(t *testing.T) {
	t.Parallel()
	broken, l := judge(t, good)
	if len(broken) > 0 {
		t.Errorf("a good history breaks %v", broken)
	}
	// Two writes and three reads; the other two pulls show nothing that was written since.
	want := history.Linearizability{Histories: 1, Operations: 2 + 3}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Errorf("linearizability (-want +got):\n%s", diff)
	}
}

// TestMembersInAnyOrder: views are compared as values.
func TestMembersInAnyOrder(t *testing.T) {
	t.Parallel()
	const one, other = `{"from":"x","content":"r-c2.1","order":1}`, `{"order":1.0, "from":"x","content":"r-c2.1"}`
	if broken, _ := judge(t, strings.Replace(good, one, other, 1)); len(broken) > 0 {
		t.Errorf("it breaks %v", broken)
	}
}

func TestPlantedBugs(t *testing.T) {
	t.Parallel()
	const (
		pullAt9  = `"lastMutationIDChanges":{"r-c1":6}`
		changeAt = `"order":3,"version":3,"epoch":"e"}`
		last     = `{"order":4,"version":4,"epoch":"e"},"lastMutationIDChanges":{},"patch":[]`
		rejected = `"rejections":{"r-c1":[{"id":4,"name":"createMessage","reason":"exists"}]},`
	)
	tests := map[string]struct {
		old, changed string
		want         history.Invariant
	}{
		"last mutation id goes back": {pullAt9, `"lastMutationIDChanges":{"r-c1":2}`, history.LMIDMonotone},
		"confirms what was not sent": {pullAt9, `"lastMutationIDChanges":{"r-c1":7}`, history.LMIDMonotone},
		"applied half":               {pullAt9, `"lastMutationIDChanges":{"r-c1":5}`, history.ExactlyOnce},
		"applied, not counted":       {pullAt9, `"lastMutationIDChanges":{}`, history.ExactlyOnce},
		"counted, not applied": {
			`{"op":"put","key":"message/r-c1-b","value":{"from":"x","content":"six","order":1}}]}}
{"at":10`, `{"op":"del","key":"x"}]}}
{"at":10`, history.ExactlyOnce,
		},
		"applied twice": {`"rejections":{"r-c1":[{"id":4,`, `"rejections":{"r-c1":[{"id":6,`, history.ExactlyOnce},
		"deleted comes back": {
			`"patch":[{"op":"del","key":"message/r-c1-a"},`, `"patch":[`, history.ExactlyOnce,
		},
		"older value": {`"content":"two","order":1}}`, `"content":"one","order":1}}`, history.ExactlyOnce},
		"nobody's key": {
			`"patch":[{"op":"clear"},
   {"op":"put","key":"message/r-c1-b"`, `"patch":[{"op":"clear"},{"op":"put","key":"message/r-c9-b","value":{}},
   {"op":"put","key":"message/r-c1-b"`, history.ExactlyOnce,
		},
		"cookie goes back": {changeAt, `"order":1,"version":3,"epoch":"e"}`, history.CookieMonotone},
		"equal cookie":     {changeAt, `"order":2,"version":2,"epoch":"e"}`, history.CookieMonotone},
		"version goes back": {
			changeAt, `"order":3,"version":1,"epoch":"e"}`, history.Causal,
		},
		"equal versions, other views": {
			`"patch":[{"op":"put","key":"message/reg-0"`, `"patch":[{"op":"put","key":"message/reg-1"`, history.Prefix,
		},
		"acknowledged, which is fine": {
			`{"at":6,"type":"info"`, `{"at":6,"type":"ok"`, "",
		},
		"lost what was acknowledged": {
			`"lastMutationIDChanges":{"r-c2":1}`, `"lastMutationIDChanges":{}`, history.Durable,
		},
		"another group's mutation id": {
			`"lastMutationIDChanges":{"r-c2":1}`, `"lastMutationIDChanges":{"r-c2":1,"r-c1":6}`, history.Isolation,
		},
		"rejection is not told": {rejected, ``, history.Rejections},
		"rejection is told again": {
			`"lastMutationIDChanges":{},`, `"lastMutationIDChanges":{},` + rejected, history.Rejections,
		},
		"rejection is told under an equal cookie": {`"patch":[]`, rejected + `"patch":[]`, history.Rejections},
		"rejection has another name": {
			`{"id":4,"name":"createMessage","reason"`, `{"id":4,"name":"deleteMessage","reason"`, history.Rejections,
		},
		"rejection has no reason": {`"reason":"exists"`, `"reason":""`, history.Rejections},
		"rejection of what is not confirmed": {
			`"lastMutationIDChanges":{"r-c1":3},`, `"lastMutationIDChanges":{"r-c1":3},` + rejected, history.Rejections,
		},
		"another group's rejection": {
			`"lastMutationIDChanges":{"r-c2":1}`,
			`"lastMutationIDChanges":{"r-c2":1},"rejections":{"r-c1":[{"id":4}]}`, history.Isolation,
		},
		"another space's entry": {
			`"patch":[{"op":"del","key":"message/r-c1-a"},`, `"patch":[{"op":"del","key":"message/r-c1-a"},
   {"op":"put","key":"message/r-c3-a","value":{"from":"x","content":"far","order":1}},`, history.Isolation,
		},
		"not converged": {last, strings.ReplaceAll(last, "4", "5"), history.Converge},
		"state is lost": {
			`{"at":11,"type":"ok","op":"push",`, `{"at":11,"type":"ok","op":"push","what":"ClientStateNotFound",`,
			history.Healthy,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n := strings.Count(good, test.old); n == 0 {
				t.Fatalf("the history has no %q", test.old)
			}
			broken, _ := judge(t, strings.Replace(good, test.old, test.changed, 1))
			if test.want == "" && len(broken) > 0 || test.want != "" && !slices.Contains(broken, test.want) {
				t.Errorf("it breaks %v, want %q", broken, test.want)
			}
		})
	}
}

func TestPlantedStaleRead(t *testing.T) {
	t.Parallel()
	// After r-c2's write was acknowledged, a pull still shows r-c1's.
	text := strings.Replace(good, `"patch":[{"op":"put","key":"message/reg-0","value":{"from":"x","content":"r-c2.1"`,
		`"patch":[{"op":"put","key":"message/reg-0","value":{"from":"x","content":"r-c1.3"`, 1)
	_, l := judge(t, text)
	if want := []string{"message/reg-0 of space s"}; !slices.Equal(l.Illegal, want) {
		t.Errorf("illegal are %q, want %q", l.Illegal, want)
	}
	// It is never seen at all.
	const mine, others = `"value":{"from":"x","content":"r-c2.1"`, `"value":{"from":"x","content":"r-c1.3"`
	_, l = judge(t, strings.ReplaceAll(good, mine, others))
	if len(l.Illegal) != 1 {
		t.Errorf("illegal are %q, want one", l.Illegal)
	}
	// A value that nobody wrote.
	_, l = judge(t, strings.Replace(good, `"content":"r-c2.1","order":1}}]}}
{"at":14`, `"content":"r-c9.1","order":1}}]}}
{"at":14`, 1))
	if len(l.Illegal) != 1 {
		t.Errorf("illegal are %q, want one", l.Illegal)
	}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := history.NewRecorder(&out)
	one := replica.Mutation{ClientID: "r-c1", ID: 1, Name: "a", Args: json.RawMessage("{}")}
	two := replica.Mutation{ClientID: "r-c1", ID: 2, Name: "b", Args: json.RawMessage("{}")}
	id := load.Identity{Space: "s", Group: "g", Client: "r-c1"}
	for _, x := range []load.Exchange{
		{Push: true, Begins: true, Mutations: []replica.Mutation{one}},
		{Push: true, Mutations: []replica.Mutation{one}},
		{Push: true, Begins: true, Mutations: []replica.Mutation{one, two}},
		{Push: true, Mutations: []replica.Mutation{one, two}, OK: true, Answer: []byte(`{"error":"E"}`)},
		{Begins: true},
		{OK: true, Answer: []byte(`{"cookie":1}`), Outcome: replica.Applied},
	} {
		x.Identity, x.At = id, time.Now()
		r.Record(x)
	}
	r.Fault("kill")
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range history.Read(&out) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.Type, e.Op, e.Last, len(e.Mutations), e.Outcome, string(e.Answer), e.What))
	}
	want := []string{
		"invoke push1 1 ", "info push1 0 ", "invoke push2 1 ", "ok push2 0 E", "invoke pull0 0 ",
		`ok pull0 0 applied{"cookie":1}`, "fault0 0 kill",
	}
	trim := func(list []string) (out []string) {
		for _, s := range list {
			out = append(out, strings.ReplaceAll(s, " ", ""))
		}
		return out
	}
	if diff := cmp.Diff(trim(want), trim(got)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestReadFails(t *testing.T) {
	t.Parallel()
	for _, err := range history.Read(strings.NewReader("{\"at\":1}\n{")) {
		if err != nil {
			return
		}
	}
	t.Error("half a line is no error")
}
