package faultrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// commitTimeout is how long a commit may take once its sender has gone.
const commitTimeout = time.Minute

// Proxy is a gRPC server on the loopback address that passes every call on to another
// one, through an Injector: it breaks the calls of another process, to which no connection
// can be given. A commit that has arrived is passed on even if its sender has died. Make
// it with Listen, end it with Close.
type Proxy struct {
	listener net.Listener
	server   *grpc.Server
	conn     *grpc.ClientConn
	work     sync.WaitGroup
}

// Listen makes a Proxy on a free port of 127.0.0.1, for the server at target, "host:port".
// The options are for it as a server: how many streams it takes on a connection, say.
func Listen(ctx context.Context, target string, i *Injector, options ...grpc.ServerOption) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	conn, err := grpc.NewClient("passthrough:///"+target, append(i.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32),
		))...)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("dialing %s: %w", target, err)
	}
	p := &Proxy{listener: listener, conn: conn}
	p.server = grpc.NewServer(append(options,
		grpc.UnknownServiceHandler(p.pass), grpc.ForceServerCodecV2(raw{}), grpc.MaxRecvMsgSize(math.MaxInt32),
	)...)
	p.work.Go(func() { _ = p.server.Serve(listener) }) // until Close
	return p, nil
}

// Addr is where the Proxy listens, "host:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends the Proxy with all calls that are under way, and waits for them.
func (p *Proxy) Close() {
	_ = p.conn.Close()
	p.server.Stop()
	p.work.Wait()
}

// pass is one call. All are passed on as streams in both directions, which a unary call is
// too on the wire.
func (p *Proxy) pass(_ any, caller grpc.ServerStream) error {
	// Read before anything can be held back: of a caller that has gone nothing can be read.
	var first message
	if err := caller.RecvMsg(&first); err != nil {
		return err
	}
	method, _ := grpc.MethodFromServerStream(caller)
	ctx, cancel := outgoing(caller.Context(), method)
	defer cancel()
	call, err := p.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	_ = call.SendMsg(&first) // an error of the call is what RecvMsg returns
	// Whoever listens does not say that he has sent everything, so the end of the requests
	// cannot be awaited here: they end with the call.
	p.work.Go(func() { forward(call, caller) })
	for {
		var m message
		err := call.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := caller.SendMsg(&m); err != nil {
			return err
		}
	}
}

// outgoing is the context of a call that is passed on.
func outgoing(ctx context.Context, method string) (context.Context, context.CancelFunc) {
	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()
	for _, transports := range []string{":authority", "content-type", "user-agent", "grpc-accept-encoding"} {
		md.Delete(transports)
	}
	ctx = metadata.NewOutgoingContext(ctx, md)
	if path.Base(method) != "Commit" {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
}

// forward passes further requests on until the caller has sent all or has gone.
func forward(call grpc.ClientStream, caller grpc.ServerStream) {
	for {
		var m message
		if caller.RecvMsg(&m) != nil || call.SendMsg(&m) != nil {
			_ = call.CloseSend()
			return
		}
	}
}

// message is a message that nobody looks into.
type message struct{ bytes []byte }

// raw is the codec of messages.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, fmt.Errorf("marshal %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(m.bytes)}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("unmarshal %T", v)
	}
	m.bytes = data.Materialize()
	return nil
}
