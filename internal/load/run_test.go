package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/load"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

// TestRunConverges has every kind of run against the real service.
func TestRunConverges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]load.Config{
		"closed loop":         {Clients: 4},
		"several pending":     {Clients: 4, Pending: 5, Ramp: 50 * time.Millisecond},
		"think time":          {Clients: 2, Think: 20 * time.Millisecond},
		"open loop":           {Clients: 4, Rate: 400},
		"bursts":              {Clients: 4, Rate: 400, Burst: 20},
		"groups and spaces":   {Clients: 12, Groups: 6, Spaces: 2},
		"a stream per group":  {Clients: 12, Groups: 6, Spaces: 2, Streams: load.PerGroup},
		"uneven groups":       {Clients: 9, Groups: 3, Spaces: 2, Streams: load.PerGroup},
		"pullers":             {Clients: 2, Pullers: 20, Groups: 5, Rate: 50},
		"whole values":        {Clients: 4, View: load.Full},
		"no values":           {Clients: 4, View: load.None},
		"compressed":          {Clients: 4, Gzip: true},
		"more than one space": {Clients: 4, Spaces: 4, Space: "mine"},
	} {
		inBubble(t, name, func(t *testing.T) {
			service := apitest.Service(t)
			r := run(t, c, service, service)
			if !r.Verdict.Converged || len(r.Verdict.Problems) > 0 {
				t.Errorf("verdict is %v", r.Verdict)
			}
			m := r.Mutations
			if m.Issued == 0 || m.Confirmed != m.Issued || m.Lost+m.Shed > 0 {
				t.Errorf("mutations are %+v", m)
			}
			checkSpaces(t, r, c)
			checkFigures(t, r)
		})
	}
}

// TestRecord: whatever begins ends, and the record has all that was sent and applied.
func TestRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct {
			client protocol.ClientID
			push   bool
		}
		var mu sync.Mutex
		under := map[key]bool{}
		last := map[protocol.ClientID]int64{}
		applied := 0
		r := run(t, load.Config{
			Clients: 4, Pending: 3,
			Record: func(x load.Exchange) {
				mu.Lock()
				defer mu.Unlock()
				k := key{x.Client, x.Push}
				if under[k] == x.Begins {
					t.Errorf("%+v: begins %t twice", k, x.Begins)
				}
				under[k] = x.Begins
				for _, m := range x.Mutations {
					last[x.Client] = max(last[x.Client], m.ID)
				}
				if !x.Begins && !x.Push && x.OK && x.Outcome == replica.Applied && len(x.Answer) > 0 {
					applied++
				}
			},
		}, apitest.Service(t))
		var sent int64
		for _, n := range last {
			sent += n
		}
		if sent != r.Mutations.Issued || applied == 0 {
			t.Errorf("recorded %d mutations and %d pulls, issued %d", sent, applied, r.Mutations.Issued)
		}
		for k, open := range under {
			if open {
				t.Errorf("%+v never ended", k)
			}
		}
	})
}

// checkSpaces: each confirmed createMessage is one entry.
func checkSpaces(t *testing.T, r load.Report, c load.Config) {
	t.Helper()
	var entries, clients int
	for _, s := range r.Spaces {
		entries += s.Entries
		clients += s.Clients
		if s.Version <= 0 || !strings.HasPrefix(s.Name, c.Space) {
			t.Errorf("space is %+v", s)
		}
	}
	if want := c.Clients + c.Pullers; clients != want || len(r.Spaces) != max(c.Spaces, 1) {
		t.Errorf("%d spaces have %d clients, want %d of %d", len(r.Spaces), clients, c.Spaces, want)
	}
	if c.View != load.None && int64(entries) != r.Mutations.Confirmed {
		t.Errorf("there are %d entries of %d confirmed mutations", entries, r.Mutations.Confirmed)
	}
}

