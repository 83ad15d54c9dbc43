// Package web holds the chat page of the built-in application, as it was built
// from web/chat by Vite. The page is embedded into the binary by go:embed, so that
// the program needs no other file to serve it. What Vite makes is never committed:
// a binary that was built without Node has no page, Page says so, and the API
// works all the same. The TypeScript of the client helper and of the page lies in
// the folders below; no Go code depends on it.
package web
