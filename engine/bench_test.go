package engine_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// The engine's own cost, without a network: the store is in memory.

func BenchmarkPush(b *testing.B) {
	for _, n := range []int64{1, 100} {
		b.Run(fmt.Sprintf("mutations=%d", n), func(b *testing.B) {
			e := engine.New(memory.New(), testMutators(&flaky{}), engine.Options{})
			defer e.Close(context.Background())
			next := int64(1)
			b.ReportAllocs()
			for b.Loop() {
				var ms []protocol.Mutation
				for range n {
					ms = append(ms, mutation("c", next, "put", put{fmt.Sprint("k", next%1000), next}))
					next++
				}
				if err := e.Push(b.Context(), alice, pushOf("g1", ms...)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPushMessages has values whose members are not in order, as those of most
// structs are not.
func BenchmarkPushMessages(b *testing.B) {
	type message struct {
		From    string `json:"from"`
		Content string `json:"content"`
		Order   int64  `json:"order"`
	}
	mutators := mutate.NewRegistry()
	mutate.Register(mutators, "send", func(_ context.Context, tx mutate.WriteTransaction, m message) error {
		return tx.Set(fmt.Sprint("message/", m.Order), m)
	})
	e := engine.New(memory.New(), mutators, engine.Options{})
	defer e.Close(context.Background())
	next := int64(1)
	b.ReportAllocs()
	for b.Loop() {
		var ms []protocol.Mutation
		for range 100 {
			ms = append(ms, mutation("c", next, "send", message{"Jane", "Hey, what's for lunch?", next % 1000}))
			next++
		}
		if err := e.Push(b.Context(), alice, pushOf("g1", ms...)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPull is what one of many clients costs that were told of a commit of this
// instance's: its changes are in memory. The answer is encoded, and thrown away.
func BenchmarkPull(b *testing.B) {
	for _, n := range []int64{0, 1, 20, 400} {
		b.Run(fmt.Sprintf("changes=%d", n), func(b *testing.B) {
			e := engine.New(memory.New(), testMutators(&flaky{}), engine.Options{})
			defer e.Close(context.Background())
			cookie := cookieOf("null")
			pull := func() *protocol.PullResponse {
				resp, err := e.Pull(b.Context(), alice, &protocol.PullRequest{
					Version: 1, ClientGroupID: "g1", Cookie: cookie,
				})
				if err != nil {
					b.Fatal(err)
				}
				if err := resp.Encode(io.Discard); err != nil {
					b.Fatal(err)
				}
				return resp
			}
			ms := []protocol.Mutation{mutation("c", 1, "put", put{"first", 1})}
			if err := e.Push(b.Context(), alice, pushOf("g1", ms...)); err != nil {
				b.Fatal(err)
			}
			cookie = cookieOf(string(pull().Cookie))
			ms = nil
			for i := range n {
				ms = append(ms, mutation("c", 2+i, "put", put{fmt.Sprint("k", i), i}))
			}
			if err := e.Push(b.Context(), alice, pushOf("g1", ms...)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				pull()
			}
		})
	}
}
