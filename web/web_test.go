package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/replifire/replifire/web"
)

const (
	html   = "<!doctype html><title>chat</title>"
	script = "/assets/index-B0.js"
)

func build() fstest.MapFS {
	return fstest.MapFS{
		".gitkeep":   {},
		"index.html": {Data: []byte(html)},
		script[1:]:   {Data: []byte(strings.Repeat("console.log('hello');\n", 100))},
		"icon.svg":   {Data: []byte("<svg/>")},
		"robots.txt": {Data: []byte("User-agent: *")},
	}
}

func get(t *testing.T, h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServe(t *testing.T) {
	t.Parallel()
	h, ok := web.NewPage(build())
	if !ok {
		t.Fatal("got no page, want one")
	}
	for _, c := range []struct {
		name   string
		path   string
		status int
		kind   string
		cache  string
	}{
		{"the page", "/", 200, "text/html; charset=utf-8", "no-cache"},
		{"a room", "/?space=garden", 200, "text/html; charset=utf-8", "no-cache"},
		{"the page by its name", "/index.html", 200, "text/html; charset=utf-8", "no-cache"},
		{
			"a hashed asset", script, 200, "text/javascript; charset=utf-8",
			"public, max-age=31536000, immutable",
		},
		{"an icon", "/icon.svg", 200, "image/svg+xml", "no-cache"},
		{"another asset", "/assets/index-B1.js", 404, "text/plain; charset=utf-8", ""},
		{"a folder", "/assets/", 404, "text/plain; charset=utf-8", ""},
		{"the placeholder", "/.gitkeep", 404, "text/plain; charset=utf-8", ""},
		{"a way out", "/assets/../../web.go", 404, "text/plain; charset=utf-8", ""},
		{"the API", "/api/replicache/pull", 404, "text/plain; charset=utf-8", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := get(t, h, http.MethodGet, c.path)
			if got.Code != c.status {
				t.Errorf("got status %d, want %d", got.Code, c.status)
			}
			if kind := got.Header().Get("Content-Type"); kind != c.kind {
				t.Errorf("got type %q, want %q", kind, c.kind)
			}
			if cache := got.Header().Get("Cache-Control"); cache != c.cache {
				t.Errorf("got Cache-Control %q, want %q", cache, c.cache)
			}
			if csp := got.Header().Get("Content-Security-Policy"); (csp != "") != (c.status == 200) {
				t.Errorf("got Content-Security-Policy %q with status %d", csp, c.status)
			}
		})
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	h, _ := web.NewPage(build())
	for _, c := range []struct {
		name, path, accept, want string
	}{
		{"accepted", script, "gzip, deflate, br", "gzip"},
		{"accepted in another place", script, "br;q=1, gzip;q=0.8", "gzip"},
		{"not accepted", script, "br", ""},
		{"refused", script, "gzip;q=0", ""},
		{"refused with blanks", script, "br, gzip; q=0", ""},
		{"nothing said", script, "", ""},
		{"too short to gain", "/icon.svg", "gzip", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := get(t, h, http.MethodGet, c.path, "Accept-Encoding", c.accept)
			if coding := got.Header().Get("Content-Encoding"); coding != c.want {
				t.Errorf("got coding %q, want %q", coding, c.want)
			}
			if vary := got.Header().Get("Vary"); vary != "Accept-Encoding" {
				t.Errorf("got Vary %q, want Accept-Encoding", vary)
			}
		})
	}
}

func TestRevalidation(t *testing.T) {
	t.Parallel()
	h, _ := web.NewPage(build())
	etag := get(t, h, http.MethodGet, "/").Header().Get("ETag")
	got := get(t, h, http.MethodGet, "/", "If-None-Match", etag)
	if etag == "" || got.Code != http.StatusNotModified {
		t.Errorf("got ETag %q and status %d, want one and 304", etag, got.Code)
	}
	zipped := get(t, h, http.MethodGet, script, "Accept-Encoding", "gzip").Header().Get("ETag")
	if plain := get(t, h, http.MethodGet, script).Header().Get("ETag"); plain == zipped {
		t.Errorf("got ETag %q for the plain file and for the compressed one", plain)
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	h, _ := web.NewPage(build())
	got := get(t, h, http.MethodHead, "/")
	length, err := strconv.Atoi(got.Header().Get("Content-Length"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil || len(body) != 0 || length != len(html) {
		t.Errorf("got %d bytes, length %d, error %v", len(body), length, err)
	}
}

func TestNotBuilt(t *testing.T) {
	t.Parallel()
	if _, ok := web.NewPage(fstest.MapFS{".gitkeep": {}}); ok {
		t.Error("got a page of a placeholder, want none")
	}
}

var address = regexp.MustCompile(`(?:src|href)="([^"]+)"`)

// TestPage looks at the page that this binary was built with, if it was built:
// everything its HTML names must be there.
func TestPage(t *testing.T) {
	t.Parallel()
	h, ok := web.Page()
	if !ok {
		t.Skip("the page is not built: make page")
	}
	body, err := io.ReadAll(get(t, h, http.MethodGet, "/").Body)
	if err != nil {
		t.Fatal(err)
	}
	names := address.FindAllStringSubmatch(string(body), -1)
	if len(names) < 2 {
		t.Errorf("got %d addresses in the page, want those of its script and its style:\n%s", len(names), body)
	}
	for _, name := range names {
		if got := get(t, h, http.MethodGet, name[1]); got.Code != http.StatusOK {
			t.Errorf("%s: got status %d, want 200", name[1], got.Code)
		}
	}
	if strings.Contains(string(body), "<script>") || strings.Contains(string(body), "style=") {
		t.Errorf("the page has inline code, which its policy forbids:\n%s", body)
	}
}
