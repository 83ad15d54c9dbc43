package abuse_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// patience is how long a connection may live that never completes a request, and how long
// an attack goes on for an answer that it has not got. It only ends what hangs.
const patience = 5 * time.Minute

// dial opens a connection, nil if that fails.
func (a *attacker) dial(ctx context.Context) net.Conn {
	conn, err := a.dialer.DialContext(context.WithoutCancel(ctx), "tcp", a.target)
	if err != nil {
		a.t.Errorf("connecting: %v", err)
		return nil
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		a.t.Error(err)
	}
	return conn
}

// silent opens connections and says half a header on each: in half of them at once, in
// the other half a byte a second. The service ends each.
func silent(ctx context.Context, a *attacker) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range a.size.silent {
		conn := a.dial(ctx)
		if conn == nil {
			return
		}
		all.Go(func() {
			defer conn.Close()
			text := "POST /api/replicache/push HTTP/1.1\r\nHost: x\r\n"
			if i%2 == 0 {
				if _, err := io.WriteString(conn, text); err != nil {
					return
				}
			} else {
				all.Go(func() { drip(conn, text) })
			}
			if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
				a.t.Errorf("a connection without a header lives for %v", patience)
			}
			a.count(0)
		})
	}
}

// drip writes a byte a second until it has written all or the connection is closed.
func drip(conn net.Conn, text string) {
	for i := range len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // io.Copy returns the connection's own
	return ok && e.Timeout()
}

// slowBodies announces bodies and sends a byte a second of each.
func slowBodies(ctx context.Context, a *attacker) {
	var all sync.WaitGroup
	defer all.Wait()
	for range a.size.slow {
		conn := a.dial(ctx)
		if conn == nil {
			return
		}
		all.Go(func() {
			defer conn.Close()
			fmt.Fprintf(conn, "POST /api/replicache/push?space=slow HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n"+
				"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n", a.token)
			all.Go(func() { drip(conn, strings.Repeat(" ", 1000)) })
			a.awaitHeld(ctx, conn)
		})
	}
}

// heldBodies sends as many large bodies as it can, two as each of many users, all
// but their last bytes: memory that is taken until the service gives them up.
func heldBodies(ctx context.Context, a *attacker) {
	for holdBodies(ctx, a); !a.content(); {
		holdBodies(ctx, a)
	}
}

func holdBodies(ctx context.Context, a *attacker) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range 3 * workers {
		conn := a.dial(ctx)
		if conn == nil {
			return
		}
		all.Go(func() {
			defer conn.Close()
			const length = 8 << 20
			fmt.Fprintf(conn, "POST /api/replicache/push?space=held HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n"+
				"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", bearer(fmt.Sprint("held", i/2)), length)
			begun := io.MultiReader(strings.NewReader(`{"mutations":[{"args":"`), io.LimitReader(spaces{}, length-100))
			all.Go(func() { _, _ = io.Copy(conn, begun) }) // as much as it reads
			a.awaitHeld(ctx, conn)
		})
	}
}

// awaitHeld is await for what the service gives up after half a minute, which is long for a
// test that is not full.
func (a *attacker) awaitHeld(ctx context.Context, conn net.Conn) {
	if !*full {
		defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	}
	a.await(conn)
}

// await judges the answer to what was sent.
func (a *attacker) await(conn net.Conn) {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		a.count(0)
		return
	}
	defer resp.Body.Close()
	a.judge(resp)
}

// manyHeaders sends a header of thousands of lines.
func manyHeaders(ctx context.Context, a *attacker) {
	lines := strings.Repeat("X-Header: some value that is not long\r\n", 5000)
	a.repeat(ctx, func(ctx context.Context) {
		conn := a.dial(ctx)
		if conn == nil {
			return
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: x\r\n"+lines+"\r\n"); err != nil {
			a.count(0)
			return
		}
		a.await(conn)
	})
}
