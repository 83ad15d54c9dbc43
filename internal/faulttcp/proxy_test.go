package faulttcp_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/internal/faulttcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends each line back, with its name before it.
func echo(t *testing.T, name string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewReader(conn); ; {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, name+line)
				}
			}()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func listen(t *testing.T, targets ...string) *faulttcp.Proxy {
	t.Helper()
	p, err := faulttcp.Listen(t.Context(), targets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// talker is a connection to an echo server.
type talker struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, address string) *talker {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &talker{conn, bufio.NewReader(conn)}
}

// say sends a line and returns what comes back.
func (c *talker) say(line string) (string, error) {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	answer, err := c.in.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

func (c *talker) check(t *testing.T, want string) {
	t.Helper()
	if got, err := c.say("hello"); err != nil || got != want {
		t.Errorf("it says %q, %v, want %q", got, err, want)
	}
}

func TestPassesOn(t *testing.T) {
	t.Parallel()
	p := listen(t, echo(t, "a:"))
	c := dial(t, p.Addr())
	c.check(t, "a:hello")
	c.check(t, "a:hello")
	for _, trouble := range []faulttcp.Trouble{{Latency: time.Millisecond}, {Slow: true}, {CutAfter: 1 << 20}} {
		p.SetTrouble(trouble)
		c.check(t, "a:hello")
	}
	if got, err := c.say(strings.Repeat("x", 1000)); err != nil || len(got) != 1002 {
		t.Errorf("it says %d bytes, %v, want 1,002", len(got), err)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	a, b := echo(t, "a:"), echo(t, "b:")
	nobody := listen(t)
	p := listen(t, nobody.Addr(), a)
	nobody.Close()
	first := dial(t, p.Addr())
	first.check(t, "a:hello")
	p.SetTargets(b, a)
	dial(t, p.Addr()).check(t, "b:hello")
	first.check(t, "a:hello")
	p.SetTargets()
	if err := ask(p.Addr(), "x"); err == nil {
		t.Error("without a target there is an answer")
	}
}

// ask dials and says something. A connection that is reset at once may break before the
// dial has returned, or afterwards.
func ask(address, text string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = (&talker{conn, bufio.NewReader(conn)}).say(text)
	return err
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	p := listen(t, echo(t, "a:"))
	p.SetTrouble(faulttcp.Trouble{Refuse: true})
	if err := ask(p.Addr(), "x"); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("asking = %v, want a connection that breaks", err)
	}
	p.SetTrouble(faulttcp.Trouble{})
	if err := ask(p.Addr(), "x"); err != nil {
		t.Errorf("asking = %v when it refuses no more", err)
	}
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	tests := map[string]func(p *faulttcp.Proxy){
		"reset": (*faulttcp.Proxy).Reset,
		"cut in the middle": func(p *faulttcp.Proxy) {
			p.SetTrouble(faulttcp.Trouble{CutAfter: 64})
		},
		"close": (*faulttcp.Proxy).Close,
	}
	for name, breakIt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := listen(t, echo(t, "a:"))
			c := dial(t, p.Addr())
			c.check(t, "a:hello")
			breakIt(p)
			if got, err := c.say(strings.Repeat("x", 200)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("it says %d bytes, %v, want a connection that breaks", len(got), err)
			}
		})
	}
}

// TestCut: however fast an answer comes, no more of it gets through, and what came before the
// trouble does not count.
func TestCut(t *testing.T) {
	t.Parallel()
	p := listen(t, echo(t, "a:"))
	c := dial(t, p.Addr())
	if _, err := c.say(strings.Repeat("x", 1000)); err != nil {
		t.Fatal(err)
	}
	p.SetTrouble(faulttcp.Trouble{CutAfter: 100})
	c.check(t, "a:hello")
	c.check(t, "a:hello") // which a connection that is cut already would not answer
	got, err := c.say(strings.Repeat("x", 4000))
	if most := 100 - 2*len("a:hello\n"); err == nil || errors.Is(err, io.EOF) || len(got) > most {
		t.Errorf("it says %d bytes, %v, want %d at most and a connection that breaks", len(got), err, most)
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	p := listen(t, echo(t, "a:"))
	c := dial(t, p.Addr())
	c.check(t, "a:hello")
	p.SetTrouble(faulttcp.Trouble{Stall: true})
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.say("later"); err == nil {
		t.Errorf("it says %q though it stalls", got)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	p.SetTrouble(faulttcp.Trouble{})
	if got, err := c.in.ReadString('\n'); err != nil || got != "a:later\n" {
		t.Errorf("afterwards it says %q, %v", got, err)
	}
}
