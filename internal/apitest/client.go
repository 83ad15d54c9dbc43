package apitest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/replifire/replifire/protocol"
)

// Client calls a service. It keeps no connections open.
type Client struct {
	// URL is the service's address, without a slash at its end.
	URL string
	// Space is the space to use; "" is the service's default one.
	Space protocol.SpaceID
	// Dial opens the connections. Nil: a [net.Dialer] does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Mutation is one call of a mutator by client "c" of group "g".
type Mutation struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Args any    `json:"args"`
}

// View is what a pull with a null cookie shows.
type View struct {
	Cookie                struct{ Order, Version int64 }
	LastMutationIDChanges map[string]int64
	// Entries are the values of the puts, by key.
	Entries map[string]json.RawMessage `json:"-"`
	Patch   []protocol.PatchOperation
}

// Message is an argument of the chat sample's createMessage.
func Message(id, content string) map[string]any {
	return map[string]any{"id": id, "from": "test", "content": content, "order": 1}
}

// Post sends a body to a path of the service and returns status and answer.
func (c *Client) Post(t testing.TB, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(t, req)
}

// Get asks for a path of the service and returns status and answer.
func (c *Client) Get(t testing.TB, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url(path), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return c.do(t, req)
}

func (c *Client) do(t testing.TB, req *http.Request) (int, string) {
	t.Helper()
	resp, err := c.transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// transport keeps no connection, so that no goroutine outlives a test.
func (c *Client) transport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: c.Dial}
}

func (c *Client) url(path string) string {
	if c.Space == "" {
		return c.URL + path
	}
	return c.URL + path + "?space=" + string(c.Space)
}

// Push sends mutations and returns status and answer.
func (c *Client) Push(t testing.TB, mutations ...Mutation) (int, string) {
	t.Helper()
	type sent struct {
		ClientID string `json:"clientID"`
		Mutation
		Timestamp int `json:"timestamp"`
	}
	list := []sent{}
	for _, m := range mutations {
		list = append(list, sent{ClientID: "c", Mutation: m})
	}
	body, err := json.Marshal(map[string]any{
		"pushVersion": 1, "profileID": "p", "clientGroupID": "g", "schemaVersion": "", "mutations": list,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Post(t, "/api/replicache/push", string(body))
}

// Pull asks for everything.
func (c *Client) Pull(t testing.TB) View {
	t.Helper()
	status, body := c.Post(t, "/api/replicache/pull",
		`{"pullVersion":1,"profileID":"p","clientGroupID":"g","schemaVersion":"","cookie":null}`)
	if status != http.StatusOK {
		t.Fatalf("pull answers %d %s", status, body)
	}
	v := View{Entries: map[string]json.RawMessage{}}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("pull answers %s: %v", body, err)
	}
	for _, op := range v.Patch {
		if op.Op == protocol.OpPut {
			v.Entries[op.Key] = op.Value
		}
	}
	return v
}

// Stream is an open poke stream.
type Stream struct {
	lines *bufio.Scanner
}

// Pokes opens a poke stream, which lasts until the test is over or ctx ends.
func (c *Client) Pokes(ctx context.Context, t testing.TB) *Stream {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url("/api/replicache/poke"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("poke stream answers %s", resp.Status)
	}
	return &Stream{lines: bufio.NewScanner(resp.Body)}
}

// Await reads the stream up to a line with that text, a prefix of it at least, and
// fails the test if the stream ends before.
func (s *Stream) Await(t testing.TB, prefix string) {
	t.Helper()
	for s.lines.Scan() {
		if strings.HasPrefix(s.lines.Text(), prefix) {
			return
		}
	}
	t.Fatalf("stream ended (%v) before %q", s.lines.Err(), prefix)
}

// AwaitEnd reads the stream to its end, which must be a proper one.
func (s *Stream) AwaitEnd(t testing.TB) {
	t.Helper()
	for s.lines.Scan() {
		continue
	}
	if err := s.lines.Err(); err != nil {
		t.Errorf("stream was cut: %v", err)
	}
}
