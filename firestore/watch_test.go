package firestore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

// watch runs a watch; heads are what it tells, the error is what it ends with.
func watch(ctx context.Context, f fixture) (heads chan engine.Head, done chan error) {
	heads, done = make(chan engine.Head, 100), make(chan error, 1)
	go func() {
		done <- f.Watch(ctx, space, func(h engine.Head) { heads <- h })
	}()
	return heads, done
}

// receive waits for what has to come, and gives up when it surely will not.
func receive[T any](t *testing.T, from chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(5 * time.Minute):
		t.Fatal("nothing came")
	}
	return v
}

func TestWatch(t *testing.T) {
	t.Parallel()
	f := open(t)
	other := openProject(t, f.project)
	ctx, cancel := context.WithCancel(t.Context())
	heads, done := watch(ctx, f)

	if got := receive(t, heads); got != (engine.Head{}) {
		t.Errorf("told %+v of a space that does not exist, want the zero Head", got)
	}
	var head engine.Head
	for range 3 {
		head = other.mustCommit(t, after(head))
		if got := receive(t, heads); got != head {
			t.Errorf("told %+v, want %+v", got, head)
		}
	}
	emulatortest.Wipe(ctx, t, f.project)
	if got := receive(t, heads); got != (engine.Head{}) {
		t.Errorf("told %+v after a wipe, want the zero Head", got)
	}
	cancel()
	if err := receive(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch = %v, want context.Canceled", err)
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.faults.add(fault{method: "Listen", code: codes.PermissionDenied, text: "reason"})
	if err := f.Watch(t.Context(), space, func(engine.Head) {}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Watch = %v, want ErrUnavailable", err)
	}

	if _, err := f.raw(t).Doc("spaces/s").Set(t.Context(), map[string]any{"version": "1"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Watch(t.Context(), space, func(engine.Head) {}); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("Watch of a corrupt head = %v, want ErrCorrupt", err)
	}
	if n := f.faults.open(); n != 0 {
		t.Errorf("%d streams are left open", n)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Watch(ctx, space, func(engine.Head) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch with a context that ended = %v, want context.Canceled", err)
	}
}

// TestWatchMissesNothingAtItsStart commits just after the state that a listener
// begins with, and lets the listener miss it, as the emulator does at times.
func TestWatchMissesNothingAtItsStart(t *testing.T) {
	t.Parallel()
	f := open(t)
	other := openProject(t, f.project)
	var head engine.Head
	const messages = 4 // the target is added, no document, current, consistent
	f.faults.add(
		fault{method: "Listen", after: messages, mute: true},
		fault{method: "BatchGetDocuments", before: func() {
			head = other.mustCommit(t, after(engine.Head{}))
		}},
	)
	heads, _ := watch(t.Context(), f)
	if got := receive(t, heads); got.Version != 1 || got != head {
		t.Errorf("told %+v, want %+v of version 1", got, head)
	}
}

// TestWatchNeverGoesBack commits between a listener's beginning and what Watch
// tells first; the listener still has to tell these commits, one by one.
func TestWatchNeverGoesBack(t *testing.T) {
	t.Parallel()
	f := open(t)
	other := openProject(t, f.project)
	f.faults.add(fault{method: "BatchGetDocuments", before: func() { other.fill(t, 3) }})
	heads, _ := watch(t.Context(), f)
	last := receive(t, heads)
	if last.Version != 3 {
		t.Errorf("told version %d first, want 3", last.Version)
	}
	other.mustCommit(t, after(last))
	for last.Version < 4 {
		head := receive(t, heads)
		if head.Version < last.Version {
			t.Errorf("told version %d after %d", head.Version, last.Version)
		}
		last = head
	}
}

func TestWatchSurvivesWhatPasses(t *testing.T) {
	t.Parallel()
	f := open(t)
	head := f.fill(t, 1)
	f.faults.add(fault{method: "Listen", code: codes.Unavailable})
	heads, _ := watch(t.Context(), f)
	if got := receive(t, heads); got != head {
		t.Errorf("told %+v, want %+v", got, head)
	}
	if f.faults.left() > 0 {
		t.Error("the fault was not used")
	}
}
