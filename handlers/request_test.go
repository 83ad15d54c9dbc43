package handlers_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/protocol"
)

func TestContentType(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for header, want := range map[string]int{
		"application/json":                                200,
		"Application/JSON":                                200,
		"application/json; charset=utf-8":                 200,
		"application/json;charset=\"UTF-8\"":              200,
		"application/json; profile=x":                     200,
		"application/json; charset=iso-8859-1":            415,
		"application/json; charset=utf-8; charset=utf-16": 415,
		"application/json;;":                              415,
		"application/ld+json":                             415,
		"text/plain":                                      415,
		"text/plain; application/json":                    415,
		"application/x-www-form-urlencoded":               415,
		"multipart/form-data; boundary=application/json":  415,
		"application/json, text/plain":                    415,
		"application/jsonx":                               415,
		"":                                                415,
	} {
		for path, body := range map[string]string{pushPath: onePush, pullPath: firstPull} {
			if w := do(s, request("POST", path, body, "Content-Type", header)); w.Code != want {
				t.Errorf("%s with Content-Type %q: %d, want %d", path, header, w.Code, want)
			}
		}
	}
	twice := request("POST", pushPath, onePush)
	twice.Header.Add("Content-Type", "text/plain")
	if w := do(s, twice); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("two Content-Types: %d, want 415", w.Code)
	}
}

func TestContentEncoding(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for header, want := range map[string]int{"": 200, "identity": 200, "gzip": 415, "gzip, identity": 415, "br": 415} {
		w := do(s, request("POST", pushPath, onePush, "Content-Encoding", header))
		if w.Code != want {
			t.Errorf("Content-Encoding %q: %d, want %d", header, w.Code, want)
		}
		if want == 415 && w.Header().Get("Accept-Encoding") != "identity" {
			t.Errorf("Content-Encoding %q: the answer does not say what is accepted", header)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.MaxBodyBytes = 1000 })
	pad := func(n int) string { return firstPull + strings.Repeat(" ", n-len(firstPull)) }
	for name, tc := range map[string]struct {
		body   string
		length int64
		want   int
	}{
		"at the limit":           {pad(1000), 1000, 200},
		"above":                  {pad(1001), 1001, 413},
		"above, length not said": {pad(1001), -1, 413},
		"at the limit, not said": {pad(1000), -1, 200},
		"said to be above":       {firstPull, 1 << 40, 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request("POST", pullPath, tc.body)
			r.ContentLength = tc.length
			w := do(s, r)
			if w.Code != tc.want {
				t.Fatalf("status = %d, want %d: %s", w.Code, tc.want, w.Body)
			}
			if tc.want == 413 && !strings.Contains(w.Body.String(), "1000 bytes") {
				t.Errorf("the answer does not say the limit: %s", w.Body)
			}
		})
	}
}

// TestDefaultBodyLimit: 8 MiB, and of a body above it no more than that is read on.
func TestDefaultBodyLimit(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	r := request("POST", pullPath, "")
	body := &countingReader{}
	r.Body, r.ContentLength = io.NopCloser(body), 8<<20+1
	if w := do(s, r); w.Code != 413 || body.n > 8<<20 {
		t.Errorf("status = %d after %d bytes, want 413 after 8 MiB", w.Code, body.n)
	}
	r = request("POST", pullPath, "")
	r.Body, r.ContentLength = io.NopCloser(body), -1
	if w := do(s, r); w.Code != 413 || body.n > 25<<20 {
		t.Errorf("status = %d after %d bytes, want 413 after twice 8 MiB", w.Code, body.n)
	}
}

// countingReader is an endless body of spaces.
type countingReader struct{ n int64 }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	r.n += int64(len(p))
	return len(p), nil
}

func TestSpaces(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("s", protocol.MaxIDBytes)
	for query, want := range map[string]string{ // "" for 400
		"":                    "default",
		"x=1":                 "default",
		"space=a":             "a",
		"spaceID=a":           "a",
		"spaceID=a&space=a":   "a",
		"space=a&space=a":     "a",
		"space=a&x=%26":       "a",
		"space=a/b":           "a/b",
		"space=..":            "..",
		"space=__x__":         "__x__",
		"space=%00":           "\x00",
		"space=a%20b+c":       "a b c",
		"space=%F0%9F%98%80":  "😀",
		"space=" + long:       long,
		"space=" + long + "s": "",
		"space=":              "",
		"space":               "",
		"spaceID=":            "",
		"space=a&spaceID=b":   "",
		"space=a&space=b":     "",
		"space=a&spaceID=":    "",
		"space=%FF":           "",
		"space=%ED%A0%80":     "", // half of a surrogate pair
		"space=%C0%80":        "",
		"space=%zz":           "",
		"x=%zz":               "",
		"space=a;b":           "",
		"Space=a":             "default",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			s := newService(t, nil)
			r := request("POST", pushPath, onePush)
			r.URL.RawQuery = query
			w := do(s, r)
			if want == "" {
				if w.Code != http.StatusBadRequest {
					t.Fatalf("status = %d, want 400", w.Code)
				}
				problemOf(t, w)
				return
			}
			if w.Code != http.StatusOK {
				t.Fatalf("status = %d, want 200: %s", w.Code, w.Body)
			}
			if head, err := s.engine.Head(t.Context(), protocol.SpaceID(want)); err != nil || head.Version != 1 {
				t.Errorf("head of %q = %+v, %v; want version 1", want, head, err)
			}
			s.check(t, protocol.SpaceID(want))
		})
	}
}

