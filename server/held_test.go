package server_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

// hold sends a request of a user's but for the end of its body, which the service is
// reading when hold returns. end sends that, too, and returns the status.
func (i *issuer) hold(t *testing.T, base, user, method, path, body string) (end func() int) {
	t.Helper()
	r, w := io.Pipe()
	reading := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }})
	req, err := http.NewRequestWithContext(ctx, method, base+path, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+i.token(user))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Expect", "100-continue")
	req.Close = true
	answered := make(chan int, 1)
	go func() {
		defer close(answered)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		answered <- resp.StatusCode
	}()
	select {
	case <-reading:
	case status := <-answered:
		t.Fatalf("%s %s by %s is answered %d before its body is read", method, path, user, status)
	}
	write := func(part string) {
		if _, err := io.WriteString(w, part); err != nil {
			t.Errorf("sending a body: %v", err)
		}
	}
	write(body[:1])
	return func() int {
		write(body[1:])
		_ = w.Close()
		return <-answered
	}
}

// TestRemovedOwnerWithHeldBodies: an owner who prepares requests, is removed, and then
// sends what is left of them does nothing at the instance that removed them. At another
// one, which may remember the role for some seconds, they change no members.
func TestRemovedOwnerWithHeldBodies(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"memory", "firestore"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			i := startIssuer(t)
			var here, there string
			if store == "memory" {
				here = serve(t, newServer(t, i.settings(t, "REPLIFIRE_STORE=memory"), chat.Mutators())).URL
				there = here
			} else {
				s := i.settings(t, "FIRESTORE_EMULATOR_HOST="+emulatortest.Host(t),
					"GOOGLE_CLOUD_PROJECT="+emulatortest.Project(t))
				here = serve(t, newServer(t, s, chat.Mutators())).URL
				there = serve(t, newServer(t, s, chat.Mutators())).URL
			}
			want := func(base, user, method, path, body string, status int) {
				t.Helper()
				got, text := i.ask(t, base, user, method, path, body)
				for got == http.StatusServiceUnavailable { // the emulator has just started
					got, text = i.ask(t, base, user, method, path, body)
				}
				if got != status {
					t.Fatalf("%s %s by %s is answered %d %s, want %d", method, path, user, got, text, status)
				}
			}
			const owner, of = `{"role":"owner"}`, "/api/spaces/s/members/"
			const push = `{"pushVersion":1,"profileID":"p","clientGroupID":"b","schemaVersion":"","mutations":[` +
				`{"clientID":"c","id":1,"name":"createMessage","timestamp":1,` +
				`"args":{"id":"m","from":"a","content":"b","order":1}}]}`
			want(here, "ann", "PUT", of+"ann", owner, 200)
			want(here, "ann", "PUT", of+"eve", owner, 200)
			ends := map[string]func() int{
				"push":                i.hold(t, here, "eve", "POST", "/api/replicache/push?space=s", push),
				"pull":                i.hold(t, here, "eve", "POST", "/api/replicache/pull?space=s", pullOfB),
				"renewal":             i.hold(t, here, "eve", "PUT", of+"eve", owner),
				"new owner":           i.hold(t, here, "eve", "PUT", of+"mallory", owner),
				"renewal elsewhere":   i.hold(t, there, "eve", "PUT", of+"eve", owner),
				"new owner elsewhere": i.hold(t, there, "eve", "PUT", of+"mallory", owner),
			}
			want(here, "ann", "DELETE", of+"eve", "", 204)
			for name, end := range ends {
				if status := end(); status != http.StatusForbidden && status != http.StatusServiceUnavailable {
					t.Errorf("%s is answered %d, want 403", name, status)
				}
			}
			want(there, "eve", "PUT", of+"eve", owner, 403)
			want(there, "eve", "PUT", of+"mallory", owner, 403)
			status, list := i.ask(t, here, "ann", "GET", "/api/spaces/s/members", "")
			if status != 200 || list != `{"members":[{"userID":"ann","role":"owner"}],"next":null}` {
				t.Errorf("the members are %d %s", status, list)
			}
		})
	}
}
