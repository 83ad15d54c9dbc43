package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

func openStore(t *testing.T, c firestore.Config) *firestore.Store {
	t.Helper()
	store, err := firestore.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestOpenEmulator(t *testing.T) {
	t.Parallel()
	config := firestore.Config{
		ProjectID: emulatortest.Project(t), EmulatorHost: emulatortest.Host(t),
	}
	store := openStore(t, config)
	if err := store.Ping(t.Context()); err != nil {
		t.Fatalf("Ping = %v", err)
	}
	if _, err := store.Commit(t.Context(), space, after(engine.Head{})); err != nil {
		t.Fatal(err)
	}
	for database, want := range map[string]int64{"": 1, "(default)": 1, "other": 0} {
		config.DatabaseID = database
		snap, err := openStore(t, config).Snapshot(t.Context(), space, engine.Documents{Head: true})
		if err != nil || snap.Head().Version != want {
			t.Errorf("database %q: version %v, %v, want %d", database, snap, err, want)
		}
	}
}

// environmentVariable makes this test binary the subject of
// TestOpenWithEnvironment: the SDK leaks its own connection.
const environmentVariable = "REPLIFIRE_TEST_OPEN"

// TestOpenWithEnvironment opens an emulator while the environment names another,
// where nothing listens.
func TestOpenWithEnvironment(t *testing.T) {
	if host := os.Getenv(environmentVariable); host != "" {
		openWithEnvironment(t, host)
		return
	}
	t.Parallel()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	self := exec.CommandContext(t.Context(), os.Args[0],
		"-test.run=^TestOpenWithEnvironment$", "-test.v")
	self.Env = append(os.Environ(), environmentVariable+"="+emulatortest.Host(t),
		firestore.EmulatorVariable+"="+nobody)
	out, err := self.CombinedOutput()
	// Its TestMain complains of the SDK's goroutines, and rightly so.
	if text := string(out); !strings.Contains(text, "--- PASS: TestOpenWithEnvironment") {
		t.Errorf("%v: %s", err, text)
	}
}

func openWithEnvironment(t *testing.T, host string) {
	t.Helper()
	store := openStore(t, firestore.Config{ProjectID: emulatortest.Project(t), EmulatorHost: host})
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("with EmulatorHost: Ping = %v", err)
	}
	_, err := firestore.Open(t.Context(), firestore.Config{ProjectID: "production"})
	if err == nil || !strings.Contains(err.Error(), firestore.EmulatorVariable) {
		t.Errorf("without EmulatorHost: Open = %v, want a refusal to guess", err)
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Ping": func() error { return f.Ping(ctx) },
		"Snapshot": func() error {
			_, err := f.Snapshot(ctx, space, engine.Documents{})
			return err
		},
		"Commit": func() error {
			_, err := f.Commit(ctx, space, after(engine.Head{}))
			return err
		},
		"Purge": func() error {
			_, err := f.Purge(ctx, space)
			return err
		},
	} {
		if err := call(); !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s = %v, want ErrUnavailable for the context's reason", name, err)
		}
	}
}

func ExampleOpen() {
	store, err := firestore.Open(context.Background(), firestore.Config{
		ProjectID:    "demo-replifire",
		EmulatorHost: "127.0.0.1:8085",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Close())
	// Output: <nil>
}
