package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// instance is the service in a process of its own.
type instance struct {
	url     string
	cmd     *exec.Cmd
	log     bytes.Buffer
	started time.Duration // until /health was answered
	stopped bool
}

// serve starts an instance on a project of the emulator. It ends with the part, if that does
// not stop it before.
func (b *bench) serve(ctx context.Context, project string, env ...string) (*instance, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	i := &instance{url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	i.cmd = exec.CommandContext(ctx, b.bin, "serve")
	i.cmd.Env = append([]string{
		"REPLIFIRE_HOST=127.0.0.1", "PORT=" + strconv.Itoa(port), "GOOGLE_CLOUD_PROJECT=" + project,
		"FIRESTORE_EMULATOR_HOST=" + b.host, "REPLIFIRE_LOG_LEVEL=error", "PATH=" + os.Getenv("PATH"),
		"REPLIFIRE_RATE_PER_ADDRESS=0", "REPLIFIRE_RATE_NEW_SPACES=0", // all clients are at one
		"REPLIFIRE_RATE_BODY_BYTES=0", "REPLIFIRE_MAX_BODIES_PER_USER=0",
	}, env...)
	i.cmd.Stderr = &i.log
	began := time.Now()
	if err := i.cmd.Start(); err != nil {
		return nil, err
	}
	b.instances = append(b.instances, i)
	for i.get("/health") != nil {
		if time.Since(began) > 10*time.Second {
			i.stop() // its log is complete now
			return nil, fmt.Errorf("%s does not answer: %s", b.bin, i.log.String())
		}
		time.Sleep(time.Millisecond)
	}
	i.started = time.Since(began)
	return i, nil
}

// serveAll starts n instances on one project.
func (b *bench) serveAll(ctx context.Context, n int, env ...string) ([]*instance, error) {
	project := b.project()
	var list []*instance
	for range n {
		i, err := b.serve(ctx, project, env...)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

func stopAll(list []*instance) {
	for _, i := range list {
		i.stop()
	}
}

func (i *instance) stop() {
	if i.stopped {
		return
	}
	i.stopped = true
	_ = i.cmd.Process.Signal(os.Interrupt)
	_ = i.cmd.Wait()
}

func (i *instance) get(path string) error {
	resp, err := http.Get(i.url + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// memory is what the process has resident, and the most it has had, in MiB.
func (i *instance) memory() (now, peak float64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kib / 1024
		case "VmHWM:":
			peak = kib / 1024
		}
	}
	return now, peak
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil //nolint:forcetypeassert // it is one
}
