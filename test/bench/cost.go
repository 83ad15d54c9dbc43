package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	gcfirestore "cloud.google.com/go/firestore"
	"google.golang.org/api/option"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/protocol"
)

// perRound is how many groups push one mutation each before all clients pull.
const perRound = 10

// costs is what some rounds of pushes and pulls took of Firestore.
type costs struct {
	clients, rounds int
	push, pull      rpccount.Counts
}

func (c costs) mutations() int { return perRound * c.rounds }
func (c costs) pulls() int     { return c.clients * c.rounds }

// cost counts documents of an instance and of the plain pattern, with ever more clients
// who pull.
func (b *bench) cost(ctx context.Context) error {
	t := table{
		title: "What 1,000 mutations cost on one instance",
		header: []string{
			"clients", "", "commits", "documents written", "documents read by pushes",
			"ids read that have no document", "documents read by pulls", "read per pull",
		},
		note: "Ten groups push one mutation each at a time; then all clients pull. Counted between the SDK and " +
			"the emulator. Firestore bills an id without a document as a read. \"Plain\" is one transaction per " +
			"push, and a pull that reads the version, the entries above the cookie and the group's clients; it did " +
			"100 mutations, shown times ten.",
	}
	written := plot{
		file: "documents.svg", title: "Documents per mutation, pushed", x: "clients that pull", y: "documents", logX: true,
		lines: []series{
			{name: "1 instance, written"},
			{name: "1 instance, read"},
			{name: "plain, written"},
			{name: "plain, read"},
		},
	}
	read := plot{
		file: "pulled.svg", title: "Documents read per pull", x: "clients that pull", y: "documents", logX: true,
		lines: []series{{name: "1 instance"}, {name: "plain"}},
	}
	for _, n := range []int{1, 10, 50, 250} {
		ours, err := b.costOf(ctx, "createMessage", n)
		if err != nil {
			return err
		}
		theirs, err := b.plainCostOf(ctx, n)
		if err != nil {
			return err
		}
		t.rows = append(t.rows, ours.row("createMessage"))
		if n == 50 {
			updates, err := b.costOf(ctx, "updateMessage", n)
			if err != nil {
				return err
			}
			t.rows = append(t.rows, updates.row("updateMessage"))
		}
		t.rows = append(t.rows, theirs.row("plain, createMessage"))
		ours.draw(written.lines[:2], &read.lines[0])
		theirs.draw(written.lines[2:], &read.lines[1])
	}
	b.tables = append(b.tables, t)
	b.plots = append(b.plots, written, read)
	return nil
}

// row states the counts as if the mutations had been 1,000.
func (c costs) row(name string) []string {
	thousand := func(n int) string { return strconv.Itoa(n * 1000 / c.mutations()) }
	return []string{
		strconv.Itoa(c.clients), name, thousand(c.push.RPCs["Commit"]), thousand(c.push.Written),
		thousand(c.push.Read), thousand(c.push.Missing), thousand(c.pull.Read + c.pull.Missing),
		fmt.Sprintf("%.2f", float64(c.pull.Read+c.pull.Missing)/float64(c.pulls())),
	}
}

// draw adds what was written and read per mutation, and read per pull.
func (c costs) draw(pushed []series, pulled *series) {
	x, mutations := float64(c.clients), float64(c.mutations())
	pushed[0].points = append(pushed[0].points, point{x, float64(c.push.Written) / mutations})
	pushed[1].points = append(pushed[1].points, point{x, float64(c.push.Read+c.push.Missing) / mutations})
	pulled.points = append(pulled.points, point{x, float64(c.pull.Read+c.pull.Missing) / float64(c.pulls())})
}

// backend is one that is counted: push is one mutation of a group, pull one of a client.
type backend struct {
	push func(ctx context.Context, group int, round int64) error
	pull func(ctx context.Context, client int) error
}