func checkFigures(t *testing.T, r load.Report) {
	t.Helper()
	for name, l := range map[string]load.Latency{
		"push": r.Latencies.Push, "pull": r.Latencies.Pull,
		"acknowledge": r.Latencies.Acknowledge, "confirm": r.Latencies.Confirm,
	} {
		if l.Count == 0 || l.P50 <= 0 || l.P50 > l.P95 || l.P95 > l.P99 || l.P99 > l.Max {
			t.Errorf("%s latency is %+v", name, l)
		}
	}
	if l := r.Latencies; l.Confirm.Max < l.Acknowledge.P50/2 && l.Confirm.Count == l.Acknowledge.Count {
		t.Errorf("confirmation %+v takes less than acknowledgement %+v", l.Confirm, l.Acknowledge)
	}
	if r.BytesReceived == 0 || r.BytesSent == 0 || r.Pokes == 0 || r.Seconds != 0.3 {
		t.Errorf("report is %+v", r)
	}
	for _, q := range r.Requests {
		if q.Status != "200" || q.Count == 0 {
			t.Errorf("requests: %+v", q)
		}
	}
}

// TestRunMeasuresPokes: a stream that another client has gets every version.
func TestRunMeasuresPokes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, load.Config{Clients: 2}, apitest.Service(t))
		if l := r.Latencies.CommitToPoke; l.Count == 0 || l.Count+r.UnseenPokes > r.Latencies.Push.Count+2 {
			t.Errorf("commit to poke is %+v with %d unseen, of pushes %+v", l, r.UnseenPokes, r.Latencies.Push)
		}
		alone := run(t, load.Config{Clients: 1}, apitest.Service(t))
		if l := alone.Latencies.CommitToPoke; l.Count != 0 {
			t.Errorf("there is no other client, and commit to poke is %+v", l)
		}
	})
}

// TestRunThroughTrouble: what a real client survives does.
func TestRunThroughTrouble(t *testing.T) {
	t.Parallel()
	// By chance: what counts could meet a client whose tries are as regular each time.
	oneIn := func(m int) bool { return rand.N(m) == 0 }
	for name, test := range map[string]struct {
		proxy  proxy
		status string // of requests that must be reported
	}{
		"requests refused": {proxy{skip: func(*http.Request, []byte) (*answer, bool) {
			return &answer{status: http.StatusServiceUnavailable}, oneIn(3)
		}}, "503"},
		"answers lost": {proxy{response: func(_ *http.Request, a *answer) {
			if oneIn(3) {
				a.status = http.StatusBadGateway
			}
		}}, "502"},
		"answers cut": {proxy{response: func(*http.Request, *answer) {
			if oneIn(5) {
				panic(http.ErrAbortHandler)
			}
		}}, "network error"},
		"a success that is none": {proxy{response: func(r *http.Request, a *answer) {
			if isPush(r) && oneIn(3) {
				a.status = http.StatusAccepted
			}
		}}, "202"},
	} {
		inBubble(t, name, func(t *testing.T) {
			test.proxy.next = apitest.Service(t)
			r := run(t, load.Config{Clients: 4}, &test.proxy)
			if !r.Verdict.Converged {
				t.Errorf("verdict is %v", r.Verdict)
			}
			if m := r.Mutations; m.Confirmed != m.Issued || m.Acknowledged > m.Confirmed {
				t.Errorf("mutations are %+v", m)
			}
			if count(r, "", test.status) == 0 {
				t.Errorf("requests are %+v, want some of status %s", r.Requests, test.status)
			}
		})
	}
}

// count is how many requests had a status, of a kind if that is not "".
func count(r load.Report, kind, status string) int64 {
	var n int64
	for _, q := range r.Requests {
		if q.Status == status && (kind == "" || q.Kind == kind) {
			n += q.Count
		}
	}
	return n
}

// cutStreams ends poke streams after a while, and refuses some.
type cutStreams struct {
	next  http.Handler
	count atomic.Int64
}

func (c *cutStreams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		c.next.ServeHTTP(w, r)
		return
	}
	if c.count.Add(1)%4 == 0 {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
	defer cancel()
	c.next.ServeHTTP(w, r.WithContext(ctx))
}

