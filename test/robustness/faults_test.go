package robustness_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/history"
	"github.com/replifire/replifire/internal/load"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

var (
	seedFlag   = flag.Uint64("robustness.seed", 1, "the seed of the first round; the next has the next")
	roundsFlag = flag.Int("robustness.rounds", 1, "how many rounds TestFaults has, of -robustness.mutations each")
	roundFlag  = flag.Int("robustness.mutations", 10_000, "how many mutations a round has")
	rateFlag   = flag.Float64("robustness.rate", 400, "how many mutations a second all clients offer")
	killsFlag  = flag.Int("robustness.kills", 10, "how many kill -9 of a round meet pushes under way, at least")
	forFlag    = flag.Duration("robustness.for", 0, "TestFaults and TestGracefulStops begin no round after this; 0: all")
	judgeFlag  = flag.String("robustness.judge", "", "a history that TestJudge judges again")
	keepFlag   = flag.String("robustness.keep", "", "a folder for all histories; those that fail are kept anyway")
)

const (
	clients = 50
	spaces  = 10
	// groups leaves 15 groups with two clients, one at each server.
	groups = 35
	// Of the registers of a space there are new ones each period, so that a round has many
	// histories that are complete, and none that is long.
	registers = 2
	period    = 10 * time.Second
	// burst is how many mutations a client makes at a time, at most: when it was offline.
	burst = 50
	// emulatorHeap is for the versions of a round, in MiB.
	emulatorHeap = 3072
	// settle is how long a round may take to converge.
	settle = 5 * time.Minute
	// checkLimit is for one history.
	checkLimit = 5 * time.Minute
	// patience is how long a round may take, whose nemesis has enough to do.
	patience = 10 * time.Minute
)

// steady are mutations that leave no more in a space in the end than after some minutes:
// each client's own messages in ten places that change and in fifty that come and go.
const steady = `
	{"weight": 6, "name": "createMessage", "args":
		{"id": "{{client}}-{{int 0 9}}", "from": "{{client}}", "content": "{{client}}.{{seq}}", "order": {{seq}}}},
	{"weight": 8, "name": "updateMessage", "args": {"id": "{{client}}-{{int 0 9}}", "content": "{{client}}.{{seq}}"}},
	{"weight": 2, "name": "deleteMessage", "args": {"id": "{{client}}-{{int 0 9}}"}},
	{"weight": 4, "name": "createMessage", "args":
		{"id": "{{client}}-m{{int 0 49}}", "from": "{{client}}", "content": "{{client}}.{{seq}}", "order": {{seq}}}},
	{"weight": 4, "name": "deleteMessage", "args": {"id": "{{client}}-m{{int 0 49}}"}}`

// templates are the mutations of TestFaults: also some with ids of their own, that stay, and
// the registers.
const templates = `[` + steady + `,
	{"weight": 1, "name": "createMessage", "expect": "message/{{client}}-{{uuid}}", "args":
		{"id": "{{client}}-{{uuid}}", "from": "{{client}}", "content": "{{client}}.{{seq}}", "order": {{seq}}}},
	{"weight": 8, "name": "updateMessage", "args":
		{"id": "reg-{{period 10s}}-{{int 0 1}}", "content": "{{client}}.{{seq}}"}}
]`

// sums is what the rounds have seen together.
type sums struct {
	history.Counts
	visitors                              visitors
	rounds, caught, histories, operations int
	faults                                map[string]int
	broken                                map[faultrpc.Kind]int // calls to the emulator
}

