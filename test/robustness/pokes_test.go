package robustness_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

// pokedWithin is how soon a poke comes once all is well: a watch that was broken again and
// again may pause for half a minute, and after a minute the hub looks by itself.
const pokedWithin = 55 * time.Second

// stream is a poke stream of a server, and what it has told.
type stream struct {
	server  *server
	version atomic.Int64  // the latest
	bye     atomic.Bool   // the client was told to come back
	done    chan struct{} // closed when the stream has ended
}

// subscribe opens a stream; nil, and an error of the test, if that fails.
func subscribe(t *testing.T, s *server, space protocol.SpaceID) *stream {
	t.Helper()
	url := "http://" + s.address + "/api/replicache/poke?space=" + string(space)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Error(err)
		return nil
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Errorf("opening a poke stream: %v", err)
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		t.Errorf("opening a poke stream: %s", resp.Status)
		return nil
	}
	p := &stream{server: s, done: make(chan struct{})}
	go p.read(resp.Body)
	t.Cleanup(func() { <-p.done }) // the test's context has ended
	return p
}

func (p *stream) read(body io.ReadCloser) {
	defer close(p.done)
	defer body.Close()
	for lines := bufio.NewScanner(body); lines.Scan(); {
		var version int64
		if n, _ := fmt.Sscanf(lines.Text(), `data: {"version": %d}`, &version); n == 1 {
			p.version.Store(version)
		}
		if lines.Text() == "event: bye" {
			p.bye.Store(true)
		}
	}
}

// subscribeAll opens a stream of each space at each server.
func subscribeAll(t *testing.T, servers []*server) (streams [spaces][]*stream) {
	t.Helper()
	for i := range streams {
		for _, s := range servers {
			if p := subscribe(t, s, spaceName(i)); p != nil {
				streams[i] = append(streams[i], p)
			}
		}
	}
	return streams
}

// checkPokes: of a commit of any server all streams of the space hear, with nobody else
// writing whose pokes could stand for it.
func checkPokes(t *testing.T, servers []*server, streams [spaces][]*stream) {
	t.Helper()
	for i := range streams {
		by := servers[i%len(servers)]
		version := commit(t, by, spaceName(i))
		for _, p := range streams[i] {
			if !await(t.Context(), pokedWithin, func() bool { return p.version.Load() >= version }) {
				t.Errorf("I14 Poke: %s is at version %d by a commit of the server at %s; a stream of the one at %s has %d after %v",
					spaceName(i), version, by.address, p.server.address, p.version.Load(), pokedWithin)
				return // the others would take as long
			}
		}
	}
}

// commit makes a commit that changes no message, and returns its version.
func commit(t *testing.T, s *server, space protocol.SpaceID) int64 {
	t.Helper()
	c := replica.New("poker-"+protocol.ClientID(space), "poker-"+protocol.ClientGroupID(space))
	r, query := newRouter(s), "?space="+string(space)
	c.Mutate("deleteMessage", []byte(`{"id":"nobody"}`), time.Now())
	status, answer, err := r.post(t.Context(), "/api/replicache/push"+query, c.PushRequest())
	if err != nil || status != http.StatusOK {
		t.Errorf("push to %s is answered %d %s (%v)", space, status, answer, err)
	}
	pullOnce(t.Context(), t, r, c, query)
	cookie, err := protocol.ParseCookie(c.Cookie())
	if err != nil || cookie.Version == 0 || len(c.Pending()) > 0 {
		t.Errorf("after a push %s is at %s (%v), %d pending", space, c.Cookie(), err, len(c.Pending()))
	}
	return cookie.Version
}