func TestRunReconnects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cut := &cutStreams{next: apitest.Service(t)}
		// Only one client's own streams lead to others' pulls, so a lost poke would show.
		r := run(t, load.Config{Clients: 4, Duration: 2 * time.Second}, cut)
		if !r.Verdict.Converged || r.Reconnects == 0 || r.Mutations.Confirmed != r.Mutations.Issued {
			t.Errorf("reconnects %d, mutations %+v, verdict %v", r.Reconnects, r.Mutations, r.Verdict)
		}
		if count(r, "stream", "429") == 0 {
			t.Errorf("requests are %+v", r.Requests)
		}
	})
}

func TestRunSendsTheToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wrong atomic.Int64
		service := apitest.Service(t)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// The first request only finds out whether somebody is there.
			if got := r.Header.Get("Authorization"); got != "Bearer secret" && r.URL.Path != "/" {
				wrong.Add(1)
			}
			service.ServeHTTP(w, r)
		})
		var failed atomic.Bool
		r := run(t, load.Config{
			Clients: 2,
			Token: func(_ context.Context, id load.Identity) (string, error) {
				if id.Client == "" || id.Group == "" || id.Space == "" || !failed.Swap(true) {
					return "", errors.New("no token yet")
				}
				return "secret", nil
			},
		}, h)
		if !r.Verdict.Converged || wrong.Load() > 0 || count(r, "", "no token") != 1 {
			t.Errorf("%d wrong tokens, requests %+v, verdict %v", wrong.Load(), r.Requests, r.Verdict)
		}
	})
}

func TestRunShedsBeyondTheBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf := &proxy{next: apitest.Service(t), skip: func(r *http.Request, _ []byte) (*answer, bool) {
			return &answer{status: http.StatusServiceUnavailable}, isPush(r)
		}}
		r := run(t, load.Config{Clients: 2, Rate: 1000, Backlog: 10, Settle: 100 * time.Millisecond}, deaf)
		m := r.Mutations
		if m.Issued != 20 || m.Shed == 0 || m.Confirmed != 0 || m.Acknowledged != 0 || r.Verdict.Converged {
			t.Errorf("mutations are %+v, verdict %v", m, r.Verdict)
		}
	})
}

// TestRunGoesOnUntilItIsEnough: beyond the time that figures are of.
func TestRunGoesOnUntilItIsEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		enough := make(chan struct{})
		began := time.Now()
		time.AfterFunc(2*time.Second, func() { close(enough) })
		r := run(t, load.Config{Clients: 2, Rate: 100, Enough: enough}, apitest.Service(t))
		if d := time.Since(began); d < 2*time.Second || r.Seconds != 0.3 {
			t.Errorf("it ended after %v, with figures of %v s, want 2 s and 0.3", d, r.Seconds)
		}
		if n := r.Mutations.Issued; n < 190 || r.Latencies.Acknowledge.Count > 40 || !r.Verdict.Converged {
			t.Errorf("%d mutations, %d of them measured, verdict %v", n, r.Latencies.Acknowledge.Count, r.Verdict)
		}
	})
}