// TestFaults: whatever is done to two servers and their connections, the clients' history
// breaks no invariant, and when it stops everything converges and commits are heard of.
func TestFaults(t *testing.T) { //nolint:paralleltest // it takes all that the machine has
	first := emulatortest.Host(t)
	bins := []string{build(t, "one"), build(t, "two")}
	total := sums{faults: map[string]int{}, broken: map[faultrpc.Kind]int{}}
	began := time.Now()
	for n := range *roundsFlag { //nolint:paralleltest // as above
		if n > 0 && *forFlag > 0 && time.Since(began) > *forFlag {
			break
		}
		seed := *seedFlag + uint64(n)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			host := first
			if *roundsFlag > 1 {
				host = freshEmulator(t, emulatorHeap)
			}
			round(t, bins, host, seed, &total)
		})
		if t.Failed() {
			break
		}
	}
	result := fmt.Sprintf("%s pushes, %s of them with unknown outcome, %s pulls with %s rejections; "+
		"%d kills -9 with pushes under way; faults %v; RPCs broken %v; %s histories of %s operations linearizable; "+
		"%d real Replicache clients with %s mutations; 0 lost, duplicated, divergent, stuck",
		thousands(total.Pushes), thousands(total.Unknown), thousands(total.Pulls), thousands(total.Rejections),
		total.caught, total.faults, total.broken,
		thousands(total.histories), thousands(total.operations),
		total.visitors.Clients, thousands(total.visitors.Mutations))
	if t.Failed() {
		result = "FAILED"
	}
	row(t, "two processes, all faults", fmt.Sprintf("%s mutations, %d clients, %d spaces, %d rounds of %v",
		thousands(total.Mutations), clients, spaces, total.rounds, time.Since(began).Round(time.Second)),
		strings.Join(append([]string{"go test ./test/robustness -run TestFaults"}, given()...), " "), *seedFlag, result)
}

// given are the flags that were set.
func given() (list []string) {
	flag.Visit(func(f *flag.Flag) {
		if strings.HasPrefix(f.Name, "robustness.") && f.Name != "robustness.keep" {
			list = append(list, "-"+f.Name+"="+f.Value.String())
		}
	})
	return list
}

// freshEmulator is one for a round: it keeps all old versions in memory, of which it may
// have so many MiB.
func freshEmulator(t *testing.T, heap int) string {
	t.Helper()
	e, err := emulator.Start(t.Context(), emulator.Options{HeapMiB: heap})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e.Host()
}

// round is one run with one seed.
func round(t *testing.T, bins []string, host string, seed uint64, total *sums) {
	t.Helper()
	project := emulatortest.Project(t)
	store := open(t, project, host)
	// A little more, since the last bursts may be small.
	duration := time.Duration(1.02 * float64(*roundFlag) / *rateFlag * float64(time.Second))
	setUp(t, store, duration)
	var servers []*server
	var calls []*faultrpc.Injector
	for i := range uint64(2) {
		calls = append(calls, faultrpc.New(2*seed+i))
		servers = append(servers, newServer(t, bins, project, breakable(t, host, calls[i])))
	}

	path, recorder := record(t, seed)
	n := newNemesis(servers, recorder, seed)
	n.calls = calls
	var seen visitors
	var wg sync.WaitGroup
	wg.Go(func() { seen = visit(t.Context(), t, servers, seed, duration.Seconds()) })
	var streams [spaces][]*stream
	report := n.under(t, seed, duration+time.Second, func(ctx context.Context) {
		n.run(ctx, duration)
		streams = subscribeAll(t, servers) // while the clients' streams keep the watches that were broken
	})
	checkPokes(t, servers, streams)
	wg.Wait()
	for _, s := range servers {
		s.stop(true)
	}
	if err := recorder.Flush(); err != nil {
		t.Fatal(err)
	}

	if !report.Verdict.Converged {
		t.Errorf("the clients found problems: %q", report.Verdict.Problems)
	}
	want := spaces * registers * max(1, int(duration/period))
	if got := judge(t, path, total); got < want {
		t.Errorf("%d registers were written, want %d", got, want)
	}
	for i := range spaces {
		storetest.MustFsck(t, store, spaceName(i))
	}
	if seen.Clients > 0 {
		storetest.MustFsck(t, store, visitorSpace)
	}
	total.visitors.Clients += seen.Clients
	total.visitors.Mutations += seen.Mutations
	caught := int(n.caught.Load())
	if caught < *killsFlag {
		t.Errorf("%d kills met pushes under way within %v, want %d", caught, patience, *killsFlag)
	}
	total.rounds++
	total.caught += caught
	for name, times := range n.counts {
		total.faults[name] += times
	}
	for _, i := range calls {
		for kind, times := range i.Injected() {
			total.broken[kind] += times
		}
	}
}

