package emulator_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/replifire/replifire/internal/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o emulator.Options) *emulator.Emulator {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	e, err := emulator.Start(ctx, o)
	if errors.Is(err, emulator.ErrNotFound) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func request(t *testing.T, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func documents(e *emulator.Emulator, project string) string {
	return "http://" + e.Host() + "/v1/projects/" + project +
		"/databases/(default)/documents/c"
}

func TestLife(t *testing.T) {
	t.Parallel()
	e := start(t, emulator.Options{HeapMiB: 256})

	if got := request(t, http.MethodPost, documents(e, "a")+"?documentId=x"); got != http.StatusOK {
		t.Fatalf("creating a document: status %d, want 200", got)
	}
	if got := request(t, http.MethodGet, documents(e, "a")+"/x"); got != http.StatusOK {
		t.Fatalf("reading it: status %d, want 200", got)
	}
	if err := e.Wipe(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if got := request(t, http.MethodGet, documents(e, "a")+"/x"); got != http.StatusOK {
		t.Fatalf("reading it after another project's wipe: status %d, want 200", got)
	}
	if err := e.Wipe(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := request(t, http.MethodGet, documents(e, "a")+"/x"); got != http.StatusNotFound {
		t.Fatalf("reading it after the wipe: status %d, want 404", got)
	}

	for range 2 {
		if err := e.Stop(); err != nil {
			t.Fatalf("Stop = %v", err)
		}
	}
	if conn, err := dial(t, e.Host()); err == nil {
		conn.Close()
		t.Error("the port is still served after Stop")
	}
}

func dial(t *testing.T, host string) (net.Conn, error) {
	t.Helper()
	var d net.Dialer
	return d.DialContext(t.Context(), "tcp", host)
}

func TestRules(t *testing.T) {
	t.Parallel()
	rules := filepath.Join(t.TempDir(), "firestore.rules")
	const text = `rules_version = '2';
service cloud.firestore {
  match /databases/{database}/documents {
    match /c/{id} { allow read: if true; allow write: if false; }
  }
}`
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, emulator.Options{Rules: rules, HeapMiB: 256})
	if got := request(t, http.MethodGet, documents(e, "a")+"/x"); got != http.StatusNotFound {
		t.Errorf("a read that is allowed: status %d, want 404", got)
	}
	if got := request(t, http.MethodPost, documents(e, "a")); got != http.StatusForbidden {
		t.Errorf("a write that is not: status %d, want 403", got)
	}
}

func TestStartReportsWhatWasPrinted(t *testing.T) {
	t.Parallel()
	if _, err := emulator.Find(); err != nil {
		t.Skip(err)
	}
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	_, err = emulator.Start(t.Context(), emulator.Options{Port: taken, HeapMiB: 256})
	if err == nil || !strings.Contains(err.Error(), "Address already in use") {
		t.Errorf("Start on a port that is taken = %v, want the emulator's own words", err)
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	if _, err := emulator.Find(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := emulator.Start(ctx, emulator.Options{Port: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v, want context.Canceled", err)
	}
}

func TestFindExplains(t *testing.T) {
	root := t.TempDir()
	jar := filepath.Join(root, "platform", "cloud-firestore-emulator",
		"cloud-firestore-emulator.jar")
	if err := os.MkdirAll(filepath.Dir(jar), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(jar, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	java := filepath.Join(root, "bin", "java")
	if err := os.MkdirAll(filepath.Dir(java), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(java, nil, 0o700); err != nil {
		t.Fatal(err)
	}

	t.Setenv("CLOUDSDK_ROOT_DIR", root)
	t.Setenv("JAVA_HOME", root)
	got, err := emulator.Find()
	if want := (emulator.Command{Java: java, Jar: jar}); err != nil || got != want {
		t.Errorf("Find = %+v, %v, want %+v", got, err, want)
	}

	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", root)
	if _, err := emulator.Find(); !errors.Is(err, emulator.ErrNotFound) ||
		!strings.Contains(err.Error(), "Java") {
		t.Errorf("Find without java = %v, want ErrNotFound that names Java", err)
	}
}
