package abuse_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// narrow is how many calls the front end takes on a connection in TestAbuseOfPulls. Google's
// takes 100 and the service has several connections to it; to an emulator it has one of each
// kind.
const narrow = 30

// What is pulled.
const (
	largeSpace   = "large"   // few large entries
	textSpace    = "text"    // entries that are hardly compressible
	clientsSpace = "clients" // a group of many clients, each with many rejections
	visited      = "visited" // by others
)

// pullAttacks are those of TestAbuseOfPulls.
func pullAttacks() []attack {
	const ok, often = http.StatusOK, http.StatusTooManyRequests
	return []attack{
		{name: "pulls that are not taken", run: slowPulls(largeSpace, "identity", 0), want: []int{ok, often}},
		// These take something, so a place may come free before one that waits is refused.
		{name: "compressed pulls, taken slowly", run: slowPulls(textSpace, "gzip", 6<<10), want: []int{ok}},
		{name: "pulls of a group of many clients", run: slowPulls(clientsSpace, "gzip", 0), want: []int{ok, often}},
	}
}

// TestAbuseOfPulls has many users, from several addresses, ask for large answers and take them
// slowly or not at all, while others push, pull and ask whether the service is ready. The
// service reaches the emulator through a front end that takes few streams on a connection.
func TestAbuseOfPulls(t *testing.T) { //nolint:paralleltest // TestAbuse would be measured too
	project, n := emulatortest.Project(t), sizes()
	prepare(t, project, n)
	front, err := faultrpc.Listen(t.Context(), emulatortest.Host(t), faultrpc.New(0), grpc.MaxConcurrentStreams(narrow))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	s := start(t, append(settings(), "GOOGLE_CLOUD_PROJECT="+project, "FIRESTORE_EMULATOR_HOST="+front.Addr())...)
	good(t, s, n.lasts, "warm-up")
	for i, attack := range pullAttacks() {
		if !regexp.MustCompile(*only).MatchString(attack.name) {
			continue
		}
		quiet, quietVisit := measured(t, s, n, "quiet")
		used, p99, visit := s.cpu(t), 0., 0.
		answers, cost := attack.from(t, s, byte(100+i), func() { p99, visit = measured(t, s, n, attack.name) })
		t.Logf("row: | %s | %s | %.0f | %.0f | %.1f | %.1f | %.1f | %d |", attack.name, answers,
			quiet, p99, p99/quiet, (s.cpu(t) - used).Seconds(), cost.Seconds(), s.memory(t, "VmRSS")>>20)
		t.Logf("visits: %.0f ms, quiet %.0f ms: %.1f", visit, quietVisit, visit/quietVisit)
	}
	if peak := s.memory(t, "VmHWM"); peak > mostMemory {
		t.Errorf("the process had %d MiB, want %d at the most", peak>>20, mostMemory>>20)
	} else {
		t.Logf("memory: %d MiB at the most", peak>>20)
	}
}

