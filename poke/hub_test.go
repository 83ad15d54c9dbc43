package poke_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// quiet checks that nothing is delivered; for use in a synctest bubble.
func quiet(t *testing.T, sub *poke.Subscription) {
	t.Helper()
	synctest.Wait()
	select {
	case v, ok := <-sub.C():
		t.Fatalf("received %d (open: %v), want nothing", v, ok)
	default:
	}
}

func TestFirstVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, f := newHub(t, poke.Options{})
		f.set("s", 7)
		first := subscribe(t, h, "s")
		want(t, first, 7)
		second := subscribe(t, h, "s")
		want(t, second, 7)
		empty := subscribe(t, h, "never written")
		want(t, empty, 0)
		quiet(t, first)
		if n := len(f.live()); n != 2 {
			t.Errorf("%d watches for two spaces", n)
		}
	})
}

// TestVersions is about what is told, with commits of this process (own) and
// what the watch says (seen).
func TestVersions(t *testing.T) {
	t.Parallel()
	type step struct {
		own, seen int64
		want      int64 // -1: nothing
	}
	const none = -1
	for name, steps := range map[string][]step{
		"own commit, then the watch's echo": {{own: 6, want: 6}, {seen: 6, want: none}},
		"watch first, then own":             {{seen: 6, want: 6}, {own: 6, want: none}},
		"watch behind own commits": {
			{own: 6, want: 6}, {own: 7, want: 7}, {seen: 6, want: none}, {seen: 7, want: none},
		},
		"own commit told late":                    {{seen: 7, want: 7}, {own: 6, want: none}},
		"wiped, seen by the watch":                {{seen: 9, want: 9}, {seen: 1, want: 1}, {seen: 2, want: 2}},
		"wiped, while only own commits were told": {{own: 6, want: 6}, {own: 1, want: 1}, {seen: 1, want: none}},
		"wiped, own commit before the watch":      {{seen: 9, want: 9}, {own: 1, want: none}, {seen: 1, want: 1}},
		"restored to an older version":            {{own: 9, want: 9}, {seen: 9, want: none}, {seen: 8, want: 8}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, f := newHub(t, poke.Options{})
				f.set("s", 5)
				sub := subscribe(t, h, "s")
				want(t, sub, 5)
				for i, s := range steps {
					if s.own != 0 {
						h.Notify("s", s.own, nil)
					} else {
						f.set("s", s.seen)
					}
					if s.want != none {
						want(t, sub, s.want)
					}
					quiet(t, sub)
					if t.Failed() {
						t.Fatalf("step %d", i)
					}
				}
			})
		})
	}
}

func TestCoalescing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHub(t, poke.Options{})
		slow, other := subscribe(t, h, "s"), subscribe(t, h, "other")
		want(t, slow, 0)
		want(t, other, 0)
		for v := range int64(1000) {
			h.Notify("s", v+1, nil)
			if v%10 == 0 {
				synctest.Wait() // the dispatcher fills the mailbox in between
			}
		}
		synctest.Wait()
		want(t, slow, 1000)
		quiet(t, slow)
		quiet(t, other)
	})
}

// only concerns an audience, whatever it has heard of.
func only(name string) poke.Concerns {
	return func(audience string, _ int64) bool { return audience == name }
}

// TestAudiences: a version that concerns some listeners wakes no others, and those are told of
// it together with what follows.
func TestAudiences(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, f := newHub(t, poke.Options{})
		f.set("s", 5)
		ann, bob := subscribeAs(t, h, "s", "ann"), subscribeAs(t, h, "s", "bob")
		want(t, ann, 5)
		want(t, bob, 5)

		h.Notify("s", 6, only("ann"))
		want(t, ann, 6)
		quiet(t, bob)

		var heard int64
		h.Notify("s", 7, func(audience string, since int64) bool {
			heard = since
			return audience == "bob"
		})
		want(t, bob, 7)
		quiet(t, ann)
		if heard != 6 {
			t.Errorf("asked about listeners who have heard of %d, want 6", heard)
		}

		h.Notify("s", 8, nil)
		want(t, ann, 8)
		want(t, bob, 8)

		late := subscribeAs(t, h, "s", "late")
		want(t, late, 8)
		f.set("s", 9) // of another process, whose store names no audience
		want(t, ann, 9)
		want(t, bob, 9)
		want(t, late, 9)
	})
}

