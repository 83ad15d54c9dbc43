package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var raceCases = []testCase{
	{name: "OneWinnerForEachVersion", run: testRace},
	{name: "OneWinnerBetweenInstances", run: testRaceOfTwo, needs: []capability{second}},
	{name: "OneCreator", run: testCreationRace},
	{name: "OneOwnerOfAGroup", run: testGroupRace},
	{name: "CommitsAreWhole", run: testAtomic},
	{name: "EverythingAtOnce", run: testEverything},
}

const (
	racers = 8
	rounds = 5
)

func testRace(k *kit) {
	race(k, slices.Repeat([]engine.Store{k.Store}, racers))
}

func testRaceOfTwo(k *kit) {
	race(k, slices.Repeat([]engine.Store{k.Store, k.Second()}, racers/2))
}

// race lets all contenders commit what follows the same head, over and over, and
// then looks for traces of the losers.
func race(k *kit, contenders []engine.Store) {
	var head engine.Head
	var want []string
	for round := range rounds {
		commits := make([]engine.Commit, len(contenders))
		for i := range commits {
			commits[i] = Step(head, Put(fmt.Sprintf("round %d by %d", round, i), `1`),
				Put("all", itoa(i)), Client("c", "g", int64(round*racers+i+1)))
			if round == 0 {
				Group("g", "u", "s")(&commits[i])
			}
		}
		winner := k.contend("s", contenders, commits)
		head = k.head("s")
		k.same("head", head, commits[winner].Next)
		want = append(want, commits[winner].Entries[0].Key)
	}
	got := keys(k.view("s").Entries)
	k.same("keys of all winners", got, slices.Concat([]string{"all"}, want))
}

// contend applies commits at once, the i-th through the i-th store. It says which
// one was applied, and fails unless it was just one.
func (k *kit) contend(
	space protocol.SpaceID, through []engine.Store, commits []engine.Commit,
) int {
	k.Helper()
	k.touch(space)
	errs := make([]error, len(commits))
	var wg sync.WaitGroup
	for i, c := range commits {
		wg.Go(func() { _, errs[i] = through[i].Commit(k.ctx, space, c) })
	}
	wg.Wait()
	winner := slices.Index(errs, nil)
	if winner < 0 {
		k.Fatalf("no commit of %d was applied: %v", len(commits), errors.Join(errs...))
	}
	for i, err := range errs {
		if i != winner && !lost(err) {
			k.Errorf("commit %d: error %v beside winner %d, want %v",
				i, err, winner, engine.ErrConflict)
		}
	}
	return winner
}

// lost reports whether err is that of a loser: a conflict, or the store had no
// time to find out. In both cases nothing was applied.
func lost(err error) bool {
	return errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrUnavailable)
}

func testCreationRace(k *kit) {
	for round := range rounds {
		space := protocol.SpaceID(fmt.Sprintf("new %d", round))
		commits := make([]engine.Commit, racers)
		for i := range commits {
			commits[i] = Step(engine.Head{}, Put(itoa(i), `1`))
		}
		winner := k.contend(space, slices.Repeat([]engine.Store{k.Store}, racers), commits)
		k.same("space", k.view(space), view{
			Head: commits[winner].Next, Entries: commits[winner].Entries,
		})
	}
}

// testGroupRace has spaces that know nothing of each other claim one group.
func testGroupRace(k *kit) {
	for round := range rounds {
		id := protocol.ClientGroupID(fmt.Sprintf("group %d", round))
		space := func(i int) protocol.SpaceID {
			return protocol.SpaceID(fmt.Sprintf("%d of round %d", i, round))
		}
		errs := make([]error, racers)
		var wg sync.WaitGroup
		for i := range errs {
			c := Step(engine.Head{}, Group(id, "u", space(i)), Client("c", id, 1))
			wg.Go(func() { _, errs[i] = k.Store.Commit(k.ctx, space(i), c) })
		}
		wg.Wait()
		group, _ := k.group("any", id)
		for i, err := range errs {
			k.touch(space(i))
			owns, exists := group.Space == space(i), k.head(space(i)).Exists()
			if owns != (err == nil) || owns != exists || err != nil && !lost(err) {
				k.Errorf("space %d: owns the group %t, exists %t, error %v", i, owns, exists, err)
			}
		}
	}
}

