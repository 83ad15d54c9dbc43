package handlers_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/protocol"
)

func TestPushAndPull(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"/", "-"} {
		s := newService(t, nil)
		srv := serve(t, s)
		resp := send(t, newRequest(t, "POST", srv.URL+"/api/replicache"+style+"push", onePush))
		if body := read(t, resp.Body); resp.StatusCode != http.StatusOK || body != "{}" {
			t.Fatalf("push: %d %s, want 200 {}", resp.StatusCode, body)
		}
		if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("Content-Type of a push's answer = %q", ct)
		}
		resp = send(t, newRequest(t, "POST", srv.URL+"/api/replicache"+style+"pull", firstPull))
		var pulled struct {
			Cookie                map[string]any
			LastMutationIDChanges map[string]int64
			Patch                 []map[string]any
		}
		if err := json.NewDecoder(resp.Body).Decode(&pulled); err != nil {
			t.Fatalf("pull: %v", err)
		}
		if pulled.LastMutationIDChanges["c1"] != 1 || len(pulled.Patch) != 2 || pulled.Cookie["version"] != 1.0 {
			t.Errorf("pulled %+v, want the message and its acknowledgement", pulled)
		}
	}
}

// patchEngine answers pulls with n values of 1 KiB, then with err if there is one.
func patchEngine(n int, err error) *fakeEngine {
	value, _ := json.Marshal(strings.Repeat("x", 1024))
	return &fakeEngine{pull: func(
		context.Context, engine.Caller, *protocol.PullRequest,
	) (*protocol.PullResponse, error) {
		return &protocol.PullResponse{
			Version: 1,
			Cookie:  json.RawMessage(`{"order":1}`),
			Patch: func(yield func(protocol.PatchOperation, error) bool) {
				for i := range n {
					if !yield(protocol.PatchOperation{Op: protocol.OpPut, Key: strconv.Itoa(i), Value: value}, nil) {
						return
					}
				}
				if err != nil {
					yield(protocol.PatchOperation{}, err)
				}
			},
		}, nil
	}}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		accept string
		values int
		want   bool
	}{
		{"gzip", 0, false}, // not worth it
		{"gzip", 5, true},
		{"gzip", 2000, true},
		{"", 5, false},
		{"", 2000, false},
		{"identity", 2000, false},
		{"deflate, gzip;q=0.5, br", 5, true},
		{"GZIP", 5, true},
		{"gzip;q=0", 5, false},
		{"gzip; q=0.000", 5, false},
		{"*", 5, true},
		{"*;q=0", 5, false},
		{"gzip;q=0, *", 5, false},
		{"gzip;q=x", 5, false},
		{"br", 2000, false},
	} {
		t.Run(fmt.Sprintf("%q, %d", tc.accept, tc.values), func(t *testing.T) {
			t.Parallel()
			srv := serve(t, newFake(t, patchEngine(tc.values, nil), nil))
			r := newRequest(t, "POST", srv.URL+pullPath, firstPull)
			if tc.accept != "" {
				r.Header.Set("Accept-Encoding", tc.accept)
			}
			resp := send(t, r)
			if got := resp.Header.Get("Content-Encoding") == "gzip"; got != tc.want {
				t.Fatalf("compressed: %v, want %v", got, tc.want)
			}
			if v := resp.Header.Values("Vary"); len(v) != 1 || v[0] != "Accept-Encoding" {
				t.Errorf("Vary = %q", v)
			}
			body := io.Reader(resp.Body)
			if tc.want {
				z, err := gzip.NewReader(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = z
			}
			var pulled struct{ Patch []json.RawMessage }
			if err := json.NewDecoder(body).Decode(&pulled); err != nil || len(pulled.Patch) != tc.values {
				t.Errorf("%d operations, %v; want %d", len(pulled.Patch), err, tc.values)
			}
		})
	}
}

// frameworks are what may be around the handler. The second does what the
// Functions Framework does with a panic (firestore.md §7).
var frameworks = map[string]func(http.Handler) http.Handler{
	"net/http": func(h http.Handler) http.Handler { return h },
	"swallowing": func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if p := recover(); p != nil {
					http.Error(w, "A panic occurred during user function execution", http.StatusInternalServerError)
				}
			}()
			h.ServeHTTP(w, r)
		})
	},
}

