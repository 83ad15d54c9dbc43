package load

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

// run is one run. What is not said to be guarded does not change once it began.
type run struct {
	config    Config
	name      string
	start     time.Time
	meter     *meter
	hashes    *hashes
	transport *http.Transport
	spaces    []*space
	clients   []*client // and, after config.Clients of them, pullers
	streams   []*stream
	// settles is closed when nothing new is offered any more.
	settles chan struct{}
	// offers are the clients that may still issue a mutation: one that was due just before
	// the end is issued after it.
	offers sync.WaitGroup

	problems problems
}

// space is one space and who uses it.
type space struct {
	id      protocol.SpaceID
	run     *run
	clients []*client
	streams []*stream

	mu sync.Mutex // guards what follows
	// expected are hashes of the keys that must be there in the end.
	expected []uint64
}

// maxExpected bounds the keys that are remembered for a space; the first ones are.
const maxExpected = 1 << 20

// Run does what config says and reports. It returns an error if config makes no
// sense or an instance cannot be reached at all, or with a report of what was done so far if ctx ended the run early; a
// server that misbehaves is no error but a Verdict. Everything that Run starts has
// ended when it returns.
func Run(ctx context.Context, config Config) (Report, error) {
	name := newID()
	config = config.withDefaults(name)
	if err := config.valid(); err != nil {
		return Report{}, fmt.Errorf("load: %w", err)
	}
	if err := reach(ctx, &config); err != nil {
		return Report{}, fmt.Errorf("load: %w", err)
	}
	r := newRun(config, name)
	defer r.transport.CloseIdleConnections()
	return r.do(ctx)
}

func newRun(config Config, name string) *run {
	now := time.Now()
	from := now.Add(config.Ramp)
	r := &run{
		config: config, name: name, start: now, hashes: newHashes(), settles: make(chan struct{}),
		meter: newMeter(window{from, from.Add(config.Duration)}, config.Live != nil),
	}
	total := config.Clients + config.Pullers
	r.transport = newTransport(r.meter, total, &r.config)
	for n := range config.Spaces {
		r.spaces = append(r.spaces, &space{id: config.spaceName(n), run: r})
	}
	for n := range total {
		r.addClient(n)
	}
	r.addStreams()
	return r
}

// addClient makes client n, of its group and that one's space.
func (r *run) addClient(n int) {
	group := n % r.config.Groups
	s := r.spaces[group%len(r.spaces)]
	id := Identity{
		Space:  s.id,
		Group:  protocol.ClientGroupID(fmt.Sprintf("%s-g%d", r.name, group)),
		Client: protocol.ClientID(fmt.Sprintf("%s-c%d", r.name, n)),
	}
	c := &client{
		service: service{r, r.config.URLs[n%len(r.config.URLs)], id},
		space:   s,
		random:  newRandom(r.config.Seed, n),
		toPush:  make(chan struct{}, 1), toPull: make(chan struct{}, 1), room: make(chan struct{}, 1),
		state:  replica.New(id.Client, id.Group),
		ledger: ledger{meter: r.meter},
	}
	s.clients = append(s.clients, c)
	r.clients = append(r.clients, c)
}

// addStreams gives each client, or the first one of each group, a stream, and each
// client the next stream of its space as its observer.
func (r *run) addStreams() {
	count := len(r.clients)
	if r.config.Streams == PerGroup {
		count = r.config.Groups
	}
	for n := range count {
		r.addStream(n, count)
	}
	for _, s := range r.spaces {
		for i, c := range s.clients {
			if own, n := i%len(s.streams), len(s.streams); n > 1 {
				c.other = &s.streams[(own+1)%n].observer
			}
		}
	}
}

// addStream makes stream n, which is for every count-th client from n on.
func (r *run) addStream(n, count int) {
	first := r.clients[n]
	var listeners []*client
	for i := n; i < len(r.clients); i += count {
		listeners = append(listeners, r.clients[i])
	}
	s := &stream{service: &first.service, observer: observer{meter: r.meter}}
	s.wake = func() {
		for _, c := range listeners {
			signal(c.toPull)
		}
	}
	first.space.streams = append(first.space.streams, s)
	r.streams = append(r.streams, s)
}

// do runs it.
func (r *run) do(ctx context.Context) (Report, error) {
	work, stop := context.WithCancel(ctx)
	defer stop()
	offering, stopOffering := context.WithCancel(work)
	defer stopOffering()
	var wg sync.WaitGroup
	r.offers.Add(r.config.Clients)
	for n := range r.clients {
		wg.Go(func() { r.runClient(work, offering, n) })
	}
	stopLive := r.startLive(work)
	measured := r.measure(work)
	r.enough(work)
	stopOffering()
	r.offers.Wait()
	close(r.settles)
	r.drain(work)
	stop()
	wg.Wait()
	if n := r.meter.pending(); n > 0 && ctx.Err() == nil {
		r.problem("%d of %d mutations were never confirmed", n, r.meter.issued.Load())
	}
	stopLive()
	for _, s := range r.streams {
		s.observer.close()
	}
	if err := ctx.Err(); err != nil {
		r.problem("the run was cut short")
		return r.report(measured, nil), err
	}
	return r.report(measured, r.compare(ctx)), nil
}

// runClient starts client n when it is its turn, and ends with work.
func (r *run) runClient(work, offering context.Context, n int) {
	c := r.clients[n]
	wait(work, time.Until(r.start.Add(r.config.Ramp*time.Duration(n)/time.Duration(len(r.clients)))), nil)
	signal(c.toPull)
	var wg sync.WaitGroup
	defer wg.Wait()
	if n < len(r.streams) {
		wg.Go(func() { r.streams[n].listen(work) })
	}
	if n < r.config.Clients {
		wg.Go(func() { c.loop(work, c.toPush, c.push) })
		wg.Go(func() {
			defer r.offers.Done()
			c.offer(offering, n)
		})
	}
	c.loop(work, c.toPull, c.pull)
}

// settling returns a channel that is closed when the run settles, and whether it does.
func (r *run) settling() (<-chan struct{}, bool) {
	select {
	case <-r.settles:
		return r.settles, true
	default:
		return r.settles, false
	}
}

// measured is what is known only at the ends of the window.
type measured struct {
	seconds        float64
	received, sent int64
}

// enough returns when the clients have done enough, or with ctx.
func (r *run) enough(ctx context.Context) {
	if r.config.Enough == nil {
		return
	}
	select {
	case <-r.config.Enough:
	case <-ctx.Done():
	}
}

// measure returns at the end of the window, or with ctx.
func (r *run) measure(ctx context.Context) measured {
	wait(ctx, time.Until(r.meter.window.from), nil)
	received, sent := r.meter.received.Load(), r.meter.sent.Load()
	wait(ctx, time.Until(r.meter.window.to), nil)
	return measured{
		seconds:  max(min(time.Since(r.meter.window.from), r.config.Duration), 0).Seconds(),
		received: r.meter.received.Load() - received,
		sent:     r.meter.sent.Load() - sent,
	}
}

// expect remembers keys that a confirmed mutation must have left.
func (s *space) expect(keys []string) {
	if s.run.config.View == None {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if len(s.expected) < maxExpected {
			s.expected = append(s.expected, sum64([]byte(k)))
		}
	}
}

// newID is an id that no other run has, of 13 characters.
func newID() string { return rand.Text()[:13] }

// newUUID is a random UUID, of version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
