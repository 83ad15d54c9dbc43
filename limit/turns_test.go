package limit_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/limit"
)

// A large body that came late does not overtake one that waits.
func TestTurnsAreInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := limit.NewTurns(1)
		first, err := turns.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got, want []int
		var all sync.WaitGroup
		for i := range 100 {
			want = append(want, i)
			all.Go(func() {
				done, err := turns.Wait(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, i) // nobody else has a turn
				time.Sleep(time.Second)
				done()
			})
			synctest.Wait() // until it waits
		}
		first()
		all.Wait()
		if !slices.Equal(got, want) {
			t.Errorf("turns came in the order %v, want that of the waiting", got)
		}
	})
}

func TestTurnsAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := limit.NewTurns(3)
		var mu sync.Mutex
		have, most := 0, 0
		var all sync.WaitGroup
		began := time.Now()
		for range 30 {
			all.Go(func() {
				done, err := turns.Wait(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer done()
				mu.Lock()
				have++
				most = max(most, have)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				have--
				mu.Unlock()
			})
		}
		all.Wait()
		if most != 3 {
			t.Errorf("%d had a turn at once, want 3", most)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("30 seconds of work took %v, want 10 s: 3 at a time, none idle", took)
		}
	})
}

// Who does not wait any more takes no turn, neither his own nor another's.
func TestTurnsOfWhoHasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := limit.NewTurns(1)
		first, err := turns.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("the client has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error)
		go func() {
			_, err := turns.Wait(ctx)
			failed <- err
		}()
		synctest.Wait()
		cancel(gone)
		if err := <-failed; !errors.Is(err, gone) {
			t.Errorf("error = %v, want why the context has ended", err)
		}
		first()
		if _, err := turns.Wait(ctx); !errors.Is(err, gone) {
			t.Errorf("error = %v for who had gone before, though a turn is free", err)
		}
		done, err := turns.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done()
	})
}
