package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// DefaultHeapMiB bounds the emulator's heap: it keeps every old version of
	// every document, and would by itself take a quarter of the machine.
	DefaultHeapMiB = 1024

	mainClass = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
	// readyLine is the emulator's last word before it serves. Without it, an
	// answer on the port could be another emulator's, while ours is failing.
	readyLine = "Dev App Server is now running"
	// pollEvery is how often a starting emulator is asked for a sign of life.
	pollEvery = 50 * time.Millisecond
	// portTries is how often a port that was free a moment ago may be taken.
	portTries = 5
)

// Options say how to start an emulator. The zero value is good.
type Options struct {
	// Command is what to run; zero is whatever Find finds.
	Command Command
	// Port is the port on 127.0.0.1; 0 is any free one.
	Port int
	// Rules is the path of a firestore.rules file; "" lets everybody do everything.
	Rules string
	// Import is the path of the metadata file of an export to begin with, as Export
	// returns it; "" begins with nothing.
	Import string
	// HeapMiB bounds the Java heap; 0 is DefaultHeapMiB.
	HeapMiB int
}

// Emulator is a running emulator. Its methods are safe for concurrent use.
type Emulator struct {
	host    string
	command *exec.Cmd
	log     tail
	done    chan struct{} // closed when the process has ended
	exit    error         // how it ended; read after done
	stopped atomic.Bool
}

// Start starts an emulator and waits until it answers, which takes a few
// seconds. ctx bounds the waiting, not the emulator's life: Stop ends that.
// Fails with ErrNotFound, the context's error, or what the emulator printed.
func Start(ctx context.Context, o Options) (*Emulator, error) {
	if o.Command == (Command{}) {
		found, err := Find()
		if err != nil {
			return nil, err
		}
		o.Command = found
	}
	if o.Port != 0 {
		return startOn(ctx, o, o.Port)
	}
	for try := 1; ; try++ {
		port, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		e, err := startOn(ctx, o, port)
		if errors.Is(err, errPortTaken) && try < portTries {
			continue
		}
		return e, err
	}
}

var errPortTaken = errors.New("port is taken")

func startOn(ctx context.Context, o Options, port int) (*Emulator, error) {
	e := &Emulator{
		host:    net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		command: command(o, port),
		done:    make(chan struct{}),
	}
	e.command.Stdout, e.command.Stderr = &e.log, &e.log
	e.command.SysProcAttr = childAttributes()

	started := make(chan error, 1)
	go e.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting the Firestore emulator: %w", err)
	}
	if err := e.awaitReady(ctx); err != nil {
		_ = e.Stop() // After an early exit it says what err says.
		return nil, err
	}
	return e, nil
}

func command(o Options, port int) *exec.Cmd {
	heap := o.HeapMiB
	if heap == 0 {
		heap = DefaultHeapMiB
	}
	args := []string{
		"-Xmx" + strconv.Itoa(heap) + "m",
		// The emulator's own launcher says so: its messages are English only.
		"-Duser.language=en",
		"-cp", o.Command.Jar, mainClass, "start",
		"--host=127.0.0.1", "--port=" + strconv.Itoa(port),
	}
	if o.Rules != "" {
		args = append(args, "--rules="+o.Rules)
	}
	if o.Import != "" {
		args = append(args, "--import-data="+o.Import)
	}
	//nolint:gosec,noctx // The caller's own program; Stop ends it, and no context.
	return exec.Command(o.Command.Java, args...)
}

// run starts the process and stays with it. The parent's death is, to Linux,
// the death of the thread that started the child: so this goroutine keeps its
// thread until the child has ended.
func (e *Emulator) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := e.command.Start()
	started <- err
	if err != nil {
		return
	}
	e.exit = e.command.Wait()
	close(e.done)
}

func (e *Emulator) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the Firestore emulator: %w; it printed: %s",
				ctx.Err(), &e.log)
		case <-e.done:
			return e.earlyExit()
		case <-ticker.C:
		}
		if strings.Contains(e.log.String(), readyLine) && e.answers(ctx) {
			return nil
		}
	}
}

func (e *Emulator) earlyExit() error {
	text := e.log.String()
	err := fmt.Errorf("the Firestore emulator ended (%w); it printed: %s", e.exit, text)
	if strings.Contains(text, "Address already in use") {
		return fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return err
}

func (e *Emulator) answers(ctx context.Context) bool {
	return e.request(ctx, http.MethodGet, "/", nil) == nil
}

// Host is the emulator's address, "127.0.0.1:PORT".
func (e *Emulator) Host() string { return e.host }

// PID is the emulator's process, to measure it by.
func (e *Emulator) PID() int { return e.command.Process.Pid }

// Stop ends the emulator and waits until it is gone; all data is lost. It fails
// if the emulator had ended by itself before. Stopping again does nothing.
func (e *Emulator) Stop() error {
	if e.stopped.Swap(true) {
		<-e.done
		return nil
	}
	select {
	case <-e.done:
		return e.earlyExit()
	default:
	}
	// It holds nothing worth saving, so there is nothing to ask it for first.
	if err := e.command.Process.Kill(); err != nil {
		return fmt.Errorf("stopping the Firestore emulator: %w", err)
	}
	<-e.done
	return nil
}

// Wipe removes all documents of a project's default database. Listeners stay:
// they are told that their documents are gone.
func (e *Emulator) Wipe(ctx context.Context, project string) error {
	return Wipe(ctx, e.host, project)
}

// Wipe is Emulator.Wipe for an emulator that somebody else has started.
func Wipe(ctx context.Context, host, project string) error {
	e := &Emulator{host: host}
	path := "/emulator/v1/projects/" + url.PathEscape(project) +
		"/databases/(default)/documents"
	return e.request(ctx, http.MethodDelete, path, nil)
}

// request makes one HTTP request and expects a 200. It keeps no connection, so
// that no goroutine outlives it.
func (e *Emulator) request(ctx context.Context, method, path string, content []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+e.host+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLogBytes))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return nil
}

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
