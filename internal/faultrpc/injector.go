package faultrpc

import (
	"context"
	"maps"
	"path"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errCrashed is what a dead process would be told if it could still hear. The SDK does
// not try again after this code.
var errCrashed = status.Error(codes.PermissionDenied, "injected: the process is dead")

// Moment is when a process dies, seen from one of its calls.
type Moment string

// The moments of CrashAt.
const (
	// Before: the call was not sent.
	Before Moment = "before"
	// After: the call was sent and answered.
	After Moment = "after"
	// Later: the call was sent and is still on its way: it arrives when Deliver says so. A
	// stream that was still on its way never arrives.
	Later Moment = "later"
)

// Injector breaks the RPCs of the connections that are dialed with its DialOptions, or
// made to its Proxy. It is safe for concurrent use.
type Injector struct {
	seed uint64

	mu       sync.Mutex // guards what follows
	rules    []Rule
	calls    []string       // the methods, in the order of the calls
	of       map[string]int // calls by method
	injected map[Kind]int
	crashAt  int // a call, from 1; 0: never
	moment   Moment
	late     func(context.Context, *grpc.ClientConn) error // what is on its way
	crashed  chan struct{}
	dead     bool
}

// New returns an Injector of these rules. Without rules every call gets through.
func New(seed uint64, rules ...Rule) *Injector {
	return &Injector{
		seed: seed, rules: slices.Clone(rules),
		of: map[string]int{}, injected: map[Kind]int{}, crashed: make(chan struct{}),
	}
}

// CrashAt has the process die at its k-th call from now on, counted from 1. It must be
// set before the calls begin.
func (i *Injector) CrashAt(k int, m Moment) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.crashAt, i.moment = len(i.calls)+k, m
}

// Deliver lets the call arrive that was on its way when the process died, over another
// connection, and returns what it is answered: nil if there is no such call.
func (i *Injector) Deliver(ctx context.Context, conn *grpc.ClientConn) error {
	i.mu.Lock()
	late := i.late
	i.late = nil
	i.mu.Unlock()
	if late == nil {
		return nil
	}
	return late(ctx, conn)
}

// Crashed is closed when the crash has happened.
func (i *Injector) Crashed() <-chan struct{} { return i.crashed }

// SetRules puts other rules in the place of those there were, for calls that begin
// from now on.
func (i *Injector) SetRules(rules ...Rule) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rules = slices.Clone(rules)
}

// Heal ends all faults that are not under way; a crash is for ever.
func (i *Injector) Heal() { i.SetRules() }

// Calls are the names of the methods that were called, in order, with those that never
// got through.
func (i *Injector) Calls() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.calls)
}

// Injected is how often each kind of fault has happened. A crash is not among them.
func (i *Injector) Injected() map[Kind]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.injected)
}

// DialOptions put the Injector into a connection.
func (i *Injector) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(i.unary), grpc.WithChainStreamInterceptor(i.stream),
	}
}

// verdict is what becomes of one call.
type verdict struct {
	fault fault
	met   bool
	// dies is when the process dies at this call, "" if it does not.
	dies Moment
}

// next counts a call and decides about it.
func (i *Injector) next(method string) (verdict, error) {
	method = path.Base(method)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dead {
		return verdict{}, errCrashed
	}
	i.calls = append(i.calls, method)
	i.of[method]++
	if i.crashAt == len(i.calls) {
		if i.moment == Before {
			return verdict{}, i.die()
		}
		return verdict{dies: i.moment}, nil
	}
	f, met := draw(i.seed, i.rules, method, i.of[method])
	return verdict{fault: f, met: met}, nil
}

// die lets nothing through any more; called under mu.
func (i *Injector) die() error {
	if !i.dead {
		i.dead = true
		close(i.crashed)
	}
	return errCrashed
}

func (i *Injector) crash() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.die()
}

// crashLater dies and keeps a call for Deliver.
func (i *Injector) crashLater(method string, req, reply any) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.late = func(ctx context.Context, conn *grpc.ClientConn) error { return conn.Invoke(ctx, method, req, reply) }
	return i.die()
}

// answer is what the process hears of an answer: nothing once it is dead.
func (i *Injector) answer(err error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dead {
		return errCrashed
	}
	return err
}

func (i *Injector) count(k Kind) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.injected[k]++
}