// testAtomic reads all the time while commits keep three documents equal.
func testAtomic(k *kit) {
	k.commit("s", engine.Head{}, counted(1), Group("g", "u", "s"))
	ctx, stop := context.WithCancel(k.ctx)
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if err := readWhole(k.ctx, k.Store); err != nil {
					k.Error(err)
					return
				}
			}
		})
	}
	head := k.head("s")
	for n := int64(2); n <= 20; n++ {
		head = k.commit("s", head, counted(n))
	}
	stop()
	readers.Wait()
}

// counted writes version n's number into two entries and a client.
func counted(n int64) Change {
	return func(c *engine.Commit) {
		Put("a", itoa(n))(c)
		Put("z", itoa(n))(c)
		Client("c", "g", n)(c)
	}
}

func readWhole(ctx context.Context, store engine.Store) error {
	snap, err := store.Snapshot(ctx, "s", engine.Documents{
		Head: true, Clients: []protocol.ClientID{"c"}, Keys: []string{"a"},
	})
	if err != nil {
		return err
	}
	client, _ := snap.Client("c")
	first, _ := snap.Entry("a")
	seen := []string{
		itoa(snap.Head().Version), itoa(client.LastMutationID), string(first.Value),
	}
	for e, err := range snap.Entries(ctx, 0) {
		if err != nil {
			return err
		}
		seen = append(seen, string(e.Value), itoa(e.Version))
	}
	for c, err := range snap.Clients(ctx, "g", 0) {
		if err != nil {
			return err
		}
		seen = append(seen, itoa(c.LastMutationID))
	}
	if all := slices.Compact(slices.Clone(seen)); len(all) != 1 || len(seen) != 8 {
		return fmt.Errorf("one snapshot shows %v, want one number 8 times", seen)
	}
	return nil
}

// testEverything calls all methods at once: for the race detector, and for fsck
// at the end.
func testEverything(k *kit) {
	ctx, stop := context.WithCancel(k.ctx)
	var wg sync.WaitGroup
	var committers sync.WaitGroup
	for _, space := range []protocol.SpaceID{"a", "b"} {
		k.touch(space)
		group := protocol.ClientGroupID("g" + space)
		k.commit(space, engine.Head{}, Group(group, "u", space))
		for i := range 3 {
			committers.Go(func() { k.commitSome(space, group, i) })
		}
		wg.Go(func() { _ = k.Store.Watch(ctx, space, func(engine.Head) {}) })
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := k.Store.Purge(k.ctx, space); err != nil {
					k.Errorf("purge: %v", err)
				}
				if err := k.Store.Ping(k.ctx); err != nil {
					k.Errorf("ping: %v", err)
				}
			}
		})
	}
	committers.Wait()
	stop()
	wg.Wait()
}

func (k *kit) commitSome(space protocol.SpaceID, group protocol.ClientGroupID, id int) {
	client := protocol.ClientID(itoa(id))
	for done := 0; done < 5; {
		snap, err := k.Store.Snapshot(k.ctx, space, engine.Documents{Head: true})
		if err != nil {
			k.Errorf("snapshot: %v", err)
			return
		}
		c := Step(snap.Head(), Put(fmt.Sprint(id, done), `1`),
			Client(client, group, int64(done+1)))
		if done == 2 {
			c = Step(snap.Head(), Reset())
		}
		switch _, err := k.Store.Commit(k.ctx, space, c); {
		case err == nil:
			done++
		case !lost(err):
			k.Errorf("commit: %v", err)
			return
		}
	}
}
