package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

const (
	// index is the page itself. Its address names the room in the query.
	index = "index.html"
	// assets is the folder of the files whose names hold a hash of their content.
	assets = "assets/"
)

// policy is the page's Content-Security-Policy: its own scripts and styles, and
// requests to its own server. It shows no pictures but its icon, and is shown in
// no frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// kinds are the media types of what Vite makes of the page. Package mime would ask
// the machine's own tables.
var kinds = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is a file of the page, ready to be sent.
type file struct {
	name  string
	plain []byte
	// zipped is nil if it would not be much smaller.
	zipped []byte
	etag   string
}

// page serves the files of a build.
type page struct {
	files map[string]*file
}

// newPage reads the files of a build; false if there is no index among them.
func newPage(built fs.FS) (http.Handler, bool) {
	p := &page{files: map[string]*file{}}
	err := fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		f, err := readFile(built, name)
		p.files[name] = f
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	return p, p.files[index] != nil
}

// ServeHTTP answers a request for a file of the page.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = index
	}
	f := p.files[name]
	if f == nil {
		http.NotFound(w, r)
		return
	}
	f.serve(w, r)
}

// serve sends the file. http.ServeContent takes care of HEAD, of ranges and of
// If-None-Match.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if kind, ok := kinds[path.Ext(f.name)]; ok {
		h.Set("Content-Type", kind)
	}
	h.Set("Cache-Control", f.cacheControl())
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Vary", "Accept-Encoding")
	content, etag := f.plain, f.etag
	if f.zipped != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		content, etag = f.zipped, f.etag+"-gzip"
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(content))
}

// cacheControl: what has its hash in its name never changes; the page itself
// names the newest of those.
func (f *file) cacheControl() string {
	if strings.HasPrefix(f.name, assets) {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

// acceptsGzip reports whether the client names gzip without refusing it. Every
// browser does; who says it in another way gets the plain file.
func acceptsGzip(r *http.Request) bool {
	for _, value := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(value, ",") {
			coding, params, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";")
			if coding == "gzip" {
				quality, given := strings.CutPrefix(params, "q=")
				return !given || strings.Trim(quality, "0.") != ""
			}
		}
	}
	return false
}

// readFile reads a file and prepares what is sent of it.
func readFile(built fs.FS, name string) (*file, error) {
	content, err := fs.ReadFile(built, name)
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	zipped, err := zip(content)
	if err != nil {
		return nil, fmt.Errorf("page: compressing %s: %w", name, err)
	}
	if len(zipped) > len(content)*9/10 {
		zipped = nil
	}
	sum := sha256.Sum256(content)
	return &file{name: name, plain: content, zipped: zipped, etag: hex.EncodeToString(sum[:8])}, nil
}

func zip(content []byte) ([]byte, error) {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(content); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
