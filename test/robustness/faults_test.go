package robustness_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
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
	rateFlag   = flag.Float64("robustness.rate", 150, "how many mutations a second all clients offer")
	killsFlag  = flag.Int("robustness.kills", 10, "how many kill -9 of a round meet pushes under way")
	forFlag    = flag.Duration("robustness.for", 0, "TestFaults and TestGracefulStops begin no round after this; 0: all")
	judgeFlag  = flag.String("robustness.judge", "", "a history that TestJudge judges again")
	keepFlag   = flag.String("robustness.keep", "", "a folder for all histories; those that fail are kept anyway")
)

const (
	clients = 50
	spaces  = 10
	// groups leaves 15 groups with two clients, one at each server.
	groups    = 35
	registers = 2
	// settle is how long a round may take to converge.
	settle = 90 * time.Second
	// checkLimit is for one history.
	checkLimit = 20 * time.Second
)

// templates are the mutations: each client's own messages in ten places and with ids of
// their own, and the registers.
const templates = `[
	{"weight": 3, "name": "createMessage", "args":
		{"id": "{{client}}-{{int 0 9}}", "from": "{{client}}", "content": "{{client}}.{{seq}}", "order": {{seq}}}},
	{"weight": 4, "name": "updateMessage", "args": {"id": "{{client}}-{{int 0 9}}", "content": "{{client}}.{{seq}}"}},
	{"weight": 1, "name": "deleteMessage", "args": {"id": "{{client}}-{{int 0 9}}"}},
	{"weight": 1, "name": "createMessage", "expect": "message/{{client}}-{{uuid}}", "args":
		{"id": "{{client}}-{{uuid}}", "from": "{{client}}", "content": "{{client}}.{{seq}}", "order": {{seq}}}},
	{"weight": 3, "name": "updateMessage", "args": {"id": "reg-{{int 0 1}}", "content": "{{client}}.{{seq}}"}}
]`

// sums is what the rounds have seen together.
type sums struct {
	history.Counts
	visitors                              visitors
	rounds, caught, histories, operations int
	faults                                map[string]int
}

