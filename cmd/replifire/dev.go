package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/internal/emulator"
	"github.com/replifire/replifire/server"
)

const (
	// devProject is the project in the emulator unless the environment names one.
	devProject = "replifire-dev"
	// emulatorPatience is many times what an emulator takes to start.
	emulatorPatience = 3 * time.Minute
	dialPatience     = 2 * time.Second
)

// devCommand runs the service on a laptop. It never uses Google's Firestore.
type devCommand struct {
	Host   string `env:"REPLIFIRE_HOST" default:"localhost" help:"Address to listen on."`
	Port   int    `env:"PORT" default:"8080" help:"Port to listen on; 0: any free one."`
	Memory bool   `help:"Keep everything in memory, even if there is an emulator."`
}

// Help is shown above the flags.
func (devCommand) Help() string {
	return `Starts the Firestore emulator if it is installed, and stops it at the end;
uses the one of FIRESTORE_EMULATOR_HOST if that is set; otherwise keeps
everything in memory. The data is gone afterwards, except in an emulator that was
there before. Any web page may call, and /api/init empties a space. The
environment variables of serve count here too.`
}

// devStore is where a development server keeps its data.
type devStore struct {
	emulator string // host:port; "" is in memory
	stays    bool   // the emulator was there before
	stop     func() error
}

func (s devStore) kind() string {
	if s.emulator == "" {
		return server.StoreMemory
	}
	return server.StoreFirestore
}

// Run serves until a signal, and stops what it started.
func (c *devCommand) Run(p *program) (err error) {
	settings, err := c.settings(p)
	if err != nil {
		return err // before anything is started
	}
	store, err := c.open(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.stop()) }()
	settings.Store, settings.EmulatorHost = store.kind(), store.emulator
	s, err := server.New(p.ctx, settings, chat.Mutators(),
		server.WithLogger(settings.Logger(p.stderr)),
		server.OnReady(func(a net.Addr) { c.welcome(p, store, settings, a) }))
	if err != nil {
		return err
	}
	return s.Run(p.ctx)
}

// open finds or starts the emulator.
func (c *devCommand) open(p *program) (devStore, error) {
	nothing := func() error { return nil }
	if c.Memory || p.getenv("REPLIFIRE_STORE") == server.StoreMemory {
		return devStore{stop: nothing}, nil
	}
	if host := p.getenv("FIRESTORE_EMULATOR_HOST"); host != "" {
		return devStore{emulator: host, stays: true, stop: nothing}, checkDial(p.ctx, host)
	}
	ctx, cancel := context.WithTimeout(p.ctx, emulatorPatience)
	defer cancel()
	fmt.Fprintln(p.stderr, "Starting the Firestore emulator ...")
	e, err := emulator.Start(ctx, emulator.Options{})
	if errors.Is(err, emulator.ErrNotFound) {
		fmt.Fprintf(p.stderr, "Keeping everything in memory: %v.\n", err)
		return devStore{stop: nothing}, nil
	}
	if err != nil {
		return devStore{}, fmt.Errorf("%w (replifire dev --memory does without it)", err)
	}
	return devStore{emulator: e.Host(), stop: e.Stop}, nil
}

// checkDial finds out at once what would otherwise be a 503 for every request, or a
// long silence.
func checkDial(ctx context.Context, host string) error {
	d := net.Dialer{Timeout: dialPatience}
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return noEmulator(host, err)
	}
	return conn.Close()
}

func noEmulator(host string, err error) error {
	return fmt.Errorf("no Firestore emulator answers at %q, which FIRESTORE_EMULATOR_HOST or a flag says: %w", host, err)
}

// settings are those of the environment, but for what makes it a development
// server. Its store comes later.
func (c *devCommand) settings(p *program) (server.Settings, error) {
	args := []string{"--dev", "--host=" + c.Host, "--port=" + strconv.Itoa(c.Port)}
	if p.getenv("GOOGLE_CLOUD_PROJECT") == "" {
		args = append(args, "--project="+devProject)
	}
	return server.ParseSettings(args, p.getenv)
}

// welcome says where everything is, and what to try first.
func (c *devCommand) welcome(p *program, store devStore, s server.Settings, a net.Addr) {
	where, after := "in memory", "is gone then"
	if store.stays {
		after = "stays in the emulator"
	}
	if s.EmulatorHost != "" {
		where = fmt.Sprintf("on the Firestore emulator at %s, project %s", s.EmulatorHost, s.ProjectID)
	}
	_, port, _ := net.SplitHostPort(a.String()) // an address of a listener has a port
	address, page := "http://"+net.JoinHostPort(c.Host, port), ""
	if server.HasPage() {
		page = "\n  page   " + address
	}
	fmt.Fprintf(p.stdout, welcome, where, address, after, page)
}

const welcome = `
replifire is ready, with its data %[1]s.
%[4]s
  push   %[2]s/api/replicache/push
  pull   %[2]s/api/replicache/pull
  pokes  %[2]s/api/replicache/poke

Try it, with the chat sample's mutators:

curl %[2]s/api/replicache/push -H 'Content-Type: application/json' -d '{"pushVersion":1,
  "profileID":"p","clientGroupID":"g","schemaVersion":"","mutations":[{"clientID":"c","id":1,
  "name":"createMessage","args":{"id":"m1","from":"me","content":"hello","order":1},"timestamp":0}]}'

curl %[2]s/api/replicache/pull -H 'Content-Type: application/json' -d '{"pullVersion":1,
  "profileID":"p","clientGroupID":"g","schemaVersion":"","cookie":null}'

Ctrl-C stops it; the data %[3]s.

`
