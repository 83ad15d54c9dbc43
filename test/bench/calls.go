package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/protocol"
)

// stopwatch is how long the calls of each method took. It is safe for concurrent use.
type stopwatch struct {
	mu   sync.Mutex
	took map[string][]float64 // seconds; guarded by mu
}

func (w *stopwatch) note(method string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took[path.Base(method)] = append(w.took[path.Base(method)], d.Seconds())
}

func (w *stopwatch) unary(
	ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	began := time.Now()
	defer func() { w.note(method, time.Since(began)) }()
	return invoke(ctx, method, req, reply, conn, opts...)
}

func (w *stopwatch) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	began := time.Now()
	s, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		return nil, err
	}
	return &timed{ClientStream: s, end: func() { w.note(method, time.Since(began)) }}, nil
}

// timed calls end when the stream has.
type timed struct {
	grpc.ClientStream
	once sync.Once
	end  func()
}

func (s *timed) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		s.once.Do(s.end)
	}
	return err
}

// calls is what 64 pushers call, and wait for, without HTTP.
func (b *bench) calls(ctx context.Context) error {
	t := table{
		title:  "Calls of a push",
		header: []string{"64 pushers in", "call", "per 1,000 mutations", "p50", "p99"},
		note:   "Measured in the process, between the SDK and the emulator, without HTTP.",
	}
	for _, spaces := range []int{1, 64} {
		w := &stopwatch{took: map[string][]float64{}}
		s, err := b.timed(ctx, spaces, w)
		if err != nil {
			return err
		}
		mutations := s.perSecond * b.window.Seconds()
		for _, method := range slices.Sorted(maps.Keys(w.took)) {
			took := slices.Sorted(slices.Values(w.took[method]))
			t.rows = append(t.rows, []string{
				strconv.Itoa(spaces), method, fmt.Sprintf("%.0f", 1000*float64(len(took))/max(mutations, 1)),
				ms(took[len(took)/2]), ms(took[len(took)*99/100]),
			})
		}
		t.rows = append(t.rows, []string{
			strconv.Itoa(spaces), "the push", "1000", ms(s.p50.Seconds()), ms(s.p99.Seconds()),
		})
	}
	b.tables = append(b.tables, t)
	return nil
}

func (b *bench) timed(ctx context.Context, spaces int, w *stopwatch) (sample, error) {
	conn, _, err := rpccount.Dial(b.host,
		grpc.WithChainUnaryInterceptor(w.unary), grpc.WithChainStreamInterceptor(w.stream))
	if err != nil {
		return sample{}, err
	}
	store, err := firestore.Open(ctx, firestore.Config{ProjectID: b.project(), Conn: conn})
	if err != nil {
		return sample{}, err
	}
	defer store.Close()
	e := engine.New(store, chat.Mutators(), engine.Options{})
	defer e.Close(ctx)
	return b.pushers(ctx, 64, func(ctx context.Context, pusher int, id int64) error {
		args, err := json.Marshal(message(pusher, id))
		if err != nil {
			return err
		}
		caller := engine.Caller{Space: protocol.SpaceID(fmt.Sprint("s", pusher%spaces))}
		return e.Push(ctx, caller, &protocol.PushRequest{
			Version: 1, ClientGroupID: protocol.ClientGroupID(fmt.Sprint("g", pusher)),
			Mutations: []protocol.Mutation{{
				ClientID: protocol.ClientID(fmt.Sprint("c", pusher)), ID: id, Name: "createMessage", Args: args,
			}},
		})
	})
}
