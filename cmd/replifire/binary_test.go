package main

import (
	"bufio"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/apitest"
)

// binary is the path of the program.
type binary string

// TestBinary builds the program as the Dockerfile does, once, and tests it in
// processes of its own.
func TestBinary(t *testing.T) {
	t.Parallel()
	b := binary(filepath.Join(t.TempDir(), "replifire"))
	flags := "-X main.version=v9.8.7 -X main.commit=abcdef"
	build := exec.CommandContext(t.Context(),
		"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", string(b), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, test := range map[string]func(*testing.T, binary){
		"Cloud Run's contract":  testCloudRunsContract,
		"signal amid a request": testSignalAmidARequest,
		"signal amid a body":    testSignalAmidABody,
		"200,000 mutations":     testBacklog(manyMutations(), false),
		"100 MB":                testBacklog(manyBytes(), false),
		"100 MB over HTTP/2":    testBacklog(manyBytes(), true),
		"second SIGTERM":        testSecondSignal(syscall.SIGTERM),
		"second SIGINT":         testSecondSignal(syscall.SIGINT),
		"unsafe unasked":        testUnsafeUnasked,
		"dev without emulator":  testDevWithoutEmulator,
		"version":               testVersion,
		"static":                testStatic,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// process is the program in a process of its own.
type process struct {
	*apitest.Client
	command *exec.Cmd
	stdout  *output
	stderr  *output
}

// start runs the program with nothing but that environment. If it does not end by
// itself it is killed, which a test takes for a failure.
func (b binary) start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Minute)
	t.Cleanup(cancel)
	p := &process{command: exec.CommandContext(ctx, string(b), args...), stdout: &output{}, stderr: &output{}}
	p.command.Env, p.command.Stdout, p.command.Stderr = env, p.stdout, p.stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// cloudRun is the environment that Cloud Run gives, and a port.
func cloudRun(t *testing.T) (env []string, url string) {
	t.Helper()
	port := freePort(t)
	return []string{
		"K_SERVICE=replifire", "K_REVISION=replifire-00001-abc", "K_CONFIGURATION=replifire",
		"PORT=" + port, "REPLIFIRE_STORE=memory", "REPLIFIRE_ALLOW_UNSAFE=true",
	}, "http://127.0.0.1:" + port
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// startOnCloudRun waits until the program listens, which Cloud Run does too.
func (b binary) startOnCloudRun(t *testing.T, more ...string) *process {
	t.Helper()
	env, url := cloudRun(t)
	p := b.start(t, append(env, more...), "serve")
	p.Client = &apitest.Client{URL: url}
	for checkDial(t.Context(), strings.TrimPrefix(url, "http://")) != nil {
		if p.command.ProcessState != nil || t.Context().Err() != nil {
			t.Fatalf("it does not listen: %s", p.stderr)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return p
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// The contract of Cloud Run: listen on PORT, log JSON lines, and after SIGTERM
// finish and end with 0, which it does only within a limit that is shorter than the 10
// seconds until the SIGKILL.
func testCloudRunsContract(t *testing.T, b binary) {
	t.Helper()
	p := b.startOnCloudRun(t)
	if status, body := p.Get(t, "/ready"); status != http.StatusOK {
		t.Errorf("/ready answers %d %s", status, body)
	}
	if status, _ := p.Get(t, "/"); status != http.StatusNotFound {
		t.Errorf("/ answers %d: there is no page but in development mode", status)
	}
	stream := p.Pokes(t.Context(), t)
	m := apitest.Mutation{ID: 1, Name: "createMessage", Args: apitest.Message("m", "hello")}
	if status, body := p.Push(t, m); status != http.StatusOK {
		t.Errorf("push answers %d %s", status, body)
	}
	stream.Await(t, `data: {"version": 1}`)

	p.signal(t, syscall.SIGTERM)
	stream.AwaitEnd(t)
	if err := p.command.Wait(); err != nil {
		t.Errorf("it ended with %v, printed %s", err, p.stderr)
	}
	checkLog(t, p.stderr.String())
	if out := p.stdout.String(); out != "" {
		t.Errorf("it printed %q beside the log", out)
	}
}

// checkLog wants nothing but JSON lines with Cloud Logging's names, the start's
// and the end's among them.
func checkLog(t *testing.T, log string) {
	t.Helper()
	var messages []string
	for text := range strings.Lines(log) {
		var line struct{ Severity, Message string }
		if err := json.Unmarshal([]byte(text), &line); err != nil || line.Severity == "" || line.Message == "" {
			t.Errorf("log line is %s (%v)", text, err)
		}
		messages = append(messages, line.Message)
	}
	for _, want := range []string{"service assembled", "listening", "shutting down"} {
		if !slices.Contains(messages, want) {
			t.Errorf("the log has no line %q: %q", want, messages)
		}
	}
}

// A request whose body is still on its way is waited for, for a while, and answered.
func testSignalAmidARequest(t *testing.T, b binary) {
	t.Helper()
	p := b.startOnCloudRun(t, "REPLIFIRE_DRAIN_TIMEOUT=10m") // an eighth of it
	r := p.beginPull(t)
	p.signal(t, syscall.SIGTERM)
	p.awaitRefused(t)
	r.finish(t)
	if err := p.command.Wait(); err != nil {
		t.Errorf("it ended with %v, printed %s", err, p.stderr)
	}
}

// A second signal ends it at once, whatever is under way.
func testSecondSignal(s syscall.Signal) func(*testing.T, binary) {
	return func(t *testing.T, b binary) {
		t.Helper()
		p := b.startOnCloudRun(t)
		r := p.beginPull(t)
		defer r.conn.Close()
		p.signal(t, s)
		p.awaitRefused(t)
		p.signal(t, s)
		var exit *exec.ExitError
		if err := p.command.Wait(); !errors.As(err, &exit) {
			t.Fatalf("it ended with %v", err)
		}
		if status := exit.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != s {
			t.Errorf("it ended with %v, want the end by the second signal", exit)
		}
	}
}

// slowPull is a pull of which the server has all but the last byte.
type slowPull struct{ conn net.Conn }

const pullBody = `{"pullVersion":1,"profileID":"p","clientGroupID":"g","schemaVersion":"","cookie":null}`

func (p *process) beginPull(t *testing.T) *slowPull {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /api/replicache/pull HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(pullBody))
	// The server says so when it reads the body, so it is in the midst of it.
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, " 100 ") {
		t.Fatalf("server says %q (%v), want 100 Continue", line, err)
	}
	if _, err := io.WriteString(conn, pullBody[:len(pullBody)-1]); err != nil {
		t.Fatal(err)
	}
	return &slowPull{conn}
}

func (r *slowPull) finish(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(r.conn, pullBody[len(pullBody)-1:]); err != nil {
		t.Fatal(err)
	}
	r.answer(t, http.StatusOK)
}

// answer awaits the answer.
func (r *slowPull) answer(t *testing.T, status int) {
	t.Helper()
	defer r.conn.Close()
	// The rest of the 100 Continue stands before it.
	in := bufio.NewReader(r.conn)
	if blank, err := in.Peek(2); err == nil && string(blank) == "\r\n" {
		_, _ = in.Discard(2)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != status || err != nil {
		t.Errorf("pull answers %s %s (%v), want %d", resp.Status, body, err, status)
	}
}

func (p *process) awaitRefused(t *testing.T) {
	t.Helper()
	for checkDial(t.Context(), strings.TrimPrefix(p.URL, "http://")) == nil {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
}

func testUnsafeUnasked(t *testing.T, b binary) {
	t.Helper()
	p := b.start(t, []string{"K_SERVICE=s", "PORT=0", "GOOGLE_CLOUD_PROJECT=p"}, "serve")
	err := p.command.Wait()
	if code := p.command.ProcessState.ExitCode(); code != exitUsage {
		t.Errorf("it ended with %v, want exit code %d", err, exitUsage)
	}
	if text := p.stderr.String(); !strings.Contains(text, "REPLIFIRE_ALLOW_UNSAFE=true") {
		t.Errorf("it printed %s", text)
	}
}

// Where there is no emulator, one line says how to get it, and the memory store
// serves. There is none for a process that has no path to find java in.
func testDevWithoutEmulator(t *testing.T, b binary) {
	t.Helper()
	p := b.start(t, []string{"PATH=" + t.TempDir(), "HOME=" + t.TempDir(), "PORT=0"}, "dev")
	for !ready.MatchString(p.stdout.String()) {
		if p.command.ProcessState != nil || t.Context().Err() != nil {
			t.Fatalf("dev printed %s, %s", p.stdout, p.stderr)
		}
		time.Sleep(10 * time.Millisecond)
	}
	d := &development{welcome: p.stdout.String()}
	d.Client = &apitest.Client{URL: address.FindStringSubmatch(d.welcome)[1]}
	if !strings.Contains(d.welcome, "in memory") {
		t.Errorf("the welcome is\n%s", d.welcome)
	}
	hint := regexp.MustCompile(`(?m)^Keeping everything in memory: .*install.*$`)
	if lines := hint.FindAllString(p.stderr.String(), -1); len(lines) != 1 {
		t.Errorf("%d lines say how to get the emulator, want one:\n%s", len(lines), p.stderr)
	}
	tryWelcome(t, d)
	p.signal(t, syscall.SIGINT)
	if err := p.command.Wait(); err != nil {
		t.Errorf("it ended with %v, printed %s", err, p.stderr)
	}
}

func testVersion(t *testing.T, b binary) {
	t.Helper()
	p := b.start(t, nil, "version")
	if err := p.command.Wait(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("replifire v9.8.7 abcdef %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if got := p.stdout.String(); got != want {
		t.Errorf("version is %q, want %q", got, want)
	}
}

// The image has no libraries.
func testStatic(t *testing.T, b binary) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the image is Linux's")
	}
	f, err := elf.Open(string(b))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the binary needs %q (%v)", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary needs a dynamic linker")
		}
	}
}
