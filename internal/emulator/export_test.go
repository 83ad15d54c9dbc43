package emulator_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/replifire/replifire/internal/emulator"
)

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	first := start(t, emulator.Options{})
	if status := post(t, documents(first, "p"), `{"fields":{"a":{"stringValue":"b"}}}`); status != http.StatusOK {
		t.Fatalf("the document is answered with %d", status)
	}
	metadata, err := emulator.Export(t.Context(), first.Host(), "p", filepath.Join(t.TempDir(), "export"))
	if err != nil {
		t.Fatal(err)
	}
	second := start(t, emulator.Options{Import: metadata})
	if status := request(t, http.MethodGet, documents(second, "p")+"/d"); status != http.StatusOK {
		t.Errorf("the document is answered with %d", status)
	}
	if _, err := emulator.Export(t.Context(), first.Host(), "p", "/dev/null/x"); err == nil {
		t.Error("an export into no folder does not fail")
	}
}

func post(t *testing.T, url, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"?documentId=d", strings.NewReader(body))
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
