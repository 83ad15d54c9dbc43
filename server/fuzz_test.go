package server_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/server"
)

// FuzzConnection is about the whole service as it is reached: any bytes on a
// connection, to a service that is open and to one with sign-in. There is no panic,
// nothing worth an error in the log, no status of 500 and above but 503 and net/http's
// own for what it does not know, and every answer of ours has its headers.
func FuzzConnection(f *testing.F) {
	token := unsigned(f, map[string]any{
		"iss": "https://securetoken.google.com/p", "aud": "p", "sub": "ann",
		"auth_time": 1700000000, "iat": 1700000000, "exp": 4000000000,
	})
	push := `{"pushVersion":1,"clientGroupID":"g","profileID":"p","schemaVersion":"","mutations":[` +
		`{"clientID":"c","id":1,"name":"createMessage","args":{"id":"m","from":"a","content":"b","order":1},"timestamp":1}]}`
	pull := `{"pullVersion":1,"clientGroupID":"g","profileID":"p","schemaVersion":"","cookie":null}`
	post := func(path, headers, body string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: " + token + "\r\n" +
			headers + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	for _, seed := range []string{
		"", "\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
		post("/api/replicache/push", "", push) + post("/api/replicache/pull", "Accept-Encoding: gzip\r\n", pull),
		post("/api/replicache/push", "Expect: 100-continue\r\n", push),
		post("/api/replicache/poke-ticket?space=s", "Origin: https://app.example.com\r\n", ""),
		post("/api/replicache/push", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
		"GET /api/replicache/poke?space=s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /api/replicache/pull HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n",
		"GET http://[::1%25/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET /ready HTTP/3.7\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		for _, env := range [][]string{
			{}, // not in development mode, whose page is for people and has answers of its own
			{
				"REPLIFIRE_AUTH=firebase", "REPLIFIRE_FIREBASE_PROJECT=p", "FIREBASE_AUTH_EMULATOR_HOST=x:1",
				"REPLIFIRE_POLICY=authenticated", "REPLIFIRE_ORIGINS=https://app.example.com",
			},
		} {
			var alarms alarms
			srv := newServer(t, inMemory(t, env...), chat.Mutators(), server.WithLogger(alarms.logger()))
			h := srv.HTTPServer()
			h.ErrorLog = log.New(&alarms, "", 0)
			checkAnswers(t, converse(t, serveOn(t, h), sent))
			_ = h.Close()
			if lines := alarms.String(); strings.Contains(lines, "panic") || strings.Contains(lines, "level=ERROR") {
				t.Errorf("the log says %s", lines)
			}
		}
	})
}

// converse sends bytes, says that there are no more, and returns what comes back.
func converse(t *testing.T, address string, sent []byte) []byte {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		_, _ = conn.Write(sent) // who is refused early may not be read to the end
		_ = conn.(*net.TCPConn).CloseWrite()
	})
	received, err := io.ReadAll(conn)
	writing.Wait()
	if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // the connection's own
		t.Fatalf("the server does not let go of the connection, after %q", received)
	}
	return received
}

// checkAnswers looks at answers of HTTP/1, one after the other.
func checkAnswers(t *testing.T, received []byte) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(received))
	for {
		if begin, _ := r.Peek(7); string(begin) != "HTTP/1." {
			return // nothing, or HTTP/2
		}
		// Whether it has a body depends on the method, which only HEAD's answers show.
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return // cut off, which a client notices
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.Header.Get("X-Request-Id") == "" {
			checkForeign(t, resp)
			continue
		}
		checkOurs(t, resp, body, err)
		if err != nil {
			return
		}
	}
}

// checkForeign is for what net/http says before it calls us.
func checkForeign(t *testing.T, resp *http.Response) {
	t.Helper()
	switch resp.StatusCode {
	case http.StatusOK, // to OPTIONS *
		http.StatusContinue, http.StatusBadRequest, http.StatusExpectationFailed,
		http.StatusRequestHeaderFieldsTooLarge, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
	default:
		t.Errorf("an answer %s that is not ours: %v", resp.Status, resp.Header)
	}
}

func checkOurs(t *testing.T, resp *http.Response, body []byte, err error) {
	t.Helper()
	// A connection of which the client has closed its half is one whose client has gone:
	// what it asked for may be given up.
	given := resp.StatusCode == http.StatusServiceUnavailable
	if resp.StatusCode >= 500 && !given || resp.StatusCode >= 300 && resp.StatusCode < 400 {
		t.Errorf("status is %s: %s", resp.Status, body)
	}
	for _, name := range []string{"X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"} {
		if resp.Header.Get(name) == "" {
			t.Errorf("%s has no %s", resp.Status, name)
		}
	}
	if resp.StatusCode < 400 {
		return
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("%s has the Content-Type %q", resp.Status, ct)
	}
	if err == nil && len(body) > 0 && !json.Valid(body) && !bytes.HasPrefix(body, []byte("HTTP/1.")) {
		t.Errorf("%s is no JSON: %s", resp.Status, body)
	}
}

// alarms is a log.
type alarms struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write is io.Writer's.
func (a *alarms) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.Write(p)
}

func (a *alarms) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.String()
}

// logger keeps what is worth an error.
func (a *alarms) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(a, &slog.HandlerOptions{Level: slog.LevelError}))
}

// unsigned is a token as the Firebase Auth emulator makes them.
func unsigned(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	segment := base64.RawURLEncoding.EncodeToString
	return segment([]byte(`{"alg":"none"}`)) + "." + segment(payload) + "."
}