// breakable is where an emulator can be reached by calls that an injector breaks.
func breakable(t *testing.T, emulator string, i *faultrpc.Injector) string {
	t.Helper()
	p, err := faultrpc.Listen(t.Context(), emulator, i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p.Addr()
}

// under puts the servers under load, for that time at least, while the nemesis does what
// it does.
func (n *nemesis) under(t *testing.T, seed uint64, duration time.Duration, trouble func(context.Context)) load.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	enough := make(chan struct{})
	config := config(t, n.servers, duration, templates)
	config.Enough = enough
	config.Seed, config.Live = seed, n.progress()
	config.Record = func(x load.Exchange) {
		for i, s := range n.servers {
			if x.Push && x.URL == s.url() {
				n.fly(i, x.Begins)
			}
		}
		n.recorder.Record(x)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(enough)
		trouble(ctx)
	})
	report, err := load.Run(t.Context(), config)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// config is what the clients do for that time.
func config(t *testing.T, servers []*server, duration time.Duration, mutations string) load.Config {
	t.Helper()
	ts, err := load.ParseTemplates([]byte(mutations))
	if err != nil {
		t.Fatal(err)
	}
	config := load.Config{
		Space: "r", Spaces: spaces, Clients: clients, Groups: groups, Rate: *rateFlag, Burst: burst, Duration: duration,
		Settle: settle, Timeout: 15 * time.Second, Templates: ts, LiveEvery: 10 * time.Second,
	}
	for _, s := range servers {
		config.URLs = append(config.URLs, s.url())
	}
	return config
}

func (n *nemesis) fly(i int, begins bool) {
	if begins {
		n.flying[i].Add(1)
	} else {
		n.flying[i].Add(-1)
	}
}

func spaceName(n int) protocol.SpaceID { return protocol.SpaceID(fmt.Sprintf("r-%d", n)) }

func open(t *testing.T, project, host string) *firestore.Store {
	t.Helper()
	store, err := firestore.Open(t.Context(), firestore.Config{ProjectID: project, EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// setUp makes the registers of that time.
func setUp(t *testing.T, store engine.Store, duration time.Duration) {
	t.Helper()
	e := engine.New(store, chat.Mutators(), engine.Options{Logger: slog.New(slog.DiscardHandler)})
	for i := range spaces {
		_, err := e.Write(t.Context(), spaceName(i), func(_ context.Context, tx mutate.WriteTransaction) error {
			for r := range registers * (2 + int(duration/period)) {
				m := chat.Message{From: "r", Content: history.RegisterStart}
				if err := tx.Set(fmt.Sprintf("message/reg-%d-%d", r/registers, r%registers), m); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestHarnessSees: two processes that write to two databases, each of which is all right by
// itself, are found out.
func TestHarnessSees(t *testing.T) { //nolint:paralleltest // it takes all that the machine has
	host, bins := emulatortest.Host(t), []string{build(t, "one")}
	var servers []*server
	for range 2 {
		project := emulatortest.Project(t)
		setUp(t, open(t, project, host), period)
		servers = append(servers, newServer(t, bins, project, host))
	}
	path, recorder := record(t, 0)
	n := newNemesis(servers, recorder, 0)
	n.under(t, 0, 5*time.Second, func(context.Context) {})
	if err := recorder.Flush(); err != nil {
		t.Fatal(err)
	}
	_, violations, l := assess(t, path)
	if len(l.Illegal) == 0 {
		t.Error("two databases look linearizable")
	}
	if len(violations) == 0 || violations[0].Invariant != history.Durable {
		t.Errorf("two databases break %v, want I9 first", violations)
	}
}
