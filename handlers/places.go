package handlers

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/limit"
)

// A pull that reads entries, or whose answer from memory is large, has a place while it reads
// and writes. One that finds nothing new, or little in memory, needs none: so those who are
// told of a commit at the same moment do not wait for each other.
const (
	// userPlaces is for the pulls of a user who is signed in: some tabs that begin at once.
	userPlaces = 4
	// addressPlaces is for those of an address. An office whose people all begin at once waits
	// a moment: a place is held for as long as the client takes the answer.
	addressPlaces = 16
	// allPlaces is for those of all. Each reads into 512 KiB of memory, by two queries.
	allPlaces = 200
	// placeWait is how long a pull waits for a place, and then it is refused.
	placeWait = 5 * time.Second
)

// places are those of pulls at work.
type places struct {
	users, addresses *limit.Places
	all              *limit.Turns
}

func newPlaces() places {
	return places{
		users: limit.NewPlaces(userPlaces), addresses: limit.NewPlaces(addressPlaces), all: limit.NewTurns(allPlaces),
	}
}

// place is what a pull holds of them.
type place struct {
	x    *exchange
	give []func() // in the order in which they were taken
}

// take waits for a place of the user, of the address and of all, and asks again for the right
// to read, which may have been taken away meanwhile. The engine calls it.
func (p *place) take(ctx context.Context) error {
	x, l, end := p.x, &p.x.h.limits.places, time.Now().Add(placeWait)
	if user := x.principal.UserID; user != "" {
		err := p.wait(ctx, end, "One user", userPlaces, func(ctx context.Context) (func(), error) {
			return l.users.Wait(ctx, user)
		})
		if err != nil {
			return err
		}
	}
	err := p.wait(ctx, end, "One address", addressPlaces, func(ctx context.Context) (func(), error) {
		return l.addresses.Wait(ctx, x.address())
	})
	if err != nil {
		return err
	}
	if err := p.wait(ctx, end, "All users together", allPlaces, l.all.Wait); err != nil {
		return err
	}
	return x.stillAllowed(ctx, auth.Read)
}

// wait waits for one of the three, until end.
func (p *place) wait(
	ctx context.Context, end time.Time, whose string, most int, turn func(context.Context) (func(), error),
) error {
	ctx, cancel := context.WithDeadlineCause(ctx, end, noPlace(whose, most))
	defer cancel()
	done, err := turn(ctx)
	if err != nil {
		return err
	}
	p.give = append(p.give, done)
	return nil
}

func noPlace(whose string, most int) error {
	return later{refusal{http.StatusTooManyRequests, "overloaded", fmt.Sprintf(
		"%s may have %d large answers under way at once, and those before have taken longer than %v.",
		whose, most, placeWait,
	)}, int(placeWait.Seconds())}
}

// held reports whether the pull has a place.
func (p *place) held() bool { return len(p.give) > 0 }

// release gives back what was taken.
func (p *place) release() {
	for _, give := range slices.Backward(p.give) {
		give()
	}
	p.give = nil
}
