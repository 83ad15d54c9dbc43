package load_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/load"
)

// TestVerdictFindsWhatIsWrong has servers that break one promise each.
func TestVerdictFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		proxy proxy
		view  load.View
		want  string // in a problem
		// violation: the protocol is broken, not only a promise.
		violation bool
	}{
		"loses a client's mutations": {
			proxy: proxy{skip: losing()}, want: "sees mutations of client",
		},
		"acknowledges without effect": {
			proxy: proxy{request: withoutEffect()}, want: "confirmed mutations left no entry",
		},
		"leaves out an entry":       {proxy: proxy{response: leavingOut()}, want: "entries, a fresh one"},
		"shows another value":       {proxy: proxy{response: changing()}, want: "sees other values"},
		"shows another whole value": {proxy: proxy{response: changing()}, view: load.Full, want: "sees other values"},
		"answers a lower cookie": {
			proxy: proxy{response: few(`"order":(\d+)`, -1)}, want: "cookie went back", violation: true,
		},
		"takes a mutation id back": {
			proxy: proxy{response: few(`"lastMutationIDChanges":{"[^"]*":(\d+)`, -5)},
			want:  "lastMutationID went back", violation: true,
		},
		"confirms what was never sent": {
			proxy: proxy{response: few(`"lastMutationIDChanges":{"[^"]*":(\d+)`, 500)},
			want:  "none after", violation: true,
		},
		"changes under an equal cookie": {
			proxy: proxy{response: sameCookie()}, want: "equal cookie", violation: true,
		},
		"changes under an equal cookie, unseen": {
			proxy: proxy{response: sameCookie()}, view: load.None, want: "equal cookie", violation: true,
		},
		"answers what is no JSON": {
			proxy: proxy{response: func(r *http.Request, a *answer) {
				if isPull(r) {
					a.body = a.body[:len(a.body)/2]
				}
			}},
			want: "shape", violation: true,
		},
		"loses state in a pull": {
			proxy: proxy{response: instead(isPull, `{"error":"ClientStateNotFound"}`)}, want: "lost its state",
		},
		"loses state in a push": {
			proxy: proxy{response: instead(isPush, `{"error":"ClientStateNotFound"}`)}, want: "lost its state",
		},
		"does not know the push": {
			proxy: proxy{response: instead(isPush, `{"error":"VersionNotSupported"}`)},
			want:  "VersionNotSupported", violation: true,
		},
		"does not know the pull": {
			proxy: proxy{response: instead(isPull, `{"error":"VersionNotSupported"}`)},
			want:  "VersionNotSupported", violation: true,
		},
		"answers no more": {
			proxy: proxy{skip: func(r *http.Request, _ []byte) (*answer, bool) {
				return &answer{status: http.StatusInternalServerError}, isPull(r)
			}},
			want: "could not catch up",
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			test.proxy.next = apitest.Service(t)
			r := run(t, load.Config{
				Clients: 3, View: test.view, Duration: 500 * time.Millisecond, Settle: time.Second,
			}, &test.proxy)
			v := r.Verdict
			if v.Converged || v.Count == 0 || v.Violations > 0 != test.violation {
				t.Errorf("verdict is %v", v)
			}
			if !strings.Contains(strings.Join(v.Problems, "\n"), test.want) {
				t.Errorf("problems are %q, want %q in one", v.Problems, test.want)
			}
			if m := r.Mutations; m.Confirmed > m.Issued {
				t.Errorf("mutations are %+v", m)
			}
		})
	}
}