// prepare fills the spaces.
func prepare(t *testing.T, project string, n size) {
	t.Helper()
	store, err := firestore.Open(t.Context(), firestore.Config{ProjectID: project, EmulatorHost: emulatortest.Host(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	apply := func(space protocol.SpaceID, changes []storetest.Change) {
		t.Helper()
		if err := storetest.Apply(t.Context(), store, space, changes...); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same texts each time
	for i := 0; i < n.entries; i += 5 {
		var large, text []storetest.Change
		for j := i; j < i+5; j++ {
			raw := make([]byte, 60_000)
			for k := range raw {
				raw[k] = byte(random.IntN(256))
			}
			key := fmt.Sprintf("message/%03d", j)
			large = append(large, storetest.Put(key, `"`+strings.Repeat("x", 400_000)+`"`))
			text = append(text, storetest.Put(key, `"`+base64.StdEncoding.EncodeToString(raw)+`"`))
		}
		apply(largeSpace, large)
		apply(textSpace, text)
	}
	apply(visited, []storetest.Change{storetest.Put("message/m", `"hello"`)})
	apply(clientsSpace, []storetest.Change{storetest.Group("many", "many", clientsSpace)})
	for i := 0; i < n.clients; i += 500 {
		apply(clientsSpace, manyClients(i, 500))
	}
}

// manyClients are clients with as many rejections as are kept.
func manyClients(from, n int) []storetest.Change {
	refused := make([]engine.Rejection, engine.MaxRejections)
	for i := range refused {
		refused[i] = engine.Rejection{
			MutationID: int64(i + 1), Name: strings.Repeat("\x01", 100), Reason: "unknown mutator", Version: 1,
		}
	}
	var changes []storetest.Change
	for i := from; i < from+n; i++ {
		id := protocol.ClientID(fmt.Sprintf("client-%06d", i))
		changes = append(changes, storetest.Client(id, "many", engine.MaxRejections, refused...))
	}
	return changes
}

// measured is what others notice: the 99th percentile of the milliseconds until a mutation was
// confirmed, and that of a visit.
func measured(t *testing.T, s *service, n size, during string) (p99, visit float64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var visits []float64
	var visiting sync.WaitGroup
	visiting.Go(func() {
		for ctx.Err() == nil {
			visits = append(visits, visitOnce(t, s, during))
		}
	})
	p99 = good(t, s, n.lasts, during)
	cancel()
	visiting.Wait()
	slices.Sort(visits)
	return p99, visits[int(math.Ceil(0.99*float64(len(visits))))-1]
}

// visitOnce is a first pull of somebody in a space of their own, and a look whether the
// service is ready. Both must be answered 200.
func visitOnce(t *testing.T, s *service, during string) (milliseconds float64) {
	t.Helper()
	began := time.Now()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/api/replicache/pull?space=" + visited, "/ready"} {
		method, body := http.MethodGet, ""
		if path != "/ready" {
			method, body = http.MethodPost, pullOf("visitor")
		}
		req, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", bearer("visitor"))
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %s: %v", during, path, err)
			return 0
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || err != nil {
			t.Errorf("%s: %s: %d %.300s, %v, want 200", during, path, resp.StatusCode, text, err)
		}
	}
	return float64(time.Since(began).Microseconds()) / 1000
}

func pullOf(group string) string {
	return fmt.Sprintf(`{"pullVersion":1,"clientGroupID":%q,"profileID":"p","schemaVersion":"","cookie":null}`, group)
}

const (
	// pullsLast is longer than a pull waits for a place.
	pullsLast = 8 * time.Second
	// pullHeld is how long an answer is not taken before it is given up for a new one.
	pullHeld = 3 * time.Second
)

// pullsOfAddress is more than an address may have under way, of some users.
const pullsOfAddress = 24

// slowPulls asks for everything in a space, on many connections from several addresses and as
// many users, and takes so many bytes a second of the answers, 0: none. Each answer is given
// up after a while, and asked for anew.
func slowPulls(space, encoding string, perSecond int64) func(context.Context, *attacker) {
	return func(ctx context.Context, a *attacker) {
		began := time.Now()
		var all sync.WaitGroup
		for address := range a.size.addresses {
			from := net.IPv4(127, 0, 2+byte(address), byte(*attackAddress))
			for i := range pullsOfAddress {
				user := fmt.Sprint("slow", address, "-", i/4)
				if space == clientsSpace {
					user = "many" // whose group that is
				}
				request := fmt.Sprintf("POST /api/replicache/pull?space=%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n"+
					"Content-Type: application/json\r\nAccept-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s",
					space, bearer(user), encoding, len(pullOf(user)), pullOf(user))
				all.Go(func() {
					for ctx.Err() == nil || time.Since(began) < pullsLast {
						a.slowPull(ctx, from, request, perSecond)
					}
				})
			}
		}
		all.Wait()
	}
}

// slowPull is one of them.
func (a *attacker) slowPull(ctx context.Context, from net.IP, request string, perSecond int64) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := dialer.DialContext(context.WithoutCancel(ctx), "tcp", a.target)
	if err != nil {
		a.t.Errorf("connecting: %v", err)
		return
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		a.count(0)
		return
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	if err != nil {
		a.count(0)
		return
	}
	defer resp.Body.Close()
	a.judge(resp)
	for began := time.Now(); resp.StatusCode == http.StatusOK && time.Since(began) < pullHeld; time.Sleep(time.Second) {
		if _, err := io.CopyN(io.Discard, resp.Body, perSecond); err != nil {
			return // it is over
		}
	}
}
