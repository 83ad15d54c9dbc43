package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var watchCases = []testCase{
	{name: "WatchTellsTheHeadAtOnce", run: testWatchFirst},
	{name: "WatchTellsEachChange", run: testWatchChanges},
	{name: "WatchTellsOthersChanges", run: testWatchOthers, needs: []capability{second}},
	{name: "WatchOfASlowReader", run: testWatchSlow},
	{name: "WatchByMany", run: testWatchMany},
	{name: "WatchAfterWipe", run: testWatchWipe, needs: []capability{wipe}},
	{name: "WipedSpaceBeginsAnew", run: testWipe, needs: []capability{wipe}},
}

// ends reports whether err is what Watch may return when its context has ended.
func ends(err error) bool {
	return err == nil || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded)
}

// watcher is a running Watch.
type watcher struct {
	k     *kit
	heads chan engine.Head
	// stop ends it and waits until it has returned.
	stop func()
}

// watch starts a Watch that ends with the case.
func (k *kit) watch(store engine.Store, space protocol.SpaceID) *watcher {
	ctx, cancel := context.WithCancel(k.ctx)
	w := &watcher{k: k, heads: make(chan engine.Head, 10_000)}
	var inside, over atomic.Bool
	var last int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := store.Watch(ctx, space, func(head engine.Head) {
			if inside.Swap(true) || over.Load() {
				k.Errorf("notify called twice at once, or after Watch returned")
			}
			if head.Version < last && head.Exists() {
				k.Errorf("told version %d after %d", head.Version, last)
			}
			last = head.Version
			w.heads <- head
			inside.Store(false)
		})
		over.Store(true)
		if ctx.Err() == nil || !ends(err) {
			k.Errorf("Watch returned %v; its context: %v", err, ctx.Err())
		}
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	k.Cleanup(w.stop)
	return w
}

// until waits to be told a head that is the one wanted.
func (w *watcher) until(what string, wanted func(engine.Head) bool) engine.Head {
	w.k.Helper()
	for {
		select {
		case head := <-w.heads:
			if wanted(head) {
				return head
			}
		case <-w.k.ctx.Done():
			w.k.Fatalf("never told %s", what)
		}
	}
}

// reaches waits to be told head, and compares it.
func (w *watcher) reaches(head engine.Head) {
	w.k.Helper()
	got := w.until(fmt.Sprintf("version %d", head.Version), func(h engine.Head) bool {
		return h.Version >= head.Version
	})
	w.k.same("head told by Watch", got, head)
	if got.Revision != head.Revision {
		w.k.Errorf("told revision %q, want %q", got.Revision, head.Revision)
	}
}

func testWatchFirst(k *kit) {
	absent := k.watch(k.Store, "absent")
	first := absent.until("anything", func(engine.Head) bool { return true })
	k.same("first head of an absent space", first, engine.Head{})
	absent.reaches(k.commit("absent", engine.Head{}, Put("k", `1`)))

	head := k.commit("s", engine.Head{}, Put("k", `1`))
	head = k.commit("s", head, Put("k", `2`))
	k.watch(k.Store, "s").reaches(head)
}

func testWatchChanges(k *kit) {
	head := k.commit("s", engine.Head{})
	w := k.watch(k.Store, "s")
	w.reaches(head)
	for range 10 {
		head = k.commit("s", head, Put("k", `1`))
		w.reaches(head)
	}
	k.commit("other", engine.Head{}, Put("k", `1`))
	w.stop()
	k.commit("s", head, Put("k", `1`))
	if len(w.heads) != 0 {
		k.Errorf("told %+v of another space, or after it ended", <-w.heads)
	}
}

func testWatchOthers(k *kit) {
	w := k.watch(k.Second(), "s")
	var head engine.Head
	for range 5 {
		head = k.commit("s", head, Put("k", `1`))
		w.reaches(head)
	}
}

// testWatchSlow keeps notify from returning while the space goes on.
func testWatchSlow(k *kit) {
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	release := make(chan struct{})
	told := make(chan engine.Head, 1_000)
	var watching sync.WaitGroup
	watching.Go(func() {
		_ = k.Store.Watch(ctx, "s", func(head engine.Head) {
			told <- head
			<-release
		})
	})
	<-told // the zero head: notify is held from now on
	var head engine.Head
	for range 20 {
		head = k.commit("s", head, Put("k", `1`))
	}
	close(release)
	w := watcher{k: k, heads: told}
	w.reaches(head)
	cancel()
	watching.Wait()
}

func testWatchMany(k *kit) {
	var watchers []*watcher
	for range 10 {
		watchers = append(watchers, k.watch(k.Store, "s"))
	}
	head := k.commit("s", engine.Head{}, Put("k", `1`))
	for i, w := range watchers {
		w.reaches(head)
		if i%2 == 0 {
			w.stop()
		}
	}
	head = k.commit("s", head, Put("k", `2`))
	for i, w := range watchers {
		if i%2 == 1 {
			w.reaches(head)
		}
	}
}

func testWatchWipe(k *kit) {
	w := k.watch(k.Store, "s")
	w.reaches(k.commit("s", engine.Head{}, Put("k", `1`)))
	if err := k.Wipe(k.ctx); err != nil {
		k.Fatal(err)
	}
	w.until("that the space is gone", func(h engine.Head) bool { return !h.Exists() })
	w.reaches(k.commit("s", engine.Head{}, Put("k", `2`)))
}

func testWipe(k *kit) {
	old := k.commit("s", engine.Head{}, Put("k", `1`), Group("g", "u", "s"), Client("c", "g", 1))
	if err := k.Wipe(k.ctx); err != nil {
		k.Fatal(err)
	}
	k.same("wiped space", k.view("s"), view{})
	k.refused("s", Step(old, Put("k", `2`)), engine.ErrConflict)
	anew := k.commit("s", engine.Head{}, Put("k", `3`), Group("g", "v", "s"))
	if anew.Revision == old.Revision {
		k.Errorf("revision %q came back after a wipe", anew.Revision)
	}
	k.refused("s", Step(old, Put("k", `4`)), engine.ErrConflict)
}