// TestLostMutationsAreNotConfirmed: what only an answer to a push speaks of is
// acknowledged and no more.
func TestLostMutationsAreNotConfirmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		void := &proxy{next: apitest.Service(t), skip: func(r *http.Request, _ []byte) (*answer, bool) {
			return &answer{http.StatusOK, []byte("{}")}, isPush(r)
		}}
		r := run(t, load.Config{Clients: 2, Pending: 3, Settle: 100 * time.Millisecond}, void)
		m := r.Mutations
		if m.Issued != 6 || m.Acknowledged != 6 || m.Confirmed != 0 || m.ConfirmedPerSecond != 0 {
			t.Errorf("mutations are %+v", m)
		}
		if r.Latencies.Confirm.Count != 0 || r.Verdict.Converged {
			t.Errorf("confirmation takes %+v, verdict %v", r.Latencies.Confirm, r.Verdict)
		}
	})
}

// losing answers every push of one client and passes none on.
func losing() func(*http.Request, []byte) (*answer, bool) {
	return func(r *http.Request, body []byte) (*answer, bool) {
		return &answer{http.StatusOK, []byte("{}")}, isPush(r) && bytes.Contains(body, []byte(`-c1"`))
	}
}

// withoutEffect has the service refuse mutations.
func withoutEffect() func(*http.Request, []byte) []byte {
	return func(r *http.Request, body []byte) []byte {
		if !isPush(r) {
			return body
		}
		return bytes.ReplaceAll(body, []byte(`"name":"createMessage"`), []byte(`"name":"updateMessage"`))
	}
}

var anyPut = regexp.MustCompile(`\{"op":"put","key":"[^"]*","value":\{[^}]*\}\}`)

// leavingOut takes the last entry out of an answer that goes on from a cookie.
func leavingOut() func(*http.Request, *answer) {
	var done atomic.Int64
	return func(r *http.Request, a *answer) {
		if bytes.Contains(a.body, []byte(`"clear"`)) || done.Load() >= manyTimes {
			return
		}
		if puts := anyPut.FindAll(a.body, -1); isPull(r) && len(puts) == 1 && done.Add(1) <= manyTimes {
			a.body = bytes.Replace(a.body, puts[0], nil, 1)
		}
	}
}

// changing shows clients other values.
func changing() func(*http.Request, *answer) {
	var done atomic.Int64
	return func(r *http.Request, a *answer) {
		if isPull(r) && anyPut.Match(a.body) && done.Add(1) <= manyTimes {
			a.body = bytes.Replace(a.body, []byte(`"content":"`), []byte(`"content":"!`), 1)
		}
	}
}

// manyTimes is how often an entry is spoiled: a later answer may put it right, and one that is too
// late changes nothing.
const manyTimes = 20

// fewTimes is more than once, since an answer that is too late changes nothing.
const fewTimes = 3

// few adds to a number of a few answers that have it, if it is large enough.
func few(pattern string, add int) func(*http.Request, *answer) {
	number := regexp.MustCompile(pattern)
	var done atomic.Int64
	return func(r *http.Request, a *answer) {
		m := number.FindSubmatchIndex(a.body)
		if !isPull(r) || m == nil || bytes.Contains(a.body, []byte(`"patch":[]`)) {
			return
		}
		n, err := strconv.Atoi(string(a.body[m[2]:m[3]]))
		if err != nil || n < 5 || done.Add(1) > fewTimes {
			return
		}
		if add < 0 {
			n = 0
		}
		a.body = append(append(bytes.Clone(a.body[:m[2]]), strconv.Itoa(n+max(add, 0))...), a.body[m[3]:]...)
	}
}

// sameCookie answers everything with the cookie of a client that has none.
func sameCookie() func(*http.Request, *answer) {
	return func(r *http.Request, a *answer) {
		var body map[string]json.RawMessage
		if !isPull(r) || json.Unmarshal(a.body, &body) != nil || string(body["patch"]) == "[]" {
			return
		}
		body["cookie"] = json.RawMessage("null")
		a.body, _ = json.Marshal(body) // it was JSON
	}
}

// instead answers one request in another way.
func instead(which func(*http.Request) bool, body string) func(*http.Request, *answer) {
	var seen atomic.Int64
	return func(r *http.Request, a *answer) {
		if which(r) && seen.Add(1) == 5 {
			a.body = []byte(body)
		}
	}
}
