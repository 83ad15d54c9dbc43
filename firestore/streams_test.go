package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/protocol"
)

// verbatim is a codec for who passes messages on.
type verbatim struct{}

func (verbatim) Name() string { return "verbatim" }

func (verbatim) Marshal(v any) ([]byte, error) {
	raw, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("not bytes but %T", v)
	}
	return *raw, nil
}

func (verbatim) Unmarshal(data []byte, v any) error {
	raw, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("not bytes but %T", v)
	}
	*raw = append([]byte(nil), data...)
	return nil
}

// frontEnd passes everything on to the emulator, and takes so many streams on a connection.
func frontEnd(t *testing.T, streams uint32) (address string) {
	t.Helper()
	back, err := grpc.NewClient("passthrough:///"+emulatortest.Host(t),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(verbatim{})))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxConcurrentStreams(streams), grpc.ForceServerCodec(verbatim{}),
		grpc.UnknownServiceHandler(func(_ any, in grpc.ServerStream) error { return passOn(in, back) }))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
		_ = back.Close()
	})
	return listener.Addr().String()
}

func passOn(in grpc.ServerStream, back *grpc.ClientConn) error {
	method, _ := grpc.MethodFromServerStream(in)
	md, _ := metadata.FromIncomingContext(in.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(in.Context(), md))
	defer cancel()
	out, err := back.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel()
	sending.Go(func() {
		for {
			var m []byte
			if err := in.RecvMsg(&m); err != nil {
				_ = out.CloseSend()
				return
			}
			if err := out.SendMsg(&m); err != nil {
				return
			}
		}
	})
	for {
		var m []byte
		if err := out.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := in.SendMsg(&m); err != nil {
			return err
		}
	}
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
