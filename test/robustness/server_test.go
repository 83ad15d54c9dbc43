package robustness_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/faulttcp"
)

const (
	// killAfter only ends what hangs: Cloud Run grants 10 seconds between SIGTERM and SIGKILL.
	killAfter = 5 * time.Minute
	// stopsWithin is what is promised of that: the default of REPLIFIRE_DRAIN_TIMEOUT. It is
	// asked for only where -robustness.for says that the machine does nothing else.
	stopsWithin = 8 * time.Second
	// drainSlowly has a server finish what it has also on a machine that is busy.
	drainSlowly = "REPLIFIRE_DRAIN_TIMEOUT=4m"
)

// build builds the program once for each version, as the Makefile does.
func build(t *testing.T, version string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "replifire-"+version)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-X main.version="+version, "-o", bin, "../../cmd/replifire")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// server is one instance of the service, with a proxy before it and one behind it. It
// has one process at a time. Only the nemesis and the test use it, one after the other.
type server struct {
	t       *testing.T
	bins    []string // the builds, which take turns
	project string
	env     []string // more settings
	address string
	front   *faulttcp.Proxy // what clients connect to
	back    *faulttcp.Proxy // what it takes for the emulator

	out io.Writer // what it prints; nil: to its log

	starts  int
	process *process
}

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read after done
}

func newServer(t *testing.T, bins []string, project, emulator string, env ...string) *server {
	t.Helper()
	s := &server{t: t, bins: bins, project: project, env: env, address: freeAddress(t)}
	s.front, s.back = listen(t, s.address), listen(t, emulator)
	s.start()
	t.Cleanup(s.end)
	return s
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

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *server) url() string { return "http://" + s.front.Addr() }

// start starts the next build and waits until it serves.
func (s *server) start() {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{
		cmd:  exec.Command(s.bins[s.starts%len(s.bins)], "serve"),
		log:  &tail{},
		done: make(chan struct{}),
	}
	s.starts++
	p.cmd.Env = append([]string{
		"REPLIFIRE_HOST=127.0.0.1", "PORT=" + port, "REPLIFIRE_STORE=firestore",
		"REPLIFIRE_RATE_PER_ADDRESS=0", "REPLIFIRE_RATE_NEW_SPACES=0", // all clients are at one
		"REPLIFIRE_RATE_BODY_BYTES=0", "REPLIFIRE_MAX_BODIES_PER_USER=0",
		"GOOGLE_CLOUD_PROJECT=" + s.project, "FIRESTORE_EMULATOR_HOST=" + s.back.Addr(),
	}, s.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if s.out != nil {
		p.cmd.Stdout = s.out
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Errorf("starting a server: %v", err)
		close(p.done)
	} else {
		go func() {
			p.err = p.cmd.Wait()
			close(p.done)
		}()
	}
	s.process = p
	s.awaitHealth()
}

// awaitHealth waits until the process answers, by itself and whatever the proxies do.
func (s *server) awaitHealth() {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.process.done:
			s.t.Errorf("server ended: %v\n%s", s.process.err, s.process.log)
			return
		default:
		}
		resp, err := client.Get("http://" + s.address + "/health")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	s.t.Errorf("server does not answer:\n%s", s.process.log)
}

func (s *server) signal(sig syscall.Signal) {
	if err := s.process.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("%v: %v", sig, err)
	}
}

// kill ends the process at once.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.process.done
}

// stop ends the process as Cloud Run does. It must end by itself, and with code 0
// if it is idle or healthy: in the midst of faults its requests may take longer
// than it waits.
func (s *server) stop(healthy bool) time.Duration {
	began := time.Now()
	s.signal(syscall.SIGTERM)
	select {
	case <-s.process.done:
	case <-time.After(killAfter):
		s.t.Errorf("server runs %v after SIGTERM:\n%s", killAfter, s.process.log)
		s.kill()
		return killAfter
	}
	if err := s.process.err; err != nil && (healthy || !strings.Contains(s.process.log.String(), "given up")) {
		s.t.Errorf("server ended with %v after SIGTERM:\n%s", s.process.err, s.process.log)
	}
	took := time.Since(began)
	if healthy && *forFlag > 0 && took > stopsWithin {
		s.t.Errorf("server ran %v after SIGTERM, want %v at most:\n%s", took, stopsWithin, s.process.log)
	}
	return took
}

// end is the test's end.
func (s *server) end() {
	select {
	case <-s.process.done:
	default:
		s.signal(syscall.SIGCONT)
		s.kill()
	}
	if s.t.Failed() {
		s.t.Logf("last log of the server at %s:\n%s", s.address, s.process.log)
	}
}

// tail keeps the end of a log.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 4 << 10
	l.text = append(l.text, p...)
	if over := len(l.text) - most; over > 0 {
		l.text = bytes.Clone(l.text[over:])
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// wait returns after d, false if ctx ends before.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// await returns true as soon as something is so, false if it is not within d or ctx ends.
func await(ctx context.Context, d time.Duration, so func() bool) bool {
	for deadline := time.Now().Add(d); !so(); {
		if time.Now().After(deadline) || !wait(ctx, time.Millisecond) {
			return false
		}
	}
	return true
}

// thousands writes a number for people.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// row prints a row of the table in docs/reliability.md.
func row(t *testing.T, harness, size, command string, seed uint64, result string) {
	t.Helper()
	today := time.Now().Format(time.DateOnly)
	t.Logf("row: | %s | %s | `%s` | %d | %s | %s |", harness, size, command, seed, today, result)
}
