package rpccount

import (
	"context"
	"fmt"
	"maps"
	"path"
	"sync"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Counts is what has been counted.
type Counts struct {
	// RPCs is how often each method was called: "BatchGetDocuments", "Commit", …
	RPCs map[string]int
	// Read is how many documents were read: found by id or yielded by a query.
	Read int
	// Missing is how many ids were asked for and had no document. Firestore bills
	// each as a read.
	Missing int
	// Written is how many writes, deletes included, commits were sent with,
	// whether or not they succeeded.
	Written int
}

// Total is the number of RPCs of all methods.
func (c Counts) Total() int {
	total := 0
	for _, n := range c.RPCs {
		total += n
	}
	return total
}

// Counter counts. It is safe for concurrent use.
type Counter struct {
	mu     sync.Mutex
	counts Counts // guarded by mu
}

// Counts is what has been counted since the last Reset.
func (c *Counter) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	counts.RPCs = maps.Clone(c.counts.RPCs)
	if counts.RPCs == nil {
		counts.RPCs = map[string]int{}
	}
	return counts
}

// Reset begins again at zero, and returns what had been counted until then.
func (c *Counter) Reset() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	c.counts = Counts{}
	return counts
}

// Dial connects to the emulator at host ("host:port"), as the administrator the
// SDK would be, and counts on that connection. The interceptors of extra run
// after the counting ones, so that a call they fail is counted. Whoever is given
// the connection closes it.
func Dial(host string, extra ...grpc.DialOption) (*grpc.ClientConn, *Counter, error) {
	counter := &Counter{}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(owner{}),
		grpc.WithChainUnaryInterceptor(counter.unary),
		grpc.WithChainStreamInterceptor(counter.stream),
	}, extra...)
	conn, err := grpc.NewClient("passthrough:///"+host, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("dialing the Firestore emulator: %w", err)
	}
	return conn, counter, nil
}

// owner is who the emulator lets pass by the security rules.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

func (c *Counter) unary(
	ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	c.add(func(n *Counts) {
		n.called(method)
		if commit, ok := req.(*firestorepb.CommitRequest); ok {
			n.Written += len(commit.GetWrites())
		}
	})
	return invoke(ctx, method, req, reply, conn, opts...)
}

func (c *Counter) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	c.add(func(n *Counts) { n.called(method) })
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		return nil, err
	}
	return &countedStream{ClientStream: stream, counter: c}, nil
}

func (c *Counter) add(f func(*Counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.counts)
}

func (c *Counts) called(method string) {
	if c.RPCs == nil {
		c.RPCs = map[string]int{}
	}
	c.RPCs[path.Base(method)]++
}

type countedStream struct {
	grpc.ClientStream

	counter *Counter
}

func (s *countedStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	s.counter.add(func(n *Counts) { n.received(m) })
	return nil
}

func (c *Counts) received(m any) {
	switch m := m.(type) {
	case *firestorepb.BatchGetDocumentsResponse:
		if m.GetFound() != nil {
			c.Read++
		} else if m.GetMissing() != "" {
			c.Missing++
		}
	case *firestorepb.RunQueryResponse:
		if m.GetDocument() != nil {
			c.Read++
		}
	case *firestorepb.ListenResponse:
		if m.GetDocumentChange() != nil {
			c.Read++
		}
	}
}
