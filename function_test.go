package replifire_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"

	_ "github.com/replifire/replifire" // registers the function
	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

// functionPort, in the environment, makes a process of this test the function's
// instance: it serves as the buildpack's main does.
const functionPort = "REPLIFIRE_TEST_FUNCTION_PORT"

func TestMain(m *testing.M) {
	if port := os.Getenv(functionPort); port != "" {
		if err := funcframework.StartHostPort("127.0.0.1", port); err != nil {
			panic(err)
		}
	}
	emulatortest.Main(m)
}

// instance is the function, served by the framework in a process of its own.
type instance struct {
	*apitest.Client
	command *exec.Cmd
	log     *strings.Builder // complete after the end
}

func startFunction(t *testing.T, env ...string) *instance {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	f := &instance{
		Client:  &apitest.Client{URL: "http://127.0.0.1:" + port},
		command: exec.CommandContext(ctx, program),
		log:     &strings.Builder{},
	}
	f.command.Env = slices.Concat(env, []string{"FUNCTION_TARGET=Replifire", functionPort + "=" + port})
	f.command.Stderr = f.log
	if err := f.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = f.command.Wait() })
	for !f.listens(t) {
		if ctx.Err() != nil {
			t.Fatal("it does not listen")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return f
}

func (f *instance) listens(t *testing.T) bool {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.URL, "http://"))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
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

func (f *instance) terminate(t *testing.T) error {
	t.Helper()
	if err := f.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return f.command.Wait()
}

// sync pushes, hears of it, and pulls what it pushed.
func (f *instance) sync(t *testing.T) {
	t.Helper()
	stream := f.Pokes(t.Context(), t)
	m := apitest.Mutation{ID: 1, Name: "createMessage", Args: apitest.Message("m", "hello")}
	if status, body := f.Push(t, m); status != http.StatusOK {
		t.Fatalf("push answers %d %s", status, body)
	}
	stream.Await(t, `data: {"version": 1}`)
	v := f.Pull(t)
	if len(v.Entries) != 1 || v.Entries["message/m"] == nil || v.LastMutationIDChanges["c"] != 1 {
		t.Errorf("pull shows %+v", v)
	}
}

func TestFunctionSyncs(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		startFunction(t, "REPLIFIRE_STORE=memory").sync(t)
	})
	t.Run("firestore", func(t *testing.T) {
		t.Parallel()
		host, project := emulatortest.Host(t), emulatortest.Project(t)
		startFunction(t, "FIRESTORE_EMULATOR_HOST="+host, "GOOGLE_CLOUD_PROJECT="+project).sync(t)
	})
}

// After SIGTERM the stream ends in good order, and the process with 0, which it does only
// within its own limit for that: the platform would kill it later.
func TestFunctionEndsOnSIGTERM(t *testing.T) {
	t.Parallel()
	f := startFunction(t, "REPLIFIRE_STORE=memory", "K_SERVICE=replifire", "REPLIFIRE_ALLOW_UNSAFE=true")
	stream := f.Pokes(t.Context(), t)
	err := f.terminate(t)
	stream.AwaitEnd(t)
	if err != nil {
		t.Errorf("it ended with %v, logged %s", err, f.log)
	}
}

// Before the first request there is nothing to finish.
func TestUnusedFunctionEndsAtOnce(t *testing.T) {
	t.Parallel()
	f := startFunction(t, "REPLIFIRE_STORE=memory")
	var exit *exec.ExitError
	if err := f.terminate(t); !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("it ended with %v, want the end by the signal", err)
	}
}

// Wrong settings are the log's to explain, not the answer's.
func TestFunctionWithWrongSettings(t *testing.T) {
	t.Parallel()
	f := startFunction(t, "K_SERVICE=replifire", "GOOGLE_CLOUD_PROJECT=secret-project")
	for range 2 {
		status, body := f.Get(t, "/health")
		if status != http.StatusInternalServerError || strings.Contains(body, "REPLIFIRE") {
			t.Errorf("/health answers %d %s", status, body)
		}
	}
	_ = f.terminate(t)
	if !strings.Contains(f.log.String(), "REPLIFIRE_ALLOW_UNSAFE") {
		t.Errorf("the log does not say what is wrong: %s", f.log)
	}
}

func TestFunctionFileIsShort(t *testing.T) {
	t.Parallel()
	if lines := strings.Count(read(t, "function.go"), "\n"); lines > 60 {
		t.Errorf("function.go has %d lines, want 60 at the most", lines)
	}
}
