package server

import (
	"net"
	"net/http"
	"sync"
)

// unused are the connections on which no request has begun. Browsers open them
// ahead, and http.Server.Shutdown waits for each until it is 5 s old, which is
// most of the time there is. All methods are safe for concurrent use.
type unused struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// track is an http.Server's ConnState.
func (u *unused) track(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state == http.StateNew {
		u.conns[c] = true
		return
	}
	delete(u.conns, c)
}

// close ends them. A client that was about to use one opens another, as it does
// when a server closes an idle connection.
func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		_ = c.Close() // it is not needed, whatever is wrong with it
	}
}
