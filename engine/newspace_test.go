package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var errEnough = errors.New("enough spaces")

// asking is alice, in a space, who is counted when she asks for it, and then has the answer.
func asking(id protocol.SpaceID, asked *atomic.Int64, answer error) engine.Caller {
	return engine.Caller{Space: id, UserID: "alice", NewSpace: func() error {
		asked.Add(1)
		return answer
	}}
}

func TestNewSpace(t *testing.T) {
	t.Parallel()
	first := mutation("c1", 1, "put", put{"k", 1})
	tests := []struct {
		name    string
		before  []protocol.Mutation // by others, who may do it
		answer  error
		push    []protocol.Mutation
		wantErr error
		asked   int64
		version int64
	}{
		{name: "allowed", push: []protocol.Mutation{first}, asked: 1, version: 1},
		{name: "refused", answer: errEnough, push: []protocol.Mutation{first}, wantErr: errEnough, asked: 1},
		{
			name: "refused, of many", answer: errEnough, wantErr: errEnough, asked: 1,
			push: []protocol.Mutation{first, mutation("c1", 2, "put", put{"k", 2})},
		},
		{
			name: "rejected mutation", push: []protocol.Mutation{mutation("c1", 1, "fail", put{"k", 1})},
			asked: 1, version: 1,
		},
		{
			name: "nothing to create", answer: errEnough,
			push: []protocol.Mutation{mutation("c1", 2, "put", put{"k", 1})}, wantErr: protocol.ClientStateNotFound(),
		},
		{
			name: "space that exists", before: []protocol.Mutation{mutation("c0", 1, "put", put{"k", 0})},
			answer: errEnough, push: []protocol.Mutation{first}, version: 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := start(t, fresh(t), engine.Options{})
			if tt.before != nil {
				mustPush(t, e, bob, "g0", tt.before...)
			}
			var asked atomic.Int64
			err := e.Push(t.Context(), asking(space, &asked, tt.answer), pushOf("g1", tt.push...))
			if !sameError(err, tt.wantErr) {
				t.Errorf("Push: got error %v, want %v", err, tt.wantErr)
			}
			if got := asked.Load(); got != tt.asked {
				t.Errorf("asked %d times, want %d", got, tt.asked)
			}
			if head, err := e.Head(t.Context(), space); err != nil || head.Version != tt.version {
				t.Errorf("version = %d (%v), want %d", head.Version, err, tt.version)
			}
		})
	}
}

// Of many pushes that come together to a space that is not there, one is asked until one
// may create it; the others find it there, whether they may create spaces or not.
func TestNewSpaceIsCreatedOnce(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	var allowed, refused, failures atomic.Int64
	var all sync.WaitGroup
	const pairs = 20
	for i := range pairs {
		for j, c := range []engine.Caller{
			asking(space, &allowed, nil), asking(space, &refused, errEnough),
		} {
			client := fmt.Sprintf("c%d-%d", i, j)
			all.Go(func() {
				err := e.Push(t.Context(), c, pushOf(protocol.ClientGroupID("g"+client),
					mutation(protocol.ClientID(client), 1, "put", put{client, 1})))
				switch {
				case errors.Is(err, errEnough):
					failures.Add(1)
				case err != nil:
					t.Errorf("Push: %v", err)
				}
			})
		}
	}
	all.Wait()
	if got := allowed.Load(); got != 1 {
		t.Errorf("%d who may were asked, want 1", got)
	}
	if r, f := refused.Load(), failures.Load(); r != f || f > pairs {
		t.Errorf("%d who may not were asked, and %d refused", r, f)
	}
}
