package crash_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

var (
	outcomesFlag = flag.Int("crash.outcomes", 1000, "how many commits TestStorm applies and loses the replies of")
	seedFlag     = flag.Uint64("crash.seed", 1, "the seed of TestStorm")
	forFlag      = flag.Duration("crash.for", 0, "TestStorm: end after this time, however many it were; 0: never")
)

const (
	// stormSpaces are written to at the same time; production would have more.
	stormSpaces = 24
	// stormClients is how many clients each space has, half of them at each process.
	stormClients = 3
)

// stormRound is how many outcomes a round has at most: the emulator keeps old versions.
const stormRound = 10_000

// TestStorm: two processes, clients that mutate and resend, and of the commits every
// second one is applied and then said to have failed.
func TestStorm(t *testing.T) {
	t.Parallel()
	started := time.Now()
	over := func() bool { return *forFlag > 0 && time.Since(started) > *forFlag }
	counts := map[faultrpc.Kind]int{}
	for n := uint64(0); counts[faultrpc.FailAfter] < *outcomesFlag && !over() && !t.Failed(); n++ {
		most := min(stormRound, *outcomesFlag-counts[faultrpc.FailAfter])
		for kind, times := range stormOnce(t, *seedFlag+2*n, most, over) {
			counts[kind] += times
		}
	}
	result := fmt.Sprintf("%d unknown outcomes, %d failed before, %d delays: 0 double effects",
		counts[faultrpc.FailAfter], counts[faultrpc.FailBefore], counts[faultrpc.Delay])
	if t.Failed() {
		result = "FAILED"
	}
	t.Logf("row: | lost replies | %d unknown outcomes, %d clients, %d spaces, %v | "+
		"`go test ./test/crash -run TestStorm -crash.outcomes=%d -crash.seed=%d` | %d | %s | %s |",
		counts[faultrpc.FailAfter], stormSpaces*stormClients, stormSpaces, time.Since(started).Round(time.Second),
		*outcomesFlag, *seedFlag, *seedFlag, time.Now().Format(time.DateOnly), result)
}

// stormOnce is a round on a project of its own, and says what was injected.
func stormOnce(t *testing.T, seed uint64, outcomes int, over func() bool) map[faultrpc.Kind]int {
	t.Helper()
	project := emulatortest.Project(t)
	defer emulatortest.Wipe(context.WithoutCancel(t.Context()), t, project)
	var injectors []*faultrpc.Injector
	var processes []*process
	for n := range 2 {
		i := faultrpc.New(seed+uint64(n),
			faultrpc.Rule{Method: "Commit", Kind: faultrpc.FailAfter, Percent: 50, Codes: faultrpc.LostReply()},
			faultrpc.Rule{Method: "Commit", Kind: faultrpc.FailBefore, Percent: 5},
			faultrpc.Rule{Method: "BatchGetDocuments", Kind: faultrpc.FailAfter, Percent: 1},
			faultrpc.Rule{Kind: faultrpc.Delay, Percent: 5, Delay: 20 * time.Millisecond},
		)
		injectors = append(injectors, i)
		processes = append(processes, start(t, project, i))
	}
	enough := func() bool {
		n := 0
		for _, i := range injectors {
			n += i.Injected()[faultrpc.FailAfter]
		}
		return n >= outcomes || over()
	}
	var wg sync.WaitGroup
	storms := make([]*storm, stormSpaces)
	for n := range storms {
		storms[n] = &storm{
			t: t, seed: seed, space: protocol.SpaceID(fmt.Sprintf("s%d", n)), processes: processes, enough: enough,
			clients: make([]*replica.Client, stormClients),
		}
		for c := range stormClients {
			wg.Go(func() { storms[n].client(t.Context(), c) })
		}
	}
	wg.Wait()
	for _, i := range injectors {
		i.Heal()
	}
	for _, s := range storms {
		s.settle(t.Context())
	}
	counts := map[faultrpc.Kind]int{}
	for _, p := range processes {
		for kind, n := range p.injector.Injected() {
			counts[kind] += n
		}
		_ = p.run(t, func(context.Context) error { return nil })
	}
	return counts
}

// storm is one space in the storm.
type storm struct {
	t         *testing.T
	seed      uint64
	space     protocol.SpaceID
	processes []*process
	enough    func() bool
	clients   []*replica.Client
}

// client mutates and syncs until there was enough.
func (s *storm) client(ctx context.Context, n int) {
	c := replica.New(
		protocol.ClientID(fmt.Sprintf("%s-c%d", s.space, n)), protocol.ClientGroupID(fmt.Sprintf("%s-g%d", s.space, n/2)),
	)
	s.clients[n] = c
	chance := rand.New(rand.NewPCG(s.seed, uint64(n)))
	for !s.enough() && !s.t.Failed() {
		p := s.processes[(n+chance.IntN(10)/9)%2]
		mutateTimes(c, 1+chance.IntN(3))
		sent := c.Pending()[len(c.Pending())-1].ID
		acknowledged := push(ctx, p.Engine, s.space, c.PushRequest()) == nil
		// An error may come of the faults; what a client is shown may not.
		_ = pull(ctx, p.Engine, s.space, c)
		if acknowledged {
			s.awaitConfirmed(ctx, c, sent)
		}
	}
}

// awaitConfirmed pulls until an answer comes, which must show what was acknowledged.
func (s *storm) awaitConfirmed(ctx context.Context, c *replica.Client, sent int64) {
	var err error
	for range 20 {
		if err = pull(ctx, s.processes[0].Engine, s.space, c); err == nil {
			break
		}
	}
	if err != nil {
		s.t.Errorf("client %s gets no answer: %v", c.ID(), err)
		return
	}
	if c.Confirmed() < sent {
		s.t.Errorf("client %s: %d was acknowledged, a pull shows %d", c.ID(), sent, c.Confirmed())
	}
}

// settle has all clients send what is left, and compares them.
func (s *storm) settle(ctx context.Context) {
	last := map[protocol.ClientID]int64{}
	for n, c := range s.clients {
		if err := push(ctx, s.processes[n%2].Engine, s.space, c.PushRequest()); err != nil {
			s.t.Errorf("client %s cannot push after the storm: %v", c.ID(), err)
		}
		if err := pull(ctx, s.processes[n%2].Engine, s.space, c); err != nil {
			s.t.Errorf("client %s cannot pull after the storm: %v", c.ID(), err)
		}
		if len(c.Pending()) > 0 {
			s.t.Errorf("client %s has %d pending after the storm", c.ID(), len(c.Pending()))
		}
		last[c.ID()] = c.Confirmed()
	}
	want := wantView(last)
	for _, c := range s.clients {
		if err := pull(ctx, s.processes[0].Engine, s.space, c); err != nil {
			s.t.Error(err)
		}
		if diff := cmp.Diff(want, gotView(c)); diff != "" {
			s.t.Errorf("client %s (-want +got):\n%s", c.ID(), diff)
		}
	}
	storetest.MustFsck(s.t, s.processes[0].store, s.space)
}
