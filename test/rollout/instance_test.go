package rollout_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/tokentest"
)

// patience ends a test that hangs. No test depends on how long anything takes.
const patience = 2 * time.Minute

// database is one that both programs use.
type database struct {
	*testing.T

	env    []string
	client *http.Client
}

// newDatabase makes an empty one. Tokens are those of a Firebase Auth emulator,
// unsigned; settings are more of the programs' environment.
func newDatabase(t *testing.T, settings ...string) *database {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &database{
		T: t,
		env: append([]string{
			"TMPDIR=" + os.TempDir(),
			"GOOGLE_CLOUD_PROJECT=" + emulatortest.Project(t), "FIRESTORE_EMULATOR_HOST=" + emulatortest.Host(t),
			"REPLIFIRE_STORE=firestore", "REPLIFIRE_AUTH=firebase", "REPLIFIRE_POLICY=authenticated",
			"REPLIFIRE_FIREBASE_PROJECT=" + tokentest.Project, "FIREBASE_AUTH_EMULATOR_HOST=127.0.0.1:1",
			"REPLIFIRE_HOST=127.0.0.1", "REPLIFIRE_LOG_LEVEL=warn",
		}, settings...),
		client: &http.Client{Timeout: patience, Transport: transport},
	}
}

// operate runs a command of a program on the database and returns what it prints.
func (d *database) operate(p program, args ...string) string {
	d.Helper()
	cmd := exec.CommandContext(d.Context(), string(p), args...)
	cmd.Env = d.env
	var out bytes.Buffer
	if err := run(cmd, &out); err != nil {
		d.Fatal(err)
	}
	return out.String()
}

// checkStored has both programs look at all that is stored of a space.
func (d *database) checkStored(p programs, space string) {
	d.Helper()
	d.operate(p.before, "fsck", space)
	d.operate(p.now, "fsck", space)
}

// instance is a program that serves.
type instance struct {
	*database

	name string
	url  string
	cmd  *exec.Cmd
	log  bytes.Buffer // read after it has ended
}

// start starts a program and waits until it serves. It is stopped at the test's end.
func (d *database) start(p program, name string) *instance {
	d.Helper()
	address := freeAddress(d.T)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		d.Fatal(err)
	}
	i := &instance{database: d, name: name, url: "http://" + address, cmd: exec.Command(string(p), "serve")}
	i.cmd.Env = append(slices.Clone(d.env), "PORT="+port)
	i.cmd.Stdout, i.cmd.Stderr = &i.log, &i.log
	if err := i.cmd.Start(); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(i.stop)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		resp, err := d.client.Get(i.url + "/health")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return i
		}
	}
	d.Fatalf("the program %s does not answer", name)
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// stop ends it as Cloud Run does, unless that was done before.
func (i *instance) stop() {
	if i.cmd.ProcessState != nil {
		return
	}
	if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		i.Errorf("the program %s has ended by itself: %v", i.name, err)
	}
	if err := i.cmd.Wait(); err != nil {
		i.Errorf("the program %s ended with %v", i.name, err)
	}
	if i.Failed() {
		i.Logf("log of the program %s:\n%.8000s", i.name, i.log.String())
	}
}

// answer is what an instance answers.
type answer struct {
	from   *instance
	status int
	body   string
}

func (a answer) String() string {
	return fmt.Sprintf("%s answers %d %.500s", a.from.name, a.status, a.body)
}

// passes reports whether a client sends the same request again.
func (a answer) passes() bool {
	return a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable
}

// ask sends a request of a user's.
func (i *instance) ask(method, path, user, body string) (answer, error) {
	req, err := http.NewRequestWithContext(i.Context(), method, i.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+tokentest.Unsigned(tokentest.Claims(user, time.Now())))
	resp, err := i.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{i, resp.StatusCode, string(text)}, err
}