// TestAudiencesTogether: of versions that the dispatcher tells together, each reaches those
// whom it concerns.
func TestAudiencesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, f := newHub(t, poke.Options{})
		f.set("s", 1)
		ann, bob, eve := subscribeAs(t, h, "s", "ann"), subscribeAs(t, h, "s", "bob"), subscribeAs(t, h, "s", "eve")
		for _, sub := range []*poke.Subscription{ann, bob, eve} {
			want(t, sub, 1)
		}
		h.Notify("s", 2, only("ann"))
		h.Notify("s", 3, only("bob"))
		synctest.Wait()
		for _, sub := range []*poke.Subscription{ann, bob} {
			if v := <-sub.C(); v != 2 && v != 3 {
				t.Errorf("told %d", v)
			}
		}
		quiet(t, eve)
		for v := range int64(1000) { // more than are told apart
			h.Notify("s", v+4, only("ann"))
		}
		synctest.Wait()
		want(t, ann, 1003)
	})
}

func TestNotifyWithoutSubscribers(t *testing.T) {
	t.Parallel()
	h, f := newHub(t, poke.Options{})
	h.Notify("s", 1, nil)
	if n := len(f.begun()); n != 0 {
		t.Errorf("%d watches begun for a space nobody listens to", n)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := poke.Options{MinBackoff: time.Second, MaxBackoff: 8 * time.Second, PollInterval: time.Hour}
		h, f := newHub(t, o)
		f.refuse = errBroken
		sub := subscribe(t, h, "s")
		defer sub.Close()
		time.Sleep(60 * time.Second)
		synctest.Wait()
		watches := f.begun()
		if len(watches) < 8 {
			t.Fatalf("%d watches in a minute, want one every few seconds", len(watches))
		}
		for i := 1; i < len(watches); i++ {
			longest := min(time.Second<<(i-1), 8*time.Second)
			pause := watches[i].began.Sub(watches[i-1].began)
			if pause < longest/2 || pause > longest {
				t.Errorf("pause %d was %v, want between %v and %v", i, pause, longest/2, longest)
			}
		}

		f.change(func() { f.refuse = nil })
		time.Sleep(8 * time.Second)
		want(t, sub, 0)
	})
}

func TestBackoffBeginsAgainAfterALongWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := poke.Options{MinBackoff: time.Second, MaxBackoff: time.Minute, PollInterval: time.Hour}
		h, f := newHub(t, o)
		f.refuse = errBroken
		sub := subscribe(t, h, "s")
		defer sub.Close()
		time.Sleep(30 * time.Second)
		f.change(func() { f.refuse = nil })
		time.Sleep(time.Minute)
		want(t, sub, 0)
		for range 3 {
			time.Sleep(2 * time.Minute)
			before := len(f.begun())
			f.live()[0].broken <- errBroken
			time.Sleep(time.Second)
			synctest.Wait()
			if n := len(f.begun()); n != before+1 {
				t.Fatalf("%d watches begun within MinBackoff, want 1", n-before)
			}
		}
	})
}

// TestWatchReplaced: a change that came while no watch was there is told by the
// next one; the same version is not.
func TestWatchReplaced(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{"with an error": errBroken, "without one": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, f := newHub(t, poke.Options{})
				f.set("s", 3)
				sub := subscribe(t, h, "s")
				want(t, sub, 3)

				f.live()[0].broken <- end
				time.Sleep(time.Second)
				quiet(t, sub)

				f.live()[0].broken <- end
				synctest.Wait()
				f.set("s", 4)
				want(t, sub, 4)
			})
		})
	}
}

