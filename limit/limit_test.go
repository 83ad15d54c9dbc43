package limit_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/limit"
)

// taken counts how many of n tries the key's bucket lets pass.
func taken(b *limit.Buckets, key string, n int) int {
	passed := 0
	for range n {
		if b.Take(key) == 0 {
			passed++
		}
	}
	return passed
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBuckets(limit.Rate{PerSecond: 10, Burst: 30}, 100)
		if got := taken(b, "a", 1000); got != 30 {
			t.Errorf("at once %d, want the burst of 30", got)
		}
		if got := taken(b, "b", 1000); got != 30 {
			t.Errorf("another key %d, want 30 of its own", got)
		}
		time.Sleep(time.Second)
		if got := taken(b, "a", 1000); got != 10 {
			t.Errorf("after a second %d, want 10", got)
		}
		time.Sleep(time.Hour)
		if got := taken(b, "a", 1000); got != 30 {
			t.Errorf("after an hour %d, want no more than the burst", got)
		}
	})
}

// What is refused takes no token: who asks in vain for a minute is not refused for
// a minute more.
func TestRefusalsAreFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBuckets(limit.Rate{PerSecond: 0.1, Burst: 1}, 1)
		taken(b, "a", 1000)
		if got := b.Take("a"); got != 10 {
			t.Errorf("Take = %d s, want the 10 until there is a token", got)
		}
		time.Sleep(9500 * time.Millisecond)
		if got := b.Take("a"); got != 1 {
			t.Errorf("Take = %d s, want half a second rounded up", got)
		}
		time.Sleep(500 * time.Millisecond)
		if got := b.Take("a"); got != 0 {
			t.Errorf("Take = %d s when the time is over, want 0", got)
		}
	})
}

func TestBucketsForget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBuckets(limit.Rate{PerSecond: 1, Burst: 1}, 10)
		b.Take("first")
		for i := range 9 {
			b.Take(strconv.Itoa(i))
		}
		if b.Take("first") == 0 {
			t.Error("a key among the last 10 was forgotten")
		}
		for i := range 10 {
			b.Take(fmt.Sprint("other", i))
		}
		if b.Take("first") != 0 {
			t.Error("an 11th key is remembered")
		}
	})
}

// Who spends more than there is owes it, up to a time, and waits; who would owe more is
// refused and owes nothing for it.
func TestSpend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := limit.NewBuckets(limit.Rate{PerSecond: 10, Burst: 20}, 1)
		for i, tc := range []struct {
			n    int
			wait time.Duration
			ok   bool
		}{
			{20, 0, true},
			{10, time.Second, true},
			{15, 2500 * time.Millisecond, true},
			{20, 4500 * time.Millisecond, false},
			{5, 3 * time.Second, true},
			{1, 3100 * time.Millisecond, false},
		} {
			wait, ok := b.Spend("a", tc.n, 3*time.Second)
			if wait != tc.wait || ok != tc.ok {
				t.Errorf("%d: Spend(%d) = %v, %v, want %v, %v", i, tc.n, wait, ok, tc.wait, tc.ok)
			}
		}
		if wait, ok := limit.NewBuckets(limit.Rate{}, 1).Spend("a", 1<<30, 0); wait != 0 || !ok {
			t.Errorf("Spend = %v, %v without a rate", wait, ok)
		}
	})
}

func TestSlots(t *testing.T) {
	t.Parallel()
	s := limit.NewSlots(2)
	first, ok := s.Take("a")
	if !ok {
		t.Fatal("the first of two was refused")
	}
	if _, ok := s.Take("a"); !ok {
		t.Fatal("the second of two was refused")
	}
	if _, ok := s.Take("a"); ok {
		t.Error("a third of two was given")
	}
	if _, ok := s.Take("b"); !ok {
		t.Error("another key was refused")
	}
	first()
	if _, ok := s.Take("a"); !ok {
		t.Error("the slot that was given back was refused")
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := limit.NewBudget(10)
	if !b.Take(6) || b.Take(5) || !b.Take(4) || b.Take(1) {
		t.Error("10 bytes are not 6 and 4, refusals in between aside")
	}
	b.Give(6)
	if b.Take(7) || !b.Take(6) {
		t.Error("6 bytes that were given back are not 6")
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	buckets := limit.NewBuckets(limit.Rate{Burst: 1}, 1)
	if got := taken(buckets, "a", 1000); got != 1000 {
		t.Errorf("%d of 1000 passed buckets without a rate", got)
	}
	slots, budget := limit.NewSlots(0), limit.NewBudget(0)
	for range 1000 {
		release, ok := slots.Take("a")
		if !ok || !budget.Take(1<<40) {
			t.Fatal("refused without a limit")
		}
		t.Cleanup(release)
	}
	budget.Give(1 << 40)
	if (buckets.Rate() != limit.Rate{}) {
		t.Errorf("Rate = %v without one", buckets.Rate())
	}
}

// Many at once never have more than there is, and at the end all of it is back.
func TestTogether(t *testing.T) {
	t.Parallel()
	const most = 5
	slots, budget := limit.NewSlots(most), limit.NewBudget(most)
	var holding, holdingBytes atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 200 {
				if release, ok := slots.Take("a"); ok {
					if n := holding.Add(1); n > most {
						t.Errorf("%d slots are taken", n)
					}
					holding.Add(-1)
					release()
				}
				if budget.Take(1) {
					if n := holdingBytes.Add(1); n > most {
						t.Errorf("%d bytes are taken", n)
					}
					holdingBytes.Add(-1)
					budget.Give(1)
				}
			}
		})
	}
	all.Wait()
	if !budget.Take(most) {
		t.Error("not all bytes came back")
	}
	for range most {
		if _, ok := slots.Take("a"); !ok {
			t.Error("not all slots came back")
		}
	}
}

func BenchmarkTake(b *testing.B) {
	buckets := limit.NewBuckets(limit.Rate{PerSecond: 1e9, Burst: 1e9}, 100_000)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("user", i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if buckets.Take(keys[i%len(keys)]) != 0 {
				b.Fatal("refused")
			}
		}
	})
}
