package web

import (
	"embed"
	"io/fs"
	"net/http"
)

// Dist is what Vite has made, or only a placeholder. "all:" is for the placeholder,
// whose name begins with a dot.
//
//go:embed all:chat/dist
var dist embed.FS

// Page returns a handler of the chat page, and false if the page was not built
// before the binary was. The handler answers GET and HEAD of the page itself, of
// its assets and of nothing else; it never answers under /api. It may be used by
// any number of goroutines.
func Page() (http.Handler, bool) {
	built, err := fs.Sub(dist, "chat/dist")
	if err != nil {
		return nil, false
	}
	return newPage(built)
}
