package handlers_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/handlers"
)

const app = "https://app.example.com"

// corsOf picks the headers that are about origins.
func corsOf(h http.Header) map[string]string {
	got := map[string]string{}
	for _, name := range []string{
		"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
		"Access-Control-Max-Age", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Vary",
	} {
		if v := h.Get(name); v != "" {
			got[name] = v
		}
	}
	return got
}

func TestCORS(t *testing.T) {
	t.Parallel()
	listed := []string{app, "http://localhost:5173"}
	simple := map[string]string{
		"Access-Control-Allow-Origin": app, "Access-Control-Expose-Headers": "X-Request-Id, Retry-After", "Vary": "Origin",
	}
	preflight := map[string]string{
		"Access-Control-Allow-Origin":  app,
		"Access-Control-Allow-Methods": "POST",
		"Access-Control-Allow-Headers": "content-type, authorization, x-replicache-requestid",
		"Access-Control-Max-Age":       "7200",
		"Vary":                         "Origin",
	}
	onlyVary := map[string]string{"Vary": "Origin"}
	for name, tc := range map[string]struct {
		origins []string
		r       *http.Request
		status  int
		want    map[string]string
	}{
		"allowed":         {listed, request("POST", pushPath, onePush, "Origin", app), 200, simple},
		"allowed, 400":    {listed, request("POST", pushPath, "{", "Origin", app), 400, simple},
		"allowed, 404":    {listed, request("POST", "/api/x", "{", "Origin", app), 404, simple},
		"allowed, 405":    {listed, request("PUT", pushPath, "{", "Origin", app), 405, simple},
		"allowed, 415":    {listed, request("POST", pushPath, "{", "Origin", app, "Content-Type", ""), 415, simple},
		"foreign":         {listed, request("POST", pushPath, onePush, "Origin", "https://evil.example"), 200, onlyVary},
		"suffix":          {listed, request("POST", pushPath, onePush, "Origin", app+".evil.example"), 200, onlyVary},
		"other scheme":    {listed, request("POST", pushPath, onePush, "Origin", "http://app.example.com"), 200, onlyVary},
		"null":            {listed, request("POST", pushPath, onePush, "Origin", "null"), 200, onlyVary},
		"asterisk":        {listed, request("POST", pushPath, onePush, "Origin", "*"), 200, onlyVary},
		"no origin":       {listed, request("POST", pushPath, onePush), 200, onlyVary},
		"none configured": {nil, request("POST", pushPath, onePush, "Origin", app), 200, map[string]string{}},
		"all": {
			[]string{"*"},
			request("POST", pushPath, onePush, "Origin", "https://any.example"), 200,
			map[string]string{
				"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "X-Request-Id, Retry-After",
			},
		},
		"preflight": {
			listed, request("OPTIONS", pushPath, "", "Origin", app, "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "authorization,content-type,x-replicache-requestid"),
			204, preflight,
		},
		"preflight, foreign": {
			listed, request("OPTIONS", pushPath, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"),
			204, onlyVary,
		},
		"preflight of nothing": {
			listed, request("OPTIONS", "/api/x", "", "Origin", app, "Access-Control-Request-Method", "POST"), 404, simple,
		},
		"options": {listed, request("OPTIONS", pushPath, "", "Origin", app), 204, simple},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(c *handlers.Config) { c.Origins = tc.origins })
			w := do(s, tc.r)
			if w.Code != tc.status {
				t.Errorf("status = %d, want %d", w.Code, tc.status)
			}
			if diff := cmp.Diff(tc.want, corsOf(w.Header())); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}