// polled is a hub that polls each minute, and a subscriber that knows the version.
func polled(t *testing.T, version int64) (*poke.Hub, *fake, *poke.Subscription) {
	t.Helper()
	h, f := newHub(t, poke.Options{PollInterval: time.Minute})
	f.set("s", version)
	sub := subscribe(t, h, "s")
	want(t, sub, version)
	return h, f, sub
}

func TestPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, f, sub := polled(t, 3)

		// The watch spoke within the first minute, so the first read comes in the second.
		time.Sleep(time.Minute)
		if n := f.reads(); n != 0 {
			t.Errorf("%d reads in the first minute, want 0: the watch has spoken", n)
		}
		time.Sleep(10 * time.Minute)
		if n := f.reads(); n < 9 || n > 12 {
			t.Errorf("%d reads in ten minutes of silence, want about one a minute", n)
		}
		quiet(t, sub)
		if n := len(f.begun()); n != 1 {
			t.Errorf("%d watches begun, want the first to stay", n)
		}

		// A watch that misses a change is found out and replaced.
		f.change(func() { f.deaf = true })
		f.set("s", 2)
		time.Sleep(time.Minute + time.Second)
		want(t, sub, 2)
		synctest.Wait()
		if n, live := len(f.begun()), len(f.live()); n != 2 || live != 1 {
			t.Errorf("%d watches begun, %d live; want 2 and 1", n, live)
		}
	})
}

// TestPollBesideOwnCommits: a watch that misses the changes of others is found out also
// where this process commits so often that its listeners always hear something.
func TestPollBesideOwnCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, f, sub := polled(t, 1)
		f.change(func() { f.deaf = true })
		for version := int64(2); len(f.begun()) == 1; version += 2 {
			if version > 20 {
				t.Fatal("after five minutes the watch is still trusted")
			}
			f.set("s", version) // another's
			time.Sleep(10 * time.Second)
			f.set("s", version+1)
			h.Notify("s", version+1, nil)
			want(t, sub, version+1)
			time.Sleep(20 * time.Second)
		}
	})
}

// TestPollIsLate: what was read before a commit is not told after it.
func TestPollIsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, f, sub := polled(t, 3)
		f.change(func() {
			f.reading = func() {
				f.change(func() { f.reading = nil })
				h.Notify("s", 4, nil)
			}
		})
		time.Sleep(2 * time.Minute)
		want(t, sub, 4)
		f.set("s", 4)
		quiet(t, sub)
		if n := len(f.begun()); n != 1 {
			t.Errorf("%d watches begun, want the first to be trusted", n)
		}
	})
}

func TestPollError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, f := newHub(t, poke.Options{PollInterval: time.Minute})
		f.refuse, f.headErr = errBroken, errBroken
		f.versions["s"] = 5
		sub := subscribe(t, h, "s")
		time.Sleep(3 * time.Minute)
		quiet(t, sub)
		f.change(func() { f.headErr = nil })
		time.Sleep(time.Minute)
		want(t, sub, 5)
	})
}

func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, f := newHub(t, poke.Options{Linger: 10 * time.Second, PollInterval: time.Second})
		sub := subscribe(t, h, "s")
		want(t, sub, 0)
		sub.Close()
		sub.Close() // does not count twice
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if n := len(f.live()); n != 1 {
			t.Fatalf("%d watches while lingering, want 1", n)
		}

		back := subscribe(t, h, "s")
		want(t, back, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(f.begun()); n != 1 {
			t.Fatalf("%d watches begun, want the first one to be kept", n)
		}

		back.Close()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(f.live()); n != 0 {
			t.Fatalf("%d watches after the linger, want none", n)
		}
		reads := f.reads()
		time.Sleep(time.Minute)
		if f.reads() != reads {
			t.Errorf("a space nobody listens to is still polled")
		}

		again := subscribe(t, h, "s")
		want(t, again, 0)
	})
}