// TestPullFailsLate: an answer that has begun and cannot be finished must reach
// the client as broken, not as short.
func TestPullFailsLate(t *testing.T) {
	t.Parallel()
	for name, around := range frameworks {
		for _, encoding := range []string{"gzip", "identity"} {
			t.Run(name+", "+encoding, func(t *testing.T) {
				t.Parallel()
				var lines logLines
				h := newFake(t, patchEngine(5000, engine.ErrUnavailable), func(c *handlers.Config) {
					c.Logger = lines.logger("p")
				})
				served := make(chan struct{})
				srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(served)
					around(h).ServeHTTP(w, r)
				}))
				r := newRequest(t, "POST", srv.URL+pullPath, firstPull)
				r.Header.Set("Accept-Encoding", encoding)
				resp := send(t, r)
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("status = %d, want 200: it is too late for another", resp.StatusCode)
				}
				raw, err := io.ReadAll(resp.Body)
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("the transfer ended with %v after %d bytes, want io.ErrUnexpectedEOF", err, len(raw))
				}
				if bytes.Contains(raw, []byte("panic occurred")) {
					t.Error("the framework has added its text")
				}
				if encoding == "gzip" {
					mustNotUnzip(t, raw)
				} else if json.Valid(raw) {
					t.Error("what came is valid JSON")
				}
				<-served // closing the server would not wait for a connection that was taken over
				last := lines.all(t)
				if len(last) != 1 || last[0]["cut_off"] != true || last[0]["severity"] != "ERROR" {
					t.Errorf("log = %v, want one line of an answer that was cut off", last)
				}
			})
		}
	}
}

func mustNotUnzip(t *testing.T, raw []byte) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return
	}
	if _, err := io.ReadAll(z); err == nil {
		t.Error("what came is a whole gzip stream")
	}
}

// TestPullFailsLateHTTP2: here only a panic can cut the answer off.
func TestPullFailsLateHTTP2(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(newFake(t, patchEngine(5000, engine.ErrUnavailable), nil))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	resp, err := srv.Client().Do(newRequest(t, "POST", srv.URL+pullPath, firstPull))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoMajor != 2 {
		t.Fatalf("protocol = %s, want HTTP/2", resp.Proto)
	}
	if raw, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the transfer of %d bytes ended well, want a reset stream", len(raw))
	}
}

// TestPullFailsEarly: before anything was sent, the error is the answer.
func TestPullFailsEarly(t *testing.T) {
	t.Parallel()
	for name, around := range frameworks {
		for _, encoding := range []string{"gzip", "identity"} {
			for _, values := range []int{0, 1, 10} {
				t.Run(fmt.Sprintf("%s, %s, %d", name, encoding, values), func(t *testing.T) {
					t.Parallel()
					srv := serve(t, around(newFake(t, patchEngine(values, engine.ErrUnavailable), nil)))
					r := newRequest(t, "POST", srv.URL+pullPath, firstPull)
					r.Header.Set("Accept-Encoding", encoding)
					resp := send(t, r)
					if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Content-Encoding") != "" {
						t.Errorf("status = %d, encoding %q; want 503 as it is", resp.StatusCode, resp.Header.Get("Content-Encoding"))
					}
					if body := read(t, resp.Body); !json.Valid([]byte(body)) {
						t.Errorf("the answer %q is no JSON", body)
					}
				})
			}
		}
	}
}

// TestPanicLate: a panic in the middle of an answer.
func TestPanicLate(t *testing.T) {
	t.Parallel()
	for name, around := range frameworks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
				panic("late")
			})
			srv := serve(t, around(newFake(t, failing(nil), func(c *handlers.Config) { c.Page = page })))
			resp := send(t, newRequest(t, "GET", srv.URL+"/", ""))
			if raw, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the transfer of %d bytes ended with %v, want io.ErrUnexpectedEOF", len(raw), err)
			}
		})
	}
}

// TestCompressorsAreFew: so many answers are compressed at once, the others go out as they
// are, and what was compressed leaves its place to others.
func TestCompressorsAreFew(t *testing.T) {
	t.Parallel()
	const most = 64
	begun, goOn := make(chan struct{}), make(chan struct{})
	large := patchEngine(100, nil)
	h := newFake(t, &fakeEngine{pull: func(
		ctx context.Context, c engine.Caller, r *protocol.PullRequest,
	) (*protocol.PullResponse, error) {
		resp, err := large.pull(ctx, c, r)
		values := resp.Patch
		resp.Patch = func(yield func(protocol.PatchOperation, error) bool) {
			values(yield) // more than is held back
			begun <- struct{}{}
			<-goOn
		}
		return resp, err
	}}, nil)
	answers := make(chan string, most+10)
	pull := func() {
		w := do(h, request("POST", pullPath, firstPull, "Accept-Encoding", "gzip"))
		if w.Code != http.StatusOK {
			t.Errorf("pull: %d", w.Code)
		}
		body := io.Reader(w.Body)
		encoding := w.Header().Get("Content-Encoding")
		if encoding == "gzip" {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		var pulled struct{ Patch []json.RawMessage }
		if err := json.NewDecoder(body).Decode(&pulled); err != nil || len(pulled.Patch) != 100 {
			t.Errorf("%d operations, %v; want 100", len(pulled.Patch), err)
		}
		answers <- encoding
	}
	for _, round := range []int{most + 10, 5} {
		for range round {
			go pull()
			<-begun
		}
		for range round {
			goOn <- struct{}{}
		}
		compressed := 0
		for range round {
			if <-answers == "gzip" {
				compressed++
			}
		}
		if want := min(round, most); compressed != want {
			t.Errorf("%d of %d answers at once are compressed, want %d", compressed, round, want)
		}
	}
}
