package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// TestGapOfALostClient: a push that goes on from more than the space has is answered with
// ClientStateNotFound, and the log tells of it; a gap within a push is not, however many
// commits lie between the two.
func TestGapOfALostClient(t *testing.T) {
	t.Parallel()
	log := &bytes.Buffer{}
	e := start(t, fresh(t), engine.Options{
		MaxBatchMutations: 2, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	ok := func(id int64) protocol.Mutation { return mutation("c", id, "put", put{fmt.Sprint("k", id), id}) }
	mustPush(t, e, alice, "g1", ok(1))
	within := []protocol.Mutation{ok(1), ok(2), ok(3), ok(4), ok(5), ok(6), ok(8)}
	if err := e.Push(t.Context(), alice, pushOf("g1", within...)); !errors.Is(err, engine.ErrMutationGap) {
		t.Errorf("a gap within a push: %v", err)
	}
	if strings.Contains(log.String(), "lost") {
		t.Errorf("a gap within a push is logged: %s", log)
	}
	err := e.Push(t.Context(), alice, pushOf("g1", ok(8), ok(9)))
	if !sameError(err, protocol.ClientStateNotFound()) {
		t.Errorf("a push from beyond: %v", err)
	}
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "client_id=c") ||
		!strings.Contains(got, "space=s") || strings.Contains(got, "alice") {
		t.Errorf("the log says %q", got)
	}
	mustPush(t, e, alice, "g1", ok(7))
}

// TestGapIsNeverDecidedFromMemory: what an instance remembers of a client may be behind what
// another one has acknowledged.
func TestGapIsNeverDecidedFromMemory(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	here, there := start(t, store, engine.Options{}), start(t, store, engine.Options{})
	ok := func(id int64) protocol.Mutation { return mutation("c", id, "put", put{"k", id}) }
	mustPush(t, here, alice, "g1", ok(1))
	mustPush(t, there, alice, "g1", ok(2), ok(3))
	mustPush(t, here, alice, "g1", ok(4))
	mustPush(t, there, alice, "g1", ok(5))
	err := here.Push(t.Context(), alice, pushOf("g1", ok(9)))
	if !sameError(err, protocol.ClientStateNotFound()) {
		t.Errorf("got %v", err)
	}
	mustPush(t, here, alice, "g1", ok(6))
}
