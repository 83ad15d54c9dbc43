package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/protocol"
)

// logLines collects what a logger of NewLogger writes.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) logger(project string) *slog.Logger { return handlers.NewLogger(l, project) }

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logLines) all(t testing.TB) []map[string]any {
	t.Helper()
	var records []map[string]any
	for line := range strings.Lines(l.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		records = append(records, record)
	}
	return records
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "00f067aa0ba902b7"
)

func TestRequestLine(t *testing.T) {
	t.Parallel()
	var lines logLines
	s := newService(t, func(c *handlers.Config) { c.Logger, c.ProjectID = lines.logger("p"), "p" })
	w := do(s, request("POST", pushPath+"?space=a%0Ab&ticket=SECRET", onePush,
		"Authorization", "Bearer SECRET", "User-Agent", "Mozilla\x00/5.0", "Traceparent", "00-"+traceID+"-"+spanID+"-01",
		"X-Replicache-RequestID", "c1-abc-0\n\x1b[31m"))
	s.check(t, "a\nb")
	if n := strings.Count(lines.String(), "\n"); n != 1 {
		t.Fatalf("%d lines, want 1:\n%s", n, lines.String())
	}
	for _, secret := range []string{"SECRET", "Hello", "Jane"} {
		if strings.Contains(lines.String(), secret) {
			t.Errorf("the log tells %q: %s", secret, lines.String())
		}
	}
	record := lines.all(t)[0]
	httpRequest, _ := record["httpRequest"].(map[string]any)
	if latency, _ := httpRequest["latency"].(string); !regexp.MustCompile(`^\d+\.\d{6}s$`).MatchString(latency) {
		t.Errorf("latency = %q, want seconds", latency)
	}
	if _, err := time.Parse(time.RFC3339Nano, record["time"].(string)); err != nil {
		t.Errorf("time: %v", err)
	}
	delete(httpRequest, "latency")
	delete(record, "time")
	want := map[string]any{
		"severity":   "INFO",
		"message":    "request",
		"request_id": w.Header().Get("X-Request-Id"),
		"httpRequest": map[string]any{
			"requestMethod": "POST",
			"requestUrl":    "/api/replicache/push?space=a%3Fb",
			"status":        200.0,
			"responseSize":  2.0,
			"userAgent":     "Mozilla?/5.0",
			"protocol":      "HTTP/1.1",
		},
		"replicache_request_id":                "c1-abc-0??[31m",
		"logging.googleapis.com/trace":         "projects/p/traces/" + traceID,
		"logging.googleapis.com/spanId":        spanID,
		"logging.googleapis.com/trace_sampled": true,
	}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestTraces(t *testing.T) {
	t.Parallel()
	name := "projects/p/traces/" + traceID
	for header, want := range map[[2]string][3]any{ // trace, span, sampled
		{"Traceparent", "00-" + traceID + "-" + spanID + "-00"}:                 {name, spanID, false},
		{"Traceparent", "00-" + traceID + "-" + spanID + "-03"}:                 {name, spanID, true},
		{"Traceparent", "01-" + traceID + "-" + spanID + "-01-more"}:            {name, spanID, true},
		{"Traceparent", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"}: {nil, nil, nil},
		{"Traceparent", "00-" + traceID + "-" + spanID}:                         {nil, nil, nil},
		{"Traceparent", "00-../../x-" + spanID + "-01"}:                         {nil, nil, nil},
		{"X-Cloud-Trace-Context", traceID + "/255;o=1"}:                         {name, "00000000000000ff", true},
		{"X-Cloud-Trace-Context", traceID + "/255;o=0"}:                         {name, "00000000000000ff", false},
		{"X-Cloud-Trace-Context", traceID + "/255"}:                             {name, "00000000000000ff", false},
		{"X-Cloud-Trace-Context", traceID}:                                      {name, nil, false},
		{"X-Cloud-Trace-Context", traceID + "/x;o=1"}:                           {name, nil, true},
		{"X-Cloud-Trace-Context", "short/1;o=1"}:                                {nil, nil, nil},
		{"X-Other", traceID}:                                                    {nil, nil, nil},
	} {
		t.Run(header[0]+" "+header[1], func(t *testing.T) {
			t.Parallel()
			var lines logLines
			h := newFake(t, failing(nil), func(c *handlers.Config) { c.Logger, c.ProjectID = lines.logger("p"), "p" })
			do(h, request("GET", "/health", "", header[0], header[1]))
			record := lines.all(t)[0]
			got := [3]any{
				record["logging.googleapis.com/trace"], record["logging.googleapis.com/spanId"],
				record["logging.googleapis.com/trace_sampled"],
			}
			if got != want {
				t.Errorf("trace, span, sampled = %v, want %v", got, want)
			}
		})
	}
}

// TestLinesOfOthers: what is logged below with the request's context belongs to
// the request too.
func TestLinesOfOthers(t *testing.T) {
	t.Parallel()
	var lines logLines
	logger := lines.logger("p")
	e := &fakeEngine{push: func(ctx context.Context, _ engine.Caller, _ *protocol.PushRequest) error {
		logger.With("a", 1).WarnContext(ctx, "rejected", "took", 1500*time.Millisecond)
		return nil
	}}
	h := newFake(t, e, func(c *handlers.Config) { c.Logger = logger })
	do(h, request("POST", pushPath, onePush, "Traceparent", "00-"+traceID+"-"+spanID+"-01"))
	records := lines.all(t)
	if len(records) != 2 {
		t.Fatalf("%d lines, want 2", len(records))
	}
	first := records[0]
	delete(first, "time")
	want := map[string]any{
		"severity": "WARNING", "message": "rejected", "a": 1.0, "took": "1.5s",
		"request_id":                           records[1]["request_id"],
		"logging.googleapis.com/trace":         "projects/p/traces/" + traceID,
		"logging.googleapis.com/spanId":        spanID,
		"logging.googleapis.com/trace_sampled": true,
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	if _, ok := records[1]["logging.googleapis.com/trace"]; ok {
		t.Error("the request's line has a trace, though Config.ProjectID is empty")
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err    error
		want   string
		status float64
	}{
		{nil, "INFO", 200},
		{engine.ErrMutationGap, "INFO", 409},
		{protocol.ClientStateNotFound(), "INFO", 200},
		{engine.ErrOverloaded, "WARNING", 429},
		{engine.ErrUnavailable, "WARNING", 503},
		{engine.ErrCorrupt, "ERROR", 500},
	} {
		var lines logLines
		h := newFake(t, failing(tc.err), func(c *handlers.Config) { c.Logger = lines.logger("") })
		do(h, request("POST", pushPath, onePush))
		record := lines.all(t)[0]
		if record["severity"] != tc.want || record["httpRequest"].(map[string]any)["status"] != tc.status {
			t.Errorf("%v: %v, want %s", tc.err, record, tc.want)
		}
		if text, _ := record["error"].(string); tc.err != nil && text != tc.err.Error() {
			t.Errorf("error = %q, want the cause %q", text, tc.err)
		}
	}
}

// TestPathsInTheLog: of a path that leads nowhere only words of ours are logged, since the
// rest may be the id of a user.
func TestPathsInTheLog(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/page.js" {
			http.NotFound(w, r)
		}
	})
	for path, want := range map[string]string{
		"/api/spaces/a/b/members/mallory%40mail.com": "/api/spaces/-",
		"/api/spaces/sp/member/mallory":              "/api/spaces/-",
		"/api/spaces/sp/members/mallory/roles":       "/api/spaces/-",
		"/api/spaces/mallory":                        "/api/spaces/-",
		"/api/spaces":                                "/api/spaces",
		"//api//spaces//sp/member/mallory":           "/api/spaces/-",
		"/api%2Fspaces%2Fsp%2Fmembers%2Fmallory":     "/api/spaces/-",
		"/api/space/sp/members/mallory":              "/api/-",
		"/API/spaces/sp/members/mallory":             "/-",
		"/spaces/sp/members/mallory":                 "/-",
		"/api/replicache/push/mallory":               "/api/replicache/push/-",
		"/api/replicache/mallory":                    "/api/replicache/-",
		"/api/init-mallory":                          "/api/-",
		"/mallory":                                   "/-",
		"/page.js":                                   "/page.js",
		"/api/spaces/sp/members":                     "/api/spaces/sp/members",
		"/api/spaces/sp/members/mallory":             "/api/spaces/sp/members/-",
		"/api//replicache/push/":                     "/api//replicache/push/",
	} {
		for _, pages := range []http.Handler{nil, page} {
			if pages == nil && path == "/page.js" {
				continue
			}
			var lines logLines
			s := newClub(t, func(c *handlers.Config) { c.Logger, c.Page = lines.logger("p"), pages })
			do(s, request("GET", path+"?user=mallory", ""))
			if got := lines.all(t)[0]["httpRequest"].(map[string]any)["requestUrl"]; got != want+"?space=default" {
				t.Errorf("%s is logged as %s, want %s", path, got, want)
			}
			if strings.Contains(lines.String(), "mallory") {
				t.Errorf("%s: the log names the user: %s", path, lines.String())
			}
		}
	}
	// Without the policy there are no routes of members, and still no users in the log.
	var lines logLines
	do(newService(t, func(c *handlers.Config) { c.Logger = lines.logger("p") }),
		request("GET", membersPath("sp", "mallory"), ""))
	if got := lines.all(t)[0]["httpRequest"].(map[string]any)["requestUrl"]; got != "/api/spaces/-" {
		t.Errorf("a member's path without the policy is logged as %s", got)
	}
}

// TestLongTexts: an attacker's texts do not fill the log.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	var lines logLines
	h := newFake(t, failing(nil), func(c *handlers.Config) { c.Logger = lines.logger("") })
	long := strings.Repeat("x", 10_000)
	r := request("GET", "/"+long+"?space="+long, "", "User-Agent", long, "X-Replicache-RequestID", long)
	r.Method = long
	if w := do(h, r); w.Code != http.StatusNotFound {
		t.Errorf("status = %d, want 404", w.Code)
	}
	if n := len(lines.String()); n > 2500 {
		t.Errorf("the line has %d bytes", n)
	}
}
