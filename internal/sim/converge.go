package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/replifire/replifire/engine/fsck"
)

// Bounds of the end of a run.
const (
	maxRounds = 3
	// patience is how many turns the service gets to finish what it has, each with a
	// little time in it.
	patience = 5000
)

// converge ends all trouble and gives everybody a few rounds to agree.
func (w *world) converge() {
	w.note("heal")
	w.healed = true
	for user := range w.rights.readers { // who writes nothing would see no space come to be
		w.rights.readers[user], w.rights.writers[user] = false, true
	}
	w.retries.heal()
	w.drain()
	for round := 1; round <= maxRounds && w.result.Violation == nil; round++ {
		w.sleep(w.options.PullMaxAge)
		for _, t := range slices.Clone(w.tabs) {
			w.sync(t)
		}
		if w.apart() == nil {
			break
		}
	}
	w.report(w.apart())
	if w.result.Violation != nil {
		return
	}
	for _, space := range w.spaces {
		w.sync(w.openGroup(space)) // sees everything for the first time
		report, err := fsck.Check(w.ctx, w.memory, space)
		if err != nil || !report.OK() {
			w.report(violated(Storage, "fsck of %s: %v, %v", space, report.Problems, err))
		}
	}
	w.report(w.apart())
	w.catchUp()
	w.close()
}

// drain lets all that is on its way arrive.
func (w *world) drain() {
	for len(w.late) > 0 {
		w.lateStep()
	}
	if len(w.instances) == 0 {
		w.start()
	}
	for range patience {
		w.settle()
		switch {
		case w.result.Violation != nil:
			return
		case len(w.parked) > 0:
			w.release(w.parked[0], goOn)
		case len(w.network) > 0:
			w.deliver(take(w, &w.network), pick(w.chance, w.instances))
		case len(w.replies) > 0:
			w.arrive(take(w, &w.replies))
		case w.open > 0:
			w.sleep(100 * time.Millisecond)
		default:
			w.late = nil // what ran into a timeout during the end
			return
		}
	}
	w.report(violated(NoPoison, "%d requests and %d calls of the store do not end", w.open, len(w.parked)))
}

// sync pushes and pulls once for a tab.
func (w *world) sync(t *tab) {
	if len(t.Pending()) > 0 && w.has(t) && w.result.Violation == nil {
		w.sendPush(t)
		w.drain()
	}
	if w.has(t) && w.result.Violation == nil {
		w.sendPull(t)
		w.drain()
	}
}

// apart says who has not converged, nil if all have.
func (w *world) apart() *Violation {
	for _, t := range w.tabs {
		if n := len(t.Pending()); n > 0 {
			return violated(Converge, "%s still has %d mutations pending", t, n)
		}
		got := entries{}
		for key, raw := range t.View() {
			got[key] = string(raw)
		}
		if v := compare(Converge, "view of "+t.String(), w.oracle.space(t.space).head.state, got); v != nil {
			return v
		}
	}
	return nil
}

// drive runs f, which must succeed, while the store does what it is told.
func (w *world) drive(name string, f func(ctx context.Context) error) {
	over := make(chan error, 1)
	go func() { over <- f(w.ctx) }()
	for range patience {
		w.settle()
		select {
		case err := <-over:
			if err != nil {
				w.report(violated(NoPoison, "%s: %v", name, err))
			}
			return
		default:
		}
		if len(w.parked) > 0 {
			w.release(w.parked[0], goOn)
			continue
		}
		w.sleep(10 * time.Millisecond)
	}
	w.report(violated(NoPoison, "%s does not end", name))
}

// close ends the service as a deployment does.
func (w *world) close() {
	for _, i := range w.instances {
		w.drive("Close", func(ctx context.Context) error {
			i.hub.Close()
			return i.engine.Close(ctx)
		})
	}
}

func is(err error, kinds ...error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