// tooMany reports whether err is the limit that text names.
func tooMany(err error, text string) bool {
	return errors.Is(err, poke.ErrTooManyStreams) && strings.Contains(err.Error(), text)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, poke.Options{MaxSubscribers: 3, MaxPerSpace: 2})
	a := subscribe(t, h, "a")
	subscribe(t, h, "a")
	if _, err := h.Subscribe("a", ""); !tooMany(err, "2 listeners") {
		t.Errorf("third subscriber of a space: %v, want ErrTooManyStreams", err)
	}
	subscribe(t, h, "b")
	if _, err := h.Subscribe("c", ""); !tooMany(err, "3 listeners") {
		t.Errorf("fourth subscriber: %v, want ErrTooManyStreams", err)
	}
	a.Close()
	a.Close()
	subscribe(t, h, "c")
	if _, err := h.Subscribe("d", ""); !errors.Is(err, poke.ErrTooManyStreams) {
		t.Errorf("subscriber after one was closed twice: %v, want ErrTooManyStreams", err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	h, f := newHub(t, poke.Options{})
	subs := []*poke.Subscription{subscribe(t, h, "a"), subscribe(t, h, "a"), subscribe(t, h, "b")}
	for _, sub := range subs {
		want(t, sub, 0)
	}
	h.Close()
	h.Close()
	if n := len(f.live()); n != 0 {
		t.Errorf("%d watches after Close", n)
	}
	for _, sub := range subs {
		if v, err := sub.Next(t.Context()); !errors.Is(err, poke.ErrClosed) {
			t.Errorf("Next after Close = %d, %v; want ErrClosed", v, err)
		}
		sub.Close()
	}
	if _, err := h.Subscribe("a", ""); !errors.Is(err, poke.ErrClosed) {
		t.Errorf("Subscribe after Close: %v, want ErrClosed", err)
	}
	h.Notify("a", 1, nil)
}

func TestNextContext(t *testing.T) {
	t.Parallel()
	h, f := newHub(t, poke.Options{})
	f.refuse = errBroken
	sub := subscribe(t, h, "s")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sub.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v, want context.Canceled", err)
	}
}

// TestTogether has everything happen at once, and checks that whoever is left
// hears of the last version.
func TestTogether(t *testing.T) {
	t.Parallel()
	h, f := newHub(t, poke.Options{Linger: time.Millisecond, PollInterval: time.Millisecond, MinBackoff: time.Millisecond})
	spaces := []protocol.SpaceID{"a", "b", "c"}
	const last = 2000
	var wg sync.WaitGroup
	for _, s := range spaces {
		wg.Go(func() {
			for v := range int64(last) {
				f.change(func() { f.versions[s] = v + 1 })
				h.Notify(s, v+1, nil)
			}
		})
		wg.Go(func() {
			for range 100 {
				for _, w := range f.live() {
					select {
					case w.broken <- errBroken:
					default:
					}
				}
			}
		})
		for range 4 {
			wg.Go(func() {
				for range 200 {
					sub, err := h.Subscribe(s, "")
					if err != nil {
						t.Errorf("Subscribe: %v", err)
						return
					}
					if rand.N(2) == 0 {
						_, _ = sub.Next(t.Context())
					}
					sub.Close()
				}
			})
		}
		wg.Go(func() {
			sub, err := h.Subscribe(s, "")
			if err != nil {
				t.Errorf("Subscribe: %v", err)
				return
			}
			for v := int64(-1); v != last; {
				if v, err = sub.Next(t.Context()); err != nil {
					t.Errorf("Next: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkNotify(b *testing.B) {
	for _, subscribers := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			h, _ := newHub(b, poke.Options{})
			var received sync.WaitGroup
			var readers sync.WaitGroup
			received.Add(subscribers)
			for range subscribers {
				sub := subscribe(b, h, "s")
				readers.Go(func() {
					for range sub.C() {
						received.Done()
					}
				})
			}
			received.Wait()
			b.ReportAllocs()
			b.ResetTimer()
			for v := range int64(b.N) {
				received.Add(subscribers)
				h.Notify("s", v+1, nil)
				received.Wait() // until everybody has read it
			}
			b.StopTimer()
			h.Close()
			readers.Wait()
		})
	}
}
