package crash_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

const (
	// dead are the keys that were deleted before the retention, manyDead are more than
	// are purged at once.
	dead, manyDead = 40, 260
	// live are those that were not.
	live = 10
)

// writeKeys sets, or deletes, prefix/0 and so on, as an operator does.
func writeKeys(ctx context.Context, t *testing.T, p *process, prefix string, n int, value any) {
	t.Helper()
	_, err := p.Write(ctx, space, func(_ context.Context, tx mutate.WriteTransaction) error {
		for i := range n {
			key := fmt.Sprintf("%s/%d", prefix, i)
			if value == nil {
				if _, err := tx.Del(key); err != nil {
					return err
				}
				continue
			}
			if err := tx.Set(key, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// collection is a space with something to collect, and its clients.
type collection struct {
	t       *testing.T
	project string
	before  time.Time // between the old deletions and the young ones
	writer  *replica.Client
	clients []*replica.Client
	extra   map[string]string // what is written in the course of the test
}

// newCollection has a process make a space with live keys, tombstones and young
// tombstones. Of the clients one has seen it before the deletions, one between them, one
// after, and one has never synced.
func newCollection(
	ctx context.Context, t *testing.T, p *process, project string, dead int,
) *collection {
	t.Helper()
	c := &collection{t: t, project: project, extra: map[string]string{}}
	for _, name := range []string{"early", "between", "late", "new"} {
		c.clients = append(c.clients, replica.New(protocol.ClientID(name), protocol.ClientGroupID(name)))
	}
	c.writer = c.clients[2]
	writeKeys(ctx, t, p, "live", live, 1)
	writeKeys(ctx, t, p, "dead", dead, 1)
	writeKeys(ctx, t, p, "young", 2, 1)
	c.pull(ctx, p, 0)
	writeKeys(ctx, t, p, "dead", dead, nil)
	c.before = time.Now()
	c.pull(ctx, p, 1)
	writeKeys(ctx, t, p, "young", 2, nil)
	c.push(ctx, p)
	return c
}

// push has the writer make and push a mutation, and pull.
func (c *collection) push(ctx context.Context, p *process) {
	c.t.Helper()
	mutateTimes(c.writer, 1)
	resend(ctx, c.t, p.Engine, c.writer)
}

func (c *collection) pull(ctx context.Context, p *process, n int) {
	c.t.Helper()
	if err := pull(ctx, p.Engine, space, c.clients[n]); err != nil {
		c.t.Fatalf("client %s: %v", c.clients[n].ID(), err)
	}
}

// again writes a key anew that was deleted.
func (c *collection) again(ctx context.Context, p *process, n int) {
	c.t.Helper()
	key := fmt.Sprintf("dead/%d", n)
	_, err := p.Write(ctx, space, func(_ context.Context, tx mutate.WriteTransaction) error {
		return tx.Set(key, "again")
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.extra[key] = `"again"`
}

// check has the clients pull: all of them see the same, which is what is live.
func (c *collection) check(ctx context.Context, p *process) {
	c.t.Helper()
	want := wantView(map[protocol.ClientID]int64{c.writer.ID(): c.writer.Confirmed()})
	maps.Copy(want, c.extra)
	for i := range live {
		want[fmt.Sprintf("live/%d", i)] = "1"
	}
	for n, r := range c.clients {
		c.pull(ctx, p, n)
		if diff := cmp.Diff(want, gotView(r)); diff != "" {
			c.t.Errorf("client %s (-want +got):\n%s", r.ID(), diff)
		}
	}
}

// checkStored asks the database itself: no tombstones are left but the young ones.
func (c *collection) checkStored(ctx context.Context) {
	c.t.Helper()
	entries, tombstones := 0, 0
	for id, fields := range stored(ctx, c.t, c.project, "entries") {
		switch {
		case fields["deleted"] != true:
			entries++
		case strings.HasPrefix(fields["key"].(string), "young/"):
			tombstones++
		default:
			c.t.Errorf("the tombstone %s is left", id)
		}
	}
	if want := len(c.writer.View()); entries != want || tombstones != 2 {
		c.t.Errorf("%d entries and %d young tombstones are stored, want %d and 2", entries, tombstones, want)
	}
}

// TestCollect: a process dies at any point of a collection; another one does it again,
// while the clients go on.
func TestCollect(t *testing.T) {
	t.Parallel()
	everyPoint(t, func(t *testing.T, p point) bool {
		t.Helper()
		return crashCollect(t, p, dead)
	})
}

// TestCollectPages is TestCollect with more than a page.
func TestCollectPages(t *testing.T) { //nolint:tparallel // each point tells whether there is another
	t.Parallel()
	everyPointOf(t, []point{{moment: faultrpc.Before}}, func(t *testing.T, p point) bool {
		t.Helper()
		return crashCollect(t, p, manyDead)
	})
}

func crashCollect(t *testing.T, p point, dead int) (died bool) {
	t.Helper()
	project := emulatortest.Project(t)
	first := start(t, project, faultrpc.New(0))
	var c *collection
	err := first.run(t, func(ctx context.Context) error {
		c = newCollection(ctx, t, first, project, dead)
		first.injector.CrashAt(p.call, p.moment)
		_, err := first.Collect(ctx, space, c.before)
		return err
	})
	if err != nil && !first.crashed() {
		t.Fatalf("Collect without a crash = %v", err)
	}

	next := start(t, project, faultrpc.New(0))
	_ = next.run(t, func(ctx context.Context) error {
		c.check(ctx, next)
		if !p.stale {
			deliver(ctx, t, first.injector)
		}
		c.again(ctx, next, 0) // its tombstone may be there still
		c.push(ctx, next)
		c.check(ctx, next)
		if _, err := next.Collect(ctx, space, c.before); err != nil {
			t.Fatal(err)
		}
		c.again(ctx, next, 1) // its tombstone is gone
		deliver(ctx, t, first.injector)
		c.push(ctx, next)
		c.check(ctx, next)
		storetest.MustFsck(t, next.store, space)
		c.checkStored(ctx)
		return nil
	})
	if t.Failed() {
		t.Logf("Collect = %v, last calls of the first process: %s", err, short(first.injector.Calls()))
	}
	return first.crashed()
}