// TestOrder: whoever may not do something learns nothing else, and makes the
// server read nothing.
func TestOrder(t *testing.T) {
	t.Parallel()
	rights := guard{map[string]bool{
		"joe write default": true, "joe read default": true, "jim read default": true,
	}}
	change := func(c *handlers.Config) { c.Authenticator, c.Policy, c.MaxBodyBytes = rights, rights, 1000 }
	for name, tc := range map[string]struct {
		method, path, token, contentType, body string
		want                                   int
	}{
		"method before all":           {"PUT", pushPath + "?space=", "", "text/plain", "{", 405},
		"type before token":           {"POST", pushPath, "", "text/plain", "{", 415},
		"size before token":           {"POST", pullPath, "", "application/json", strings.Repeat(" ", 1001), 413},
		"token before space":          {"POST", pushPath + "?space=", "", "application/json", "{", 401},
		"token before body":           {"POST", pushPath, "", "application/json", "{", 401},
		"wrong token":                 {"POST", pushPath, "Bearer x", "application/json", onePush, 401},
		"space before policy":         {"POST", pushPath + "?space=", "token jim", "application/json", "{", 400},
		"policy before body":          {"POST", pushPath, "token jan", "application/json", "{", 403},
		"policy, other space":         {"POST", pushPath + "?space=b", "token joe", "application/json", onePush, 403},
		"body":                        {"POST", pushPath, "token joe", "application/json", "{", 400},
		"all is well":                 {"POST", pushPath, "token joe", "application/json", onePush, 200},
		"pull, reader":                {"POST", pullPath, "token jim", "application/json", firstPull, 200},
		"pull, other space":           {"POST", pullPath + "?space=b", "token jim", "application/json", firstPull, 403},
		"pull, nobody":                {"POST", pullPath, "", "application/json", firstPull, 401},
		"poke, nobody":                {"GET", pokePath, "", "", "", 401},
		"poke, other space":           {"GET", pokePath + "?space=b", "token jim", "", "", 403},
		"poke by HEAD, reader":        {"HEAD", pokePath, "token jim", "", "", 200},
		"poke by HEAD, nobody":        {"HEAD", pokePath, "", "", "", 401},
		"health and ready are public": {"GET", "/ready", "", "", "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, change)
			w := do(s, request(tc.method, tc.path, tc.body, "Authorization", tc.token, "Content-Type", tc.contentType))
			if w.Code != tc.want {
				t.Fatalf("status = %d, want %d: %s", w.Code, tc.want, w.Body)
			}
			if got := w.Header().Get("WWW-Authenticate"); (tc.want == 401) != (got == "Bearer") {
				t.Errorf("WWW-Authenticate = %q with status %d", got, tc.want)
			}
		})
	}
}

// TestForbiddenReadsNothing: the body of a request that is not allowed is left
// alone.
func TestForbiddenReadsNothing(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.Authenticator, c.Policy = guard{}, guard{} })
	for _, token := range []string{"", "token joe"} {
		body := &countingReader{}
		r := request("POST", pushPath, "", "Authorization", token)
		r.Body, r.ContentLength = io.NopCloser(body), 500
		if w := do(s, r); w.Code < 400 || body.n != 0 {
			t.Errorf("token %q: status %d after %d bytes of the body, want none", token, w.Code, body.n)
		}
	}
}

func TestTwoAuthorizations(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.Authenticator, c.Policy = guard{}, guard{} })
	r := request("POST", pushPath, onePush)
	r.Header["Authorization"] = []string{"token joe", "token boss"}
	if w := do(s, r); w.Code != http.StatusBadRequest {
		t.Errorf("status = %d, want 400", w.Code)
	}
}

// TestCallerIsPassedOn: what the authenticator found reaches the engine.
func TestCallerIsPassedOn(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *handlers.Config) { c.Authenticator = guard{} })
	body := strings.Replace(onePush, "Jane", "somebody", 1)
	do(s, request("POST", pushPath, body, "Authorization", "token ada"))
	w := do(s, request("POST", pullPath, firstPull, "Authorization", "token ada"))
	if !strings.Contains(w.Body.String(), `"from":"ada"`) {
		t.Errorf("the chat does not know the user: %s", w.Body)
	}
	w = do(s, request("POST", pullPath, firstPull, "Authorization", "token eve"))
	if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "ada") {
		t.Errorf("somebody else's client group: %d %s, want 403", w.Code, w.Body)
	}
}

// TestBrokenBodies are bodies that break off or are badly framed, over a network.
func TestBrokenBodies(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	srv := serve(t, s)
	for name, tc := range map[string]struct {
		raw  string
		want int
	}{
		"breaks off":        {"Content-Length: 500\r\n\r\n{\"pushVersion\"", 400},
		"bad chunk":         {"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400},
		"chunk breaks off":  {"Transfer-Encoding: chunked\r\n\r\n5\r\n{", 400},
		"no body":           {"Content-Length: 0\r\n\r\n", 400},
		"two lengths":       {"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
		"length and chunks": {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, srv)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s", pushPath, tc.raw)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("read the answer: %v", err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != tc.want {
				t.Errorf("status = %d, want %d", resp.StatusCode, tc.want)
			}
		})
	}
}

func dial(t testing.TB, srv *httptest.Server) *net.TCPConn {
	t.Helper()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}
