package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/replifire/replifire/internal/apitest"
)

// mostMemory is what a process may take whatever is sent to it, in bytes.
const mostMemory = 512 << 20

// unsent is everything that a client has made and no pull has confirmed, as Replicache sends
// it: all in one body, the versions at its end.
type unsent struct {
	n int
	// mutation is that of an id; its JSON is what follows the id.
	mutation func(id int) string

	next int
	rest []byte
}

func (u *unsent) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		switch {
		case u.next == 0:
			u.rest = []byte(`{"profileID":"p","clientGroupID":"g","mutations":[`)
		case u.next <= u.n:
			u.rest = fmt.Appendf(u.rest[:0], `{"timestamp":1.5,"id":%d,%s,"clientID":"c"},`, u.next, u.mutation(u.next))
			if u.next == u.n {
				u.rest = u.rest[:len(u.rest)-1]
			}
		case u.next == u.n+1:
			u.rest = []byte(`],"pushVersion":1,"schemaVersion":""}`)
		default:
			return 0, io.EOF
		}
		u.next++
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// pushUnsent sends all again and again until it is answered 200, without a pull in between.
// HTTP/2 is as Cloud Run forwards it with --use-http2.
func (p *process) pushUnsent(t *testing.T, u unsent, http2 bool) (tries int) {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	defer transport.CloseIdleConnections()
	for last := int64(0); ; tries++ {
		again := u
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/api/replicache/push", &again)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatalf("try %d: %v", tries, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			return tries + 1
		}
		now := p.acknowledged(t)
		partly := resp.StatusCode == http.StatusTooManyRequests && strings.Contains(string(body), "partly_applied")
		if !partly && resp.StatusCode != http.StatusServiceUnavailable || now <= last {
			t.Fatalf("try %d, behind mutation %d, is answered %d %s", tries, now, resp.StatusCode, body)
		}
		last = now
	}
}

// acknowledged is the last mutation of the client that a pull confirms. The pull is another
// client's: the one that pushes learns nothing by it.
func (p *process) acknowledged(t *testing.T) int64 {
	t.Helper()
	resp, err := http.Post(p.URL+"/api/replicache/pull", "application/json", strings.NewReader(pullBody))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	beginning, err := io.ReadAll(io.LimitReader(resp.Body, 1000)) // the rest is all that there is
	if err != nil {
		t.Fatal(err)
	}
	const name = `"lastMutationIDChanges":{"c":`
	_, rest, _ := strings.Cut(string(beginning), name)
	var last int64
	if _, err := fmt.Sscan(rest, &last); err != nil {
		t.Fatalf("a pull answers %s: %v", beginning, err)
	}
	return last
}

// testBacklog: a client that was offline for long gets rid of all that it has made, whatever
// its size, and the process needs no more memory than for others.
func testBacklog(u unsent, http2 bool) func(*testing.T, binary) {
	return func(t *testing.T, b binary) {
		t.Helper()
		p := b.startOnCloudRun(t, "REPLIFIRE_RATE_BODY_BYTES=0", "REPLIFIRE_LOG_LEVEL=error")
		m := apitest.Message("m0", "x")
		first := unsent{n: 1, mutation: func(int) string { return call("createMessage", m) }}
		if tries := p.pushUnsent(t, first, http2); tries != 1 {
			t.Errorf("a push of one mutation took %d tries", tries)
		}
		tries := p.pushUnsent(t, u, http2)
		if got := p.acknowledged(t); got != int64(u.n) || tries < 2 {
			t.Errorf("%d of %d mutations are acknowledged after %d tries", got, u.n, tries)
		}
		peak := p.peak(t)
		t.Logf("%d tries, %d MiB", tries, peak>>20)
		if peak > mostMemory {
			t.Errorf("the process had %d MiB, want %d at the most", peak>>20, mostMemory>>20)
		}
		p.signal(t, syscall.SIGTERM)
		if err := p.command.Wait(); err != nil {
			t.Errorf("it ended with %v, printed %.2000s", err, p.stderr)
		}
	}
}

// call is the name and the arguments of a mutation.
func call(name string, args any) string {
	text, err := json.Marshal(args)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`"name":%q,"args":%s`, name, text)
}

// manyMutations are 200,000 of the usual kind, each a message of its own.
func manyMutations() unsent {
	first := call("createMessage", apitest.Message("m0", "x"))
	return unsent{n: 200_000, mutation: func(id int) string {
		if id == 1 {
			return first
		}
		return fmt.Sprintf(`"name":"createMessage","args":{"id":"m%d","from":"test","content":"hello","order":%[1]d}`, id)
	}}
}

// manyBytes are 100 MB of changes of one message.
func manyBytes() unsent {
	text := strings.Repeat("x", 900_000)
	change := call("updateMessage", map[string]string{"id": "m0", "content": text})
	first := call("createMessage", apitest.Message("m0", "x"))
	return unsent{n: 112, mutation: func(id int) string {
		if id == 1 {
			return first
		}
		return change
	}}
}

// peak is the most memory that the process has had, in bytes.
func (p *process) peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		t.Skip("only Linux tells the memory of a process")
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kilobytes int64
	if _, err := fmt.Sscanf(string(rest), "%d kB", &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// testSignalAmidABody: a client that has not sent all of a request when the service is told
// to stop is told to come again, by the process that it has reached, which ends well.
func testSignalAmidABody(t *testing.T, b binary) {
	t.Helper()
	p := b.startOnCloudRun(t)
	pulls := []*slowPull{p.beginPull(t), p.beginPull(t)}
	p.signal(t, syscall.SIGTERM)
	for _, r := range pulls {
		r.answer(t, http.StatusServiceUnavailable)
	}
	if err := p.command.Wait(); err != nil {
		t.Errorf("it ended with %v, printed %s", err, p.stderr)
	}
}
