package crash_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// TestCollectBesideClients: two processes collect whatever was deleted a moment ago,
// again and again, and are interrupted, while the clients of both write, delete and
// pull. A client that comes back after a long time sees the same as the others.
func TestCollectBesideClients(t *testing.T) {
	t.Parallel()
	const clients, rounds = 4, 30
	project := emulatortest.Project(t)
	processes := []*process{start(t, project, faultrpc.New(0)), start(t, project, faultrpc.New(0))}
	list := make([]*replica.Client, clients)
	for n := range list {
		id := fmt.Sprintf("c%d", n)
		list[n] = replica.New(protocol.ClientID(id), protocol.ClientGroupID(id))
	}
	away := replica.New("away", "away")
	rotate(t, processes[0], list[0], 10)
	if err := pull(t.Context(), processes[0].Engine, space, away); err != nil {
		t.Fatal(err)
	}

	syncing, ended := context.WithCancel(t.Context())
	var collectors, syncs sync.WaitGroup
	var collected atomic.Int64
	for _, p := range processes {
		collectors.Go(func() { collectUntil(syncing, t, p, &collected) })
	}
	for n, c := range list {
		syncs.Go(func() { // on, until as much was collected meanwhile
			for round := 0; (round < rounds || collected.Load() < rounds) && !t.Failed(); round++ {
				rotate(t, processes[n%2], c, 1+n)
			}
		})
	}
	syncs.Wait()
	ended()
	collectors.Wait()
	t.Logf("%d tombstones were collected meanwhile", collected.Load())
	settleRotated(t, project, processes, append(list, away))
	for _, p := range processes {
		_ = p.run(t, func(context.Context) error { return nil })
	}
}

// rotate has a client make n mutations, push and pull.
func rotate(t *testing.T, p *process, c *replica.Client, n int) {
	t.Helper()
	for range n {
		c.Mutate("rotate", []byte("{}"), time.Now())
	}
	if err := push(t.Context(), p.Engine, space, c.PushRequest()); err != nil {
		t.Errorf("client %s: push: %v", c.ID(), err)
	}
	if err := pull(t.Context(), p.Engine, space, c); err != nil {
		t.Errorf("client %s: pull: %v", c.ID(), err)
	}
}

// collectUntil collects until ctx ends, and counts the tombstones. Every second time it
// is interrupted on the way.
func collectUntil(ctx context.Context, t *testing.T, p *process, tombstones *atomic.Int64) {
	t.Helper()
	for n := 0; ctx.Err() == nil; n++ {
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		if n%2 == 1 {
			time.AfterFunc(time.Duration(n%40)*time.Millisecond, cancel)
		}
		done, err := p.Collect(work, space, time.Now())
		if err != nil && work.Err() == nil {
			t.Errorf("Collect: %v", err)
		}
		tombstones.Add(int64(done.Tombstones))
		cancel()
	}
}

// settleRotated has everybody pull and compares what they see, then collects what is
// left.
func settleRotated(
	t *testing.T, project string, processes []*process, clients []*replica.Client,
) {
	t.Helper()
	want := map[string]string{}
	for n, c := range clients {
		if err := pull(t.Context(), processes[n%2].Engine, space, c); err != nil {
			t.Errorf("client %s: %v", c.ID(), err)
		}
		for id := c.Confirmed(); id > max(0, c.Confirmed()-rotated); id-- {
			want[rotatedKey(c.ID(), id)] = strconv.FormatInt(id, 10)
		}
	}
	for _, c := range clients {
		if diff := cmp.Diff(want, gotView(c)); diff != "" || len(c.Pending()) > 0 {
			t.Errorf("client %s, %d pending (-want +got):\n%s", c.ID(), len(c.Pending()), diff)
		}
	}
	if _, err := processes[0].Collect(t.Context(), space, time.Now()); err != nil {
		t.Error(err)
	}
	// On the emulator a store sees late what another process has purged, but for what is
	// older than the head (firestore/emulator.go).
	writeKeys(t.Context(), t, processes[0], "last", 1, 1)
	want["last/0"] = "1"
	storetest.MustFsck(t, processes[0].store, space)
	if n := len(stored(t.Context(), t, project, "entries")); n != len(want) {
		t.Errorf("%d entries are stored, want %d and no tombstones", n, len(want))
	}
}
