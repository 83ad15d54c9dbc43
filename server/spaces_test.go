package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/replifire/replifire/chat"
)

const firstPush = `{"pushVersion":1,"clientGroupID":"gN","profileID":"p","schemaVersion":"","mutations":[` +
	`{"clientID":"cN","id":1,"name":"x","args":0,"timestamp":0}]}`

// TestNewSpacesReachTheService: outside development, and an address may create three
// times as many at once as a user.
func TestNewSpacesReachTheService(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  string
		want int // of 12 spaces
	}{
		"here":        {"REPLIFIRE_BURST_NEW_SPACES=1", 3},
		"development": {"REPLIFIRE_DEV=true", 12},
		"off":         {"REPLIFIRE_RATE_NEW_SPACES=0", 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{tc.env, "REPLIFIRE_RATE_NEW_SPACES=0.001", "REPLIFIRE_BURST_NEW_SPACES=1"}
			s := newServer(t, inMemory(t, env...), chat.Mutators())
			got := 0
			for i := range 12 {
				body := strings.ReplaceAll(firstPush, "N", strconv.Itoa(i))
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost,
					fmt.Sprint("/api/replicache/push?space=", i), strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, r)
				if w.Code == http.StatusOK {
					got++
				}
			}
			if got != tc.want {
				t.Errorf("%d of 12 spaces were created, want %d", got, tc.want)
			}
		})
	}
}
