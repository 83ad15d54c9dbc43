package abuse_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/tokentest"
)

// service is the program as a process of its own.
type service struct {
	address string
	pid     int
}

// start builds the program and runs it on the emulator until the test ends. Its limits
// are the defaults but for env. Tokens are those of a Firebase Auth emulator, unsigned.
func start(t *testing.T, env ...string) *service {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "replifire")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false",
		"-o", bin, "../../cmd/replifire")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := &service{address: freeAddress(t)}
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer // read after the process has ended
	cmd := exec.Command(bin, "serve")
	cmd.Env = append([]string{
		"REPLIFIRE_HOST=127.0.0.1", "PORT=" + port, "REPLIFIRE_STORE=firestore",
		"GOOGLE_CLOUD_PROJECT=" + emulatortest.Project(t), "FIRESTORE_EMULATOR_HOST=" + emulatortest.Host(t),
		"REPLIFIRE_AUTH=firebase", "REPLIFIRE_POLICY=authenticated", "REPLIFIRE_LOG_LEVEL=error",
		"REPLIFIRE_FIREBASE_PROJECT=" + tokentest.Project, "FIREBASE_AUTH_EMULATOR_HOST=127.0.0.1:1",
	}, env...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("the service has ended by itself: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the service ended with %v", err)
		}
		if t.Failed() {
			t.Logf("log of the service:\n%.8000s", log.String())
		}
	})
	s.awaitHealth(t)
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *service) awaitHealth(t *testing.T) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		resp, err := client.Get(s.url() + "/health")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatal("the service does not answer")
}

func (s *service) url() string { return "http://" + s.address }

// memory is a figure of the process, VmRSS or VmHWM, in bytes.
func (s *service) memory(t *testing.T, name string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if _, err := fmt.Sscanf(rest, "%d kB", &kilobytes); err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatalf("no %s in %s", name, status)
	return 0
}

// cpu is how much processor time the process has used.
func (s *service) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick
}

// files is how many files the process has open, which are connections but for a few.
func (s *service) files(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// awaitFiles waits until the process has no more files open than so many.
func (s *service) awaitFiles(t *testing.T, most int) {
	t.Helper()
	var n int
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if n = s.files(t); n <= most {
			return
		}
	}
	t.Errorf("%d files are open %v afterwards, want %d at the most", n, patience, most)
}