func TestRunWritesLiveLines(t *testing.T) {
	t.Parallel()
	for name, rewrite := range map[string]bool{"lines": false, "one line": true} {
		inBubble(t, name, func(t *testing.T) {
			var out bytes.Buffer
			run(t, load.Config{
				Clients: 2, Live: &out, LiveEvery: 50 * time.Millisecond, LiveRewrite: rewrite, Duration: time.Second,
			}, apitest.Service(t))
			text := out.String()
			if strings.Contains(text, "\r") != rewrite || !strings.HasSuffix(text, "\n") ||
				!strings.Contains(text, "confirmed ") || !strings.Contains(text, "p99 ms: push ") {
				t.Errorf("live output is %q", text)
			}
			if lines := strings.Count(text, "\n"); rewrite && lines != 1 || !rewrite && lines < 2 {
				t.Errorf("there are %d lines: %q", lines, text)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	service := apitest.Service(t)
	var pulls atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isPull(r) && pulls.Add(1) == 10 {
			cancel()
		}
		service.ServeHTTP(w, r)
	})
	r, err := load.Run(ctx, load.Config{URLs: []string{apitest.Serve(t, h)}, Clients: 2, Duration: time.Hour})
	if !errors.Is(err, context.Canceled) || r.Verdict.Converged || r.Started.IsZero() {
		t.Errorf("Run: %v, verdict %v", err, r.Verdict)
	}
}

func TestRunRefusesConfigs(t *testing.T) {
	t.Parallel()
	ok := []string{"http://localhost:1"}
	for name, test := range map[string]struct {
		config load.Config
		want   string
	}{
		"nothing":                {load.Config{}, "no URL"},
		"no scheme":              {load.Config{URLs: []string{"localhost:8080"}}, "not like http"},
		"no host":                {load.Config{URLs: []string{"http://"}}, "not like http"},
		"other scheme":           {load.Config{URLs: []string{"ftp://host"}}, "not like http"},
		"negative clients":       {load.Config{URLs: ok, Clients: -1}, "number"},
		"negative pullers":       {load.Config{URLs: ok, Pullers: -1}, "number"},
		"negative pending":       {load.Config{URLs: ok, Pending: -1}, "number"},
		"negative rate":          {load.Config{URLs: ok, Rate: -1}, "rate"},
		"rate next to nothing":   {load.Config{URLs: ok, Rate: 1e-9}, "rate"},
		"negative ramp":          {load.Config{URLs: ok, Ramp: -1}, "time"},
		"negative duration":      {load.Config{URLs: ok, Duration: -1}, "time"},
		"more groups than":       {load.Config{URLs: ok, Clients: 2, Groups: 3}, "groups"},
		"more spaces than":       {load.Config{URLs: ok, Clients: 2, Spaces: 3}, "spaces"},
		"more spaces than group": {load.Config{URLs: ok, Clients: 4, Groups: 1, Spaces: 2}, "spaces"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := load.Run(t.Context(), test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) || !r.Started.IsZero() {
				t.Errorf("Run: %v, want %q in it", err, test.want)
			}
			if got := test.config.Validate(); got == nil {
				t.Error("Validate finds nothing")
			}
		})
	}
}

// TestRunUsesTemplates: arguments reach the server as the template says.
func TestRunUsesTemplates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		templates, err := load.ParseTemplates([]byte(`[
			{"weight": 3, "name": "createMessage", "expect": "message/{{client}}-{{seq}}", "args":
				{"id": "{{client}}-{{seq}}", "from": "{{space}}", "content": "{{text 7}}", "order": {{seq}}}},
			{"name": "noSuchMutator", "args": {{int 1 9}}}]`))
		if err != nil {
			t.Fatal(err)
		}
		var created, refused, wrong atomic.Int64
		tap := &proxy{next: apitest.Service(t), skip: func(r *http.Request, body []byte) (*answer, bool) {
			if isPush(r) {
				inspect(body, &created, &refused, &wrong)
			}
			return nil, false
		}}
		r := run(t, load.Config{Clients: 2, Space: "my space/é", Templates: templates}, tap)
		if !r.Verdict.Converged || created.Load() == 0 || refused.Load() == 0 || wrong.Load() > 0 {
			t.Errorf("%d created, %d refused, %d wrong, verdict %v",
				created.Load(), refused.Load(), wrong.Load(), r.Verdict)
		}
	})
}

func inspect(body []byte, created, refused, wrong *atomic.Int64) {
	var push struct {
		PushVersion int
		Mutations   []struct {
			ClientID string
			ID       int64
			Name     string
			Args     json.RawMessage
		}
	}
	if json.Unmarshal(body, &push) != nil || push.PushVersion != 1 {
		wrong.Add(1)
	}
	for _, m := range push.Mutations {
		if m.Name == "noSuchMutator" {
			refused.Add(1)
			continue
		}
		created.Add(1)
		var args struct {
			ID, From, Content string
			Order             int64
		}
		if json.Unmarshal(m.Args, &args) != nil || args.From != "my space/é" || len(args.Content) != 7 ||
			args.Order != m.ID || !strings.HasPrefix(args.ID, m.ClientID+"-") {
			wrong.Add(1)
		}
	}
}
