package faultrpc_test

import (
	"context"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
)

// throughProxy is the SDK on a project, behind a proxy.
func throughProxy(t *testing.T, project string, i *faultrpc.Injector) (*firestore.Client, *faultrpc.Proxy) {
	t.Helper()
	p, err := faultrpc.Listen(t.Context(), emulatortest.Host(t), i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return connect(t, project, p.Addr()), p
}

// TestProxy: calls of every kind pass, with their messages and their errors.
func TestProxy(t *testing.T) {
	t.Parallel()
	c, _ := throughProxy(t, emulatortest.Project(t), faultrpc.New(1))
	if err := increment(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	listener := c.Doc("c/n").Snapshots(t.Context())
	defer listener.Stop()
	for want := int64(1); want < 4; want++ {
		doc, err := listener.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.Data()["n"]; got != want {
			t.Errorf("the listener sees %v, want %d", got, want)
		}
		if err := increment(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := c.Collection("c").Documents(t.Context()).GetAll()
	if err != nil || len(docs) != 1 {
		t.Errorf("query = %d documents, %v; want 1", len(docs), err)
	}
	_, err = c.Doc("c/absent").Update(t.Context(), []firestore.Update{{Path: "n", Value: 1}})
	if status.Code(err) != codes.NotFound {
		t.Errorf("Update of what is absent = %v, want NotFound", err)
	}
}

// TestProxyBreaksCalls: what the rules say becomes of the calls of another connection.
func TestProxyBreaksCalls(t *testing.T) {
	t.Parallel()
	for kind, want := range map[faultrpc.Kind]int64{faultrpc.FailBefore: 0, faultrpc.FailAfter: 1} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			project, i := emulatortest.Project(t), faultrpc.New(1)
			c, _ := throughProxy(t, project, i)
			i.SetRules(always("Commit", kind))
			if err := increment(t.Context(), c); status.Code(err) != codes.DataLoss {
				t.Errorf("Set = %v, want DataLoss", err)
			}
			if got := stored(t, project); got != want || i.Injected()[kind] != 1 {
				t.Errorf("n = %d, want %d; injected %v", got, want, i.Injected())
			}
			i.Heal()
			if err := increment(t.Context(), c); err != nil {
				t.Errorf("Set = %v after healing", err)
			}
		})
	}
}

// TestProxyDeliversForTheDead: a commit is passed on though its sender has gone.
func TestProxyDeliversForTheDead(t *testing.T) {
	t.Parallel()
	delay := time.Second
	for !deliveredForTheDead(t, delay) { // it was there before its sender had gone
		delay *= 2
	}
}

// deliveredForTheDead holds a commit back for at most that long, and reports whether its
// sender had gone before it was passed on.
func deliveredForTheDead(t *testing.T, delay time.Duration) bool {
	t.Helper()
	rule := faultrpc.Rule{Method: "Commit", Kind: faultrpc.Delay, Percent: 100, Delay: delay}
	project, i := emulatortest.Project(t), faultrpc.New(1, rule)
	c, _ := throughProxy(t, project, i)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- increment(ctx, c) }()
	for i.Injected()[faultrpc.Delay] == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	err := <-done
	if err != nil && status.Code(err) != codes.Canceled {
		t.Errorf("Set = %v, want Canceled", err)
	}
	for deadline := time.Now().Add(time.Minute); stored(t, project) != 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the commit never arrived")
		}
	}
	return err != nil
}

// TestProxyClose: a listener that never ends is ended.
func TestProxyClose(t *testing.T) {
	t.Parallel()
	c, p := throughProxy(t, emulatortest.Project(t), faultrpc.New(1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	listener := c.Doc("c/n").Snapshots(ctx)
	if _, err := listener.Next(); err != nil {
		t.Fatal(err)
	}
	p.Close()
	p.Close()
}
