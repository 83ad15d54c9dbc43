package faulttcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	// chunk is how much is read at a time. A slow proxy passes as much each slowPause.
	chunk     = 16 << 10
	slowChunk = 64
	slowPause = 5 * time.Millisecond
)

// Trouble is how a Proxy misbehaves. The zero Trouble is none.
type Trouble struct {
	// Latency holds back what arrives, in both directions.
	Latency time.Duration
	// Stall passes nothing on, and closes nothing, until there is other trouble or none.
	Stall bool
	// Slow passes some 10 KiB a second, in each direction.
	Slow bool
	// CutAfter resets a connection once so many bytes have come back over it since the trouble
	// began, and lets no more through; 0: never.
	CutAfter int64
	// Refuse resets new connections.
	Refuse bool
}

// Proxy passes connections on. Make it with Listen, end it with Close. Its methods are
// safe for concurrent use.
type Proxy struct {
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	work     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	targets []string
	trouble Trouble
	changed chan struct{} // closed when the trouble changes
	conns   map[*net.TCPConn]bool
}

// Listen makes a Proxy on a free port of 127.0.0.1. A new connection goes to the first of
// the targets, "host:port" each, that accepts it.
func Listen(ctx context.Context, targets ...string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	p := &Proxy{
		listener: listener, targets: targets, changed: make(chan struct{}), conns: map[*net.TCPConn]bool{},
	}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.work.Go(p.accept)
	return p, nil
}

// Addr is where the Proxy listens, "host:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTargets sends connections that are new from now on elsewhere.
func (p *Proxy) SetTargets(targets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = targets
}

// SetTrouble changes how all connections are treated, those that are open too.
func (p *Proxy) SetTrouble(t Trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = t
	close(p.changed)
	p.changed = make(chan struct{})
}

// Reset resets all connections that are open.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		reset(conn)
	}
}

// Close ends the Proxy with all its connections, and waits for them.
func (p *Proxy) Close() {
	p.cancel()
	_ = p.listener.Close()
	p.Reset()
	p.work.Wait()
}

// now is the trouble, and what tells of the next.
func (p *Proxy) now() (Trouble, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble, p.changed
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		client := conn.(*net.TCPConn) //nolint:forcetypeassert // a TCP listener has no others
		if t, _ := p.now(); t.Refuse || !p.enter(client) {
			reset(client)
			continue
		}
		p.work.Go(func() { p.serve(client) })
	}
}

// enter lists an open connection; false: the Proxy is closed.
func (p *Proxy) enter(conn *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return p.ctx.Err() == nil
}

func (p *Proxy) leave(conn *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	_ = conn.Close()
}

// serve passes a connection on until both directions have ended.
func (p *Proxy) serve(client *net.TCPConn) {
	defer p.leave(client)
	server := p.dial()
	if server == nil {
		reset(client)
		return
	}
	defer p.leave(server)
	if !p.enter(server) {
		reset(client)
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.pass(server, client, false) })
	wg.Go(func() { p.pass(client, server, true) })
	wg.Wait()
}

// dial connects to the first target that accepts; nil if none does.
func (p *Proxy) dial() *net.TCPConn {
	p.mu.Lock()
	targets := p.targets
	p.mu.Unlock()
	dialer := net.Dialer{Timeout: dialTimeout}
	for _, target := range targets {
		if conn, err := dialer.DialContext(p.ctx, "tcp", target); err == nil {
			return conn.(*net.TCPConn) //nolint:forcetypeassert // that is what it dials
		}
	}
	return nil
}

// pass copies one direction. When one ends by itself, its end is passed on; when it
// breaks, both ends are reset.
func (p *Proxy) pass(to, from *net.TCPConn, back bool) {
	buffer := make([]byte, chunk)
	var sum passed
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.write(to, buffer[:n], back, &sum) {
			reset(to)
			reset(from)
			return
		}
		if errors.Is(err, io.EOF) {
			_ = to.CloseWrite()
			return
		}
		if err != nil {
			reset(to)
			reset(from)
			return
		}
	}
}

// passed is how many bytes one direction has passed on since the trouble of the moment began.
type passed struct {
	changed <-chan struct{} // that trouble's
	bytes   int64
}

// left is how many bytes more a trouble lets through.
func (s *passed) left(t Trouble, changed <-chan struct{}) int64 {
	if s.changed != changed {
		*s = passed{changed: changed}
	}
	if t.CutAfter == 0 {
		return math.MaxInt64
	}
	return t.CutAfter - s.bytes
}

// write passes bytes on as the trouble of the moment has it; false: the connection is
// to break.
func (p *Proxy) write(to *net.TCPConn, data []byte, back bool, sum *passed) bool {
	for len(data) > 0 {
		t, changed := p.now()
		if t.Stall {
			if !p.await(changed) {
				return false
			}
			continue
		}
		if !back {
			t.CutAfter = 0
		}
		piece, pause := data[:min(int64(len(data)), sum.left(t, changed))], t.Latency
		if t.Slow {
			piece, pause = piece[:min(len(piece), slowChunk)], slowPause
		}
		if pause > 0 && !p.pause(pause) {
			return false
		}
		if _, err := to.Write(piece); err != nil {
			return false
		}
		data = data[len(piece):]
		sum.bytes += int64(len(piece))
		if sum.left(t, changed) == 0 {
			return false
		}
	}
	return true
}

func (p *Proxy) await(changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	case <-p.ctx.Done():
		return false
	}
}

func (p *Proxy) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// reset closes a connection with a RST, so that the other end sees an error and not an
// end.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}
