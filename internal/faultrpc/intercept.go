package faultrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

func (i *Injector) unary(
	ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	v, err := i.next(method)
	if err != nil {
		return err
	}
	if v.dies == Later {
		return i.crashLater(method, req, reply)
	}
	if v.met {
		if err := i.hold(ctx, v.fault); err != nil {
			return err
		}
	}
	err = invoke(ctx, method, req, reply, conn, opts...)
	switch {
	case v.dies == After:
		return i.crash()
	case err == nil && v.met && v.fault.kind == FailAfter:
		i.count(FailAfter)
		err = v.fault.error()
	}
	return i.answer(err)
}

// hold does what a fault does before a call is sent; with an error it is not sent.
func (i *Injector) hold(ctx context.Context, f fault) error {
	switch f.kind {
	case FailBefore:
		i.count(FailBefore)
		return f.error()
	case Drop:
		i.count(Drop)
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	case Delay:
		i.count(Delay)
		if err := wait(ctx, f.delay); err != nil {
			return status.FromContextError(err).Err()
		}
	case FailAfter, Cut: // later
	}
	return nil
}

func (f fault) error() error { return status.Error(f.code, f.text) }

func (i *Injector) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	v, err := i.next(method)
	if err != nil {
		return nil, err
	}
	if v.dies == Later {
		return nil, i.crash()
	}
	if v.met {
		if err := i.hold(ctx, v.fault); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	return &brokenStream{ClientStream: stream, injector: i, verdict: v, cancel: cancel}, nil
}

// brokenStream is a stream that may be cut. Like any stream's, its RecvMsg is called
// by one goroutine at a time.
type brokenStream struct {
	grpc.ClientStream

	injector *Injector
	verdict  verdict
	cancel   context.CancelFunc // ends the real stream
	seen     int
	over     error // what the stream ended with
}

// RecvMsg gives the next message, or what the fault puts in its place.
func (s *brokenStream) RecvMsg(m any) error {
	if s.over != nil {
		return s.over
	}
	if err := s.receive(m); err != nil {
		s.over = err
		s.cancel()
		return err
	}
	s.seen++
	return nil
}

func (s *brokenStream) receive(m any) error {
	err := s.ClientStream.RecvMsg(m)
	f := s.verdict.fault
	switch {
	case s.verdict.dies == After:
		return s.injector.crash()
	case s.verdict.met && err == nil && f.cuts(s.seen):
		s.injector.count(f.kind)
		return f.error()
	}
	return s.injector.answer(err)
}

// cuts reports whether a stream ends in place of a message, after seen ones.
func (f fault) cuts(seen int) bool {
	return f.kind == FailAfter && seen == 0 || f.kind == Cut && seen == f.messages
}