// count runs the rounds; one more comes first and is not counted.
func (c costs) count(ctx context.Context, counter *rpccount.Counter, of backend) (costs, error) {
	for round := range int64(c.rounds + 1) {
		for _, step := range []struct {
			n    int
			do   func(i int) error
			into *rpccount.Counts
		}{
			{perRound, func(i int) error { return of.push(ctx, i, round) }, &c.push},
			{c.clients, func(i int) error { return of.pull(ctx, i) }, &c.pull},
		} {
			counter.Reset()
			if err := atOnce(step.n, step.do); err != nil {
				return c, err
			}
			if round > 0 {
				add(step.into, counter.Counts())
			}
		}
	}
	return c, nil
}

func add(to *rpccount.Counts, more rpccount.Counts) {
	if to.RPCs == nil {
		to.RPCs = map[string]int{}
	}
	for method, n := range more.RPCs {
		to.RPCs[method] += n
	}
	to.Read, to.Missing, to.Written = to.Read+more.Read, to.Missing+more.Missing, to.Written+more.Written
}

// atOnce does it n times at the same time.
func atOnce(n int, do func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// costOf counts what an engine does.
func (b *bench) costOf(ctx context.Context, name string, clients int) (costs, error) {
	conn, counter, err := rpccount.Dial(b.host)
	if err != nil {
		return costs{}, err
	}
	store, err := firestore.Open(ctx, firestore.Config{ProjectID: b.project(), Conn: conn})
	if err != nil {
		return costs{}, err
	}
	defer store.Close()
	e := engine.New(store, chat.Mutators(), engine.Options{})
	defer e.Close(ctx)
	cookies := make([]protocol.Cookie, clients)
	for i := range cookies {
		if cookies[i], err = protocol.ParseCookie([]byte("null")); err != nil {
			return costs{}, err
		}
	}
	return costs{clients: clients, rounds: 100}.count(ctx, counter, backend{
		push: func(ctx context.Context, group int, round int64) error {
			return pushTheEngine(ctx, e, name, group, round)
		},
		pull: func(ctx context.Context, client int) error {
			return pullTheEngine(ctx, e, client%perRound, &cookies[client])
		},
	})
}

func pushTheEngine(ctx context.Context, e *engine.Engine, name string, group int, round int64) error {
	id := fmt.Sprintf("%d-%d", group, round)
	if round == 0 {
		name = "createMessage"
	} else if name == "updateMessage" {
		id = fmt.Sprintf("%d-0", group)
	}
	args, err := json.Marshal(map[string]any{"id": id, "from": "ann", "content": "hello", "order": round})
	if err != nil {
		return err
	}
	return e.Push(ctx, engine.Caller{Space: "s"}, &protocol.PushRequest{
		Version: 1, ClientGroupID: protocol.ClientGroupID(fmt.Sprint("g", group)),
		Mutations: []protocol.Mutation{{
			ClientID: protocol.ClientID(fmt.Sprint("c", group)), ID: round + 1, Name: name, Args: args,
		}},
	})
}

func pullTheEngine(ctx context.Context, e *engine.Engine, group int, cookie *protocol.Cookie) error {
	resp, err := e.Pull(ctx, engine.Caller{Space: "s"}, &protocol.PullRequest{
		Version: 1, ClientGroupID: protocol.ClientGroupID(fmt.Sprint("g", group)), Cookie: *cookie,
	})
	if err != nil {
		return err
	}
	for _, err := range resp.Patch {
		if err != nil {
			return err
		}
	}
	*cookie, err = protocol.ParseCookie(resp.Cookie)
	return err
}

// plainCostOf counts what the plain pattern does. Its pushes go one after the other, for
// at once they would repeat each other's transactions.
func (b *bench) plainCostOf(ctx context.Context, clients int) (costs, error) {
	conn, counter, err := rpccount.Dial(b.host)
	if err != nil {
		return costs{}, err
	}
	c, err := gcfirestore.NewClient(ctx, b.project(), option.WithGRPCConn(conn))
	if err != nil {
		return costs{}, err
	}
	defer c.Close()
	var turn sync.Mutex
	cookies := make([]int64, clients)
	return costs{clients: clients, rounds: 10}.count(ctx, counter, backend{
		push: func(ctx context.Context, group int, round int64) error {
			turn.Lock()
			defer turn.Unlock()
			return plain(ctx, c, group, round+1)
		},
		pull: func(ctx context.Context, client int) error {
			return plainPull(ctx, c, client%perRound, &cookies[client])
		},
	})
}
