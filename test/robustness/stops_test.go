package robustness_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faulttcp"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

var stopsFlag = flag.Int("robustness.stops", 3, "how many graceful stops TestGracefulStops makes")

// pushers is how many clients push all the time.
const pushers = 24

// router sends requests to one server at a time, each over a connection of its own, as
// Cloud Run's front end does: before an instance is told to stop, no new request goes to it.
type router struct {
	mu     sync.RWMutex // held for reading while a connection is made and the request is sent
	target *server
	// flying is how many requests each server has.
	flying map[*server]*atomic.Int64
}

func newRouter(servers ...*server) *router {
	r := &router{target: servers[0], flying: map[*server]*atomic.Int64{}}
	for _, s := range servers {
		r.flying[s] = &atomic.Int64{}
	}
	return r
}

// post sends a request to the target of the moment.
func (r *router) post(ctx context.Context, path string, body []byte) (int, []byte, error) {
	r.mu.RLock()
	sent := sync.OnceFunc(r.mu.RUnlock)
	defer sent()
	s := r.target
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	flying := r.flying[s]
	flying.Add(1)
	defer flying.Add(-1)
	if err != nil {
		return 0, nil, err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent() }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace),
		http.MethodPost, "http://"+s.address+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// route sends what is new to another server, and returns how many requests the old one
// still has.
func (r *router) route(to *server) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.target
	r.target = to
	return r.flying[old].Load()
}

// TestGracefulStops: a server that is told to stop answers every push that it has, with
// success, tells those who listen to come back, and ends with code 0.
func TestGracefulStops(t *testing.T) { //nolint:paralleltest // it takes all that the machine has
	host, project := emulatortest.Host(t), emulatortest.Project(t)
	bins := []string{build(t, "one")}
	var env []string
	if *forFlag == 0 {
		env = []string{drainSlowly}
	}
	servers := []*server{newServer(t, bins, project, host, env...), newServer(t, bins, project, host, env...)}
	for _, s := range servers { // so that there are pushes under way at any time
		s.back.SetTrouble(faulttcp.Trouble{Latency: 50 * time.Millisecond})
	}
	r := newRouter(servers...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var pushes atomic.Int64
	for n := range pushers {
		wg.Go(func() { keepPushing(ctx, t, r, n, &pushes) })
	}
	stops, caught, slowest := 0, int64(0), time.Duration(0)
	began := time.Now()
	for ; stops < *stopsFlag && !t.Failed(); stops++ {
		if stops > 0 && *forFlag > 0 && time.Since(began) > *forFlag {
			break
		}
		old, next := servers[stops%2], servers[(stops+1)%2]
		listener := subscribe(t, old, spaceName(0))
		for before := pushes.Load(); pushes.Load() < before+pushers && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		r.route(next)
		caught += r.flying[old].Load()
		slowest = max(slowest, old.stop(true))
		checkBye(t, listener)
		old.start()
	}
	cancel()
	wg.Wait()
	if caught == 0 {
		t.Error("no stop met a push under way")
	}
	store := open(t, project, host)
	for i := range 4 {
		storetest.MustFsck(t, store, spaceName(i))
	}
	result := fmt.Sprintf("%s pushes, %d of them under way at a SIGTERM; 0 failed, exit code 0 within %s",
		thousands(int(pushes.Load())), caught, slowest.Round(100*time.Millisecond))
	if t.Failed() {
		result = "FAILED"
	}
	row(t, "graceful stops under load", fmt.Sprintf("%d stops, %d clients", stops, pushers),
		strings.Join(append([]string{"go test ./test/robustness -run TestGracefulStops"}, given()...), " "), 0, result)
}

// checkBye: a stream was poked until its server stopped, and ended in good order.
func checkBye(t *testing.T, p *stream) {
	t.Helper()
	if p == nil {
		return // it was an error already
	}
	<-p.done // the process has ended
	if !p.bye.Load() || p.version.Load() == 0 {
		t.Errorf("a stream ended at version %d; told to come back: %t", p.version.Load(), p.bye.Load())
	}
}

// keepPushing pushes one mutation after another until ctx ends, and pulls now and then.
// Whatever is not success is a failure of the test.
func keepPushing(ctx context.Context, t *testing.T, r *router, n int, pushes *atomic.Int64) {
	t.Helper()
	c := replica.New(protocol.ClientID(fmt.Sprintf("stop-c%d", n)), protocol.ClientGroupID(fmt.Sprintf("stop-g%d", n)))
	query := "?space=" + string(spaceName(n%4))
	alive := context.WithoutCancel(ctx) // the last push is answered too
	for id := int64(1); ctx.Err() == nil && !t.Failed(); id++ {
		args := fmt.Sprintf(`{"id":"stop-c%d-%d","from":"x","content":"","order":%d}`, n, id, id)
		c.Mutate("createMessage", []byte(args), time.Now())
		status, answer, err := r.post(alive, "/api/replicache/push"+query, c.PushRequest())
		if err != nil || status != http.StatusOK {
			t.Errorf("push %d of client %d is answered %d %s (%v)", id, n, status, answer, err)
			return
		}
		pushes.Add(1)
		if id%10 == 0 {
			pullOnce(alive, t, r, c, query)
		}
	}
	pullOnce(alive, t, r, c, query)
	if len(c.Pending()) > 0 {
		t.Errorf("client %d: %d pushes were answered and are not there", n, len(c.Pending()))
	}
}

func pullOnce(ctx context.Context, t *testing.T, r *router, c *replica.Client, query string) {
	t.Helper()
	asked := c.Cookie()
	status, answer, err := r.post(ctx, "/api/replicache/pull"+query, c.PullRequest())
	if err != nil || status != http.StatusOK {
		t.Errorf("pull of %s is answered %d %s (%v)", c.ID(), status, answer, err)
		return
	}
	if _, err := c.Apply(asked, answer); err != nil {
		t.Errorf("client %s: %v", c.ID(), err)
	}
}
