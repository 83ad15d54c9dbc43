package limit_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/limit"
)

// Each key has places of its own; who finds none waits, and who does not wait any more takes
// none.
func TestPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		places := limit.NewPlaces(2)
		wait := func(ctx context.Context, key string) func() {
			done, err := places.Wait(ctx, key)
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			return done
		}
		first, second, other := wait(t.Context(), "a"), wait(t.Context(), "a"), wait(t.Context(), "b")
		full := errors.New("full")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, full)
		defer cancel()
		began := time.Now()
		if _, err := places.Wait(ctx, "a"); !errors.Is(err, full) || time.Since(began) != 5*time.Second {
			t.Errorf("a third place of two: %v after %v, want the context's cause after 5 s", err, time.Since(began))
		}
		time.AfterFunc(time.Second, first)
		began = time.Now()
		third := wait(t.Context(), "a")
		if d := time.Since(began); d != time.Second {
			t.Errorf("the place that was given back came after %v, want 1 s", d)
		}
		second()
		third()
		other()
		if n := places.Keys(); n != 0 {
			t.Errorf("%d keys are remembered, want none: nobody holds a place", n)
		}
	})
}

// Many at once never have more places than there are, and each gets one.
func TestPlacesTogether(t *testing.T) {
	t.Parallel()
	const most, keys = 3, 4
	places := limit.NewPlaces(most)
	var held [keys]atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			for range 200 {
				done, err := places.Wait(t.Context(), strconv.Itoa(i%keys))
				if err != nil {
					t.Error(err)
					return
				}
				if n := held[i%keys].Add(1); n > most {
					t.Errorf("%d places of a key are taken, want %d at the most", n, most)
				}
				held[i%keys].Add(-1)
				done()
			}
		})
	}
	all.Wait()
	if n := places.Keys(); n != 0 {
		t.Errorf("%d keys are remembered, want none", n)
	}
}
