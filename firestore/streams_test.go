package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/protocol"
)

// frontEnd passes everything on to the emulator, and takes so many streams on a connection.
func frontEnd(t *testing.T, streams uint32) (address string) {
	t.Helper()
	p, err := faultrpc.Listen(t.Context(), emulatortest.Host(t), faultrpc.New(0), grpc.MaxConcurrentStreams(streams))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p.Addr()
}

// TestWatchesTakeNothingFromCalls: where all the streams of a connection are taken by
// watches, calls go on.
func TestWatchesTakeNothingFromCalls(t *testing.T) {
	t.Parallel()
	const streams = 8
	store, err := firestore.Open(t.Context(), firestore.Config{
		ProjectID: emulatortest.Project(t), EmulatorHost: frontEnd(t, streams),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watches sync.WaitGroup
	told := make(chan protocol.SpaceID, 2*streams)
	for i := range 2 * streams {
		id := protocol.SpaceID(fmt.Sprint("watched", i))
		watches.Go(func() {
			if err := store.Watch(ctx, id, func(engine.Head) { told <- id }); ctx.Err() == nil {
				t.Errorf("Watch ended: %v", err)
			}
		})
	}
	for range streams {
		<-told
	}
	head := engine.Head{}
	for range 3 {
		if head, err = store.Commit(t.Context(), space, after(head)); err != nil {
			t.Fatalf("commit beside %d watches: %v", streams, err)
		}
		if _, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true}); err != nil {
			t.Fatalf("snapshot beside %d watches: %v", streams, err)
		}
	}
	if n := len(told); n > 0 {
		t.Errorf("%d more spaces are watched than there are streams", n)
	}
	cancel()
	watches.Wait()
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if err := store.Watch(t.Context(), space, func(engine.Head) {}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("watch of a closed store: got %v, want ErrUnavailable", err)
	}
}