// TestFaults: whatever is done to two servers and their connections, the clients' history
// breaks no invariant, and everything converges when it stops.
func TestFaults(t *testing.T) { //nolint:paralleltest // it takes all that the machine has
	first := emulatortest.Host(t)
	bins := []string{build(t, "one"), build(t, "two")}
	total := sums{faults: map[string]int{}}
	began := time.Now()
	for n := range *roundsFlag { //nolint:paralleltest // as above
		if n > 0 && *forFlag > 0 && time.Since(began) > *forFlag {
			break
		}
		seed := *seedFlag + uint64(n)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			host := first
			if *roundsFlag > 1 {
				host = freshEmulator(t)
			}
			round(t, bins, host, seed, &total)
		})
		if t.Failed() {
			break
		}
	}
	result := fmt.Sprintf("%s pushes, %s of them with unknown outcome, %s pulls; %d kills -9 with pushes under way; "+
		"faults %v; %s histories of %s operations linearizable; "+
		"%d real Replicache clients with %s mutations; 0 lost, duplicated, divergent, stuck",
		thousands(total.Pushes), thousands(total.Unknown), thousands(total.Pulls), total.caught, total.faults,
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

// freshEmulator is one for a round: it keeps all old versions in memory.
func freshEmulator(t *testing.T) string {
	t.Helper()
	e, err := emulator.Start(t.Context(), emulator.Options{})
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
	setUp(t, store)
	servers := []*server{newServer(t, bins, project, host), newServer(t, bins, project, host)}

	path, recorder := record(t, seed)
	n := newNemesis(servers, recorder, seed)
	duration := time.Duration(float64(*roundFlag) / *rateFlag * float64(time.Second))
	var seen visitors
	var wg sync.WaitGroup
	wg.Go(func() { seen = visit(t.Context(), t, servers, seed, duration.Seconds()) })
	report := n.under(t, seed, duration+time.Second, n.run)
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
	judge(t, path, total)
	for i := range spaces {
		storetest.MustFsck(t, store, spaceName(i))
	}
	if seen.Clients > 0 {
		storetest.MustFsck(t, store, visitorSpace)
	}
	total.visitors.Clients += seen.Clients
	total.visitors.Mutations += seen.Mutations
	if n.caught < *killsFlag {
		t.Errorf("%d kills met pushes under way, want %d: the round is too short", n.caught, *killsFlag)
	}
	total.rounds++
	total.caught += n.caught
	for name, times := range n.counts {
		total.faults[name] += times
	}
}

// under puts the servers under load while the nemesis does what it does.
func (n *nemesis) under(t *testing.T, seed uint64, duration time.Duration, trouble func(context.Context)) load.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	ts, err := load.ParseTemplates([]byte(templates))
	if err != nil {
		t.Fatal(err)
	}
	config := load.Config{
		Space: "r", Spaces: spaces, Clients: clients, Groups: groups, Rate: *rateFlag, Duration: duration,
		Settle: settle, Timeout: 15 * time.Second, Templates: ts, Seed: seed,
		Record: func(x load.Exchange) {
			for i, s := range n.servers {
				if x.Push && x.URL == s.url() {
					n.fly(i, x.Begins)
				}
			}
			n.recorder.Record(x)
		},
	}
	for _, s := range n.servers {
		config.URLs = append(config.URLs, s.url())
	}
	var wg sync.WaitGroup
	wg.Go(func() { trouble(ctx) })
	report, err := load.Run(t.Context(), config)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return report
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

// setUp makes the registers.
func setUp(t *testing.T, store engine.Store) {
	t.Helper()
	e := engine.New(store, chat.Mutators(), engine.Options{Logger: slog.New(slog.DiscardHandler)})
	for i := range spaces {
		_, err := e.Write(t.Context(), spaceName(i), func(_ context.Context, tx mutate.WriteTransaction) error {
			for r := range registers {
				m := chat.Message{From: "r", Content: history.RegisterStart}
				if err := tx.Set(fmt.Sprintf("message/reg-%d", r), m); err != nil {
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

// record makes the file of a history. It stays if the test fails.
func record(t *testing.T, seed uint64) (string, *history.Recorder) {
	t.Helper()
	dir := *keepFlag
	if dir == "" {
		dir = os.TempDir()
	}
	path := filepath.Join(dir, fmt.Sprintf("replifire-history-%d-%d.jsonl", os.Getpid(), seed))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		if t.Failed() {
			t.Logf("the history is %s", path)
		} else if *keepFlag == "" {
			os.Remove(path)
		}
	})
	return path, history.NewRecorder(f)
}

// TestHarnessSees: two processes that write to two databases, each of which is all right by
// itself, are found out.
func TestHarnessSees(t *testing.T) { //nolint:paralleltest // it takes all that the machine has
	host, bins := emulatortest.Host(t), []string{build(t, "one")}
	var servers []*server
	for range 2 {
		project := emulatortest.Project(t)
		setUp(t, open(t, project, host))
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

// TestJudge judges a history that was kept.
func TestJudge(t *testing.T) {
	t.Parallel()
	if *judgeFlag != "" {
		judge(t, *judgeFlag, &sums{})
	}
}

// assess reads a history and says what is wrong with it.
func assess(t *testing.T, path string) (*history.Judge, []history.Violation, history.Linearizability) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var j history.Judge
	var r history.Registers
	for e, err := range history.Read(f) {
		if err != nil {
			t.Fatal(err)
		}
		j.Add(e)
		r.Add(e)
	}
	violations := j.Finish()
	limit := checkLimit
	if len(violations) > 0 { // what cannot be explained takes for ever, and is known to be wrong
		limit = time.Second
	}
	return &j, violations, r.Check(limit)
}

// judge reads a history and checks everything.
func judge(t *testing.T, path string, total *sums) {
	t.Helper()
	j, violations, l := assess(t, path)
	for _, v := range violations {
		t.Error(v)
	}
	if len(l.Illegal) > 0 || len(l.TimedOut) > 0 || l.Histories != spaces*registers {
		t.Errorf("%d histories, not linearizable: %q, not decided: %q", l.Histories, l.Illegal, l.TimedOut)
	}
	c := j.Counts()
	if c.Mutations == 0 || c.Acknowledged == 0 || c.Pulls == 0 {
		t.Error(errors.New("the history is empty"))
	}
	total.Mutations += c.Mutations
	total.Pushes += c.Pushes
	total.Acknowledged += c.Acknowledged
	total.Unknown += c.Unknown
	total.Pulls += c.Pulls
	total.histories += l.Histories
	total.operations += l.Operations
}
