package main

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

// development is a "replifire dev" that runs in this process.
type development struct {
	*apitest.Client
	welcome string
	stderr  *output
	stop    context.CancelFunc
	exit    chan int
}

var (
	ready   = regexp.MustCompile(`(?s)replifire is ready.*Ctrl-C`)
	address = regexp.MustCompile(`push +(http://\S+)/api/replicache/push\n`)
)

// develop starts "replifire dev" on a free port and waits until it says that it is
// ready.
func develop(t *testing.T, getenv func(string) string, args ...string) *development {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	d := &development{stop: stop, stderr: &output{}, exit: make(chan int, 1)}
	var stdout output
	go func() {
		d.exit <- run(ctx, append([]string{"dev", "--port=0"}, args...), getenv, &stdout, d.stderr)
	}()
	for !ready.MatchString(stdout.String()) {
		select {
		case code := <-d.exit:
			t.Fatalf("dev exited with %d, printed %s, %s", code, &stdout, d.stderr)
		case <-time.After(10 * time.Millisecond):
		}
	}
	d.welcome = stdout.String()
	d.Client = &apitest.Client{URL: address.FindStringSubmatch(d.welcome)[1]}
	return d
}

// end stops it as Ctrl-C does.
func (d *development) end(t *testing.T) {
	t.Helper()
	d.stop()
	if code := <-d.exit; code != 0 {
		t.Errorf("dev exited with %d, printed %s", code, d.stderr)
	}
}

// curl does what the welcome's command for a path says.
func (d *development) curl(t *testing.T, path string) (int, string) {
	t.Helper()
	command := regexp.MustCompile(`(?s)curl \S+` + path + ` -H 'Content-Type: application/json' -d '(.*?)'`)
	m := command.FindStringSubmatch(d.welcome)
	if m == nil {
		t.Fatalf("the welcome has no curl command for %s:\n%s", path, d.welcome)
	}
	return d.Post(t, path, m[1])
}

func TestDevInMemory(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  []string
		args []string
	}{
		"flag":     {args: []string{"--memory"}},
		"variable": {env: []string{"REPLIFIRE_STORE=memory"}},
		// What would lead to the cloud leads nowhere.
		"beside production": {
			env:  []string{"GOOGLE_CLOUD_PROJECT=production", "REPLIFIRE_DEV=false", "REPLIFIRE_STORE=firestore"},
			args: []string{"--memory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := develop(t, environment(test.env...), test.args...)
			if !strings.Contains(d.welcome, "in memory") {
				t.Errorf("the welcome is\n%s", d.welcome)
			}
			tryWelcome(t, d)
			d.end(t)
		})
	}
}

// tryWelcome does what the welcome proposes: a push, and a pull that shows it.
func tryWelcome(t *testing.T, d *development) {
	t.Helper()
	if status, body := d.curl(t, "/api/replicache/push"); status != http.StatusOK || body != "{}" {
		t.Errorf("push answers %d %s", status, body)
	}
	status, body := d.curl(t, "/api/replicache/pull")
	if status != http.StatusOK || !strings.Contains(body, `"key":"message/m1"`) {
		t.Errorf("pull answers %d %s", status, body)
	}
	if status, body := d.Get(t, "/api/init"); status != http.StatusOK || body != "ok" {
		t.Errorf("/api/init answers %d %s", status, body)
	}
	if v := d.Pull(t); len(v.Entries) != 0 {
		t.Errorf("after /api/init a pull shows %+v", v)
	}
}

func TestDevOnAGivenEmulator(t *testing.T) {
	t.Parallel()
	host, project := emulatortest.Host(t), emulatortest.Project(t)
	d := develop(t, environment("FIRESTORE_EMULATOR_HOST="+host, "GOOGLE_CLOUD_PROJECT="+project))
	if !strings.Contains(d.welcome, host) || !strings.Contains(d.welcome, project) {
		t.Errorf("the welcome is\n%s", d.welcome)
	}
	tryWelcome(t, d)
	d.end(t)
	// It was not ours to stop.
	if err := checkDial(t.Context(), host); err != nil {
		t.Error(err)
	}
}

func TestDevStartsAndStopsTheEmulator(t *testing.T) {
	t.Parallel()
	emulatortest.Host(t) // there is one to start
	d := develop(t, environment())
	m := regexp.MustCompile(`emulator at (\S+), project replifire-dev\.`).FindStringSubmatch(d.welcome)
	if m == nil {
		t.Fatalf("the welcome is\n%s", d.welcome)
	}
	if err := checkDial(t.Context(), m[1]); err != nil {
		t.Errorf("the emulator of the welcome: %v", err)
	}
	tryWelcome(t, d)
	d.end(t)
	if err := checkDial(t.Context(), m[1]); err == nil {
		t.Errorf("the emulator at %s was left running", m[1])
	}
}

func TestDevWithADeadEmulator(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	code, stdout, stderr := execute(t.Context(), environment("FIRESTORE_EMULATOR_HOST="+host), "dev", "--port=0")
	if code != 1 || stdout != "" ||
		!strings.Contains(stderr, "FIRESTORE_EMULATOR_HOST") || !strings.Contains(stderr, host) {
		t.Errorf("dev exits with %d, prints %q, %q", code, stdout, stderr)
	}
}
