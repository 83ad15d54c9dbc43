package crash_test

import (
	"context"
	"fmt"
	"testing"

	gcfirestore "cloud.google.com/go/firestore"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/storetest"
)

// maxPoints is more than any of the runs has.
const maxPoints = 60

// point is a moment at which a process dies.
type point struct {
	call   int
	moment faultrpc.Moment
	// stale: what is on its way arrives only when the next process has done it all again.
	stale bool
}

func (p point) String() string {
	if p.stale {
		return fmt.Sprintf("much %s call %d", p.moment, p.call)
	}
	return fmt.Sprintf("%s call %d", p.moment, p.call)
}

// everyPoint tries all points of a run, which reports whether its process died: the
// last point is the one that it did not live to see.
func everyPoint(t *testing.T, run func(*testing.T, point) bool) {
	t.Helper()
	everyPointOf(t, []point{
		{moment: faultrpc.Before},
		{moment: faultrpc.After},
		{moment: faultrpc.Later},
		{moment: faultrpc.Later, stale: true},
	}, run)
}

// everyPointOf is everyPoint for some of the moments.
func everyPointOf(t *testing.T, moments []point, run func(*testing.T, point) bool) {
	t.Helper()
	for _, p := range moments {
		points := 0
		for call := 1; call <= maxPoints; call++ {
			died := false
			p.call = call
			t.Run(p.String(), func(t *testing.T) { died = run(t, p) })
			if !died {
				break
			}
			points++
		}
		if points < 2 || points == maxPoints {
			t.Errorf("only %d points before %v", points, p)
		}
		t.Logf("%d points, the next would be %v", points, p)
	}
}

// TestPush: a process dies at any point of a push; the client sends it again to the
// next process. Cold, the space is new, and so is all the process sees; warm, both have
// seen a push before.
func TestPush(t *testing.T) {
	t.Parallel()
	for _, warm := range []bool{false, true} {
		for _, n := range []int{1, 10, 600} {
			t.Run(fmt.Sprintf("%d mutations, warm %t", n, warm), func(t *testing.T) {
				t.Parallel()
				everyPoint(t, func(t *testing.T, p point) bool {
					t.Helper()
					return crashPush(t, p, n, warm)
				})
			})
		}
	}
}

// crashPush pushes n mutations to a process that dies at p.
func crashPush(t *testing.T, p point, n int, warm bool) (died bool) {
	t.Helper()
	project, c := emulatortest.Project(t), replica.New("c", "g")
	first := start(t, project, faultrpc.New(0))
	err := first.run(t, func(ctx context.Context) error {
		if warm {
			mutateTimes(c, 1)
			if err := push(ctx, first.Engine, space, c.PushRequest()); err != nil {
				t.Fatal(err)
			}
		}
		first.injector.CrashAt(p.call, p.moment)
		mutateTimes(c, n)
		return push(ctx, first.Engine, space, c.PushRequest())
	})
	if err != nil && !first.crashed() {
		t.Fatalf("push without a crash = %v", err)
	}

	next := start(t, project, faultrpc.New(0))
	last := c.Pending()[len(c.Pending())-1].ID
	_ = next.run(t, func(ctx context.Context) error {
		checkPrefix(ctx, t, next.Engine, c, err == nil)
		if !p.stale {
			deliver(ctx, t, first.injector)
		}
		resend(ctx, t, next.Engine, c)
		deliver(ctx, t, first.injector)
		if err := pull(ctx, next.Engine, space, c); err != nil {
			t.Error(err)
		}
		if c.Confirmed() != last || len(c.Pending()) > 0 {
			t.Errorf("confirmed up to %d, want %d", c.Confirmed(), last)
		}
		checkView(t, c)
		storetest.MustFsck(t, next.store, space)
		return nil
	})
	if t.Failed() {
		t.Logf("push = %v, last calls of the first process: %s", err, short(first.injector.Calls()))
	}
	return first.crashed()
}

// deliver lets arrive what a dead process has sent, which the next one did not see when it
// pulled. It may be refused.
func deliver(ctx context.Context, t *testing.T, i *faultrpc.Injector) {
	t.Helper()
	conn, _, err := rpccount.Dial(emulatortest.Host(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := i.Deliver(ctx, conn); err != nil {
		t.Logf("what was on its way is answered %v", err)
	}
}

// checkPrefix pulls: what has been applied is all up to some mutation and nothing
// after it, and all if it was acknowledged.
func checkPrefix(
	ctx context.Context, t *testing.T, e *engine.Engine, c *replica.Client, acknowledged bool,
) {
	t.Helper()
	if err := pull(ctx, e, space, c); err != nil {
		t.Fatal(err)
	}
	if acknowledged && len(c.Pending()) > 0 {
		t.Errorf("acknowledged, but %d mutations are not there", len(c.Pending()))
	}
	checkView(t, c)
}

// checkView holds a client's view against its own and the others' lastMutationIDs.
func checkView(t *testing.T, c *replica.Client) {
	t.Helper()
	if diff := cmp.Diff(wantView(c.LastMutationIDs()), gotView(c)); diff != "" {
		t.Errorf("view at lastMutationIDs %v (-want +got):\n%s", c.LastMutationIDs(), diff)
	}
}

// resend sends what is pending, and pulls.
func resend(ctx context.Context, t *testing.T, e *engine.Engine, c *replica.Client) {
	t.Helper()
	if err := push(ctx, e, space, c.PushRequest()); err != nil {
		t.Fatalf("push to the next process = %v", err)
	}
	if err := pull(ctx, e, space, c); err != nil {
		t.Fatal(err)
	}
}

// TestReset: a process dies at any point of a reset and of the cleaning that follows.
// The operator resets again; the clients' lastMutationIDs survive it all.
func TestReset(t *testing.T) {
	t.Parallel()
	everyPoint(t, crashReset)
}

func crashReset(t *testing.T, p point) (died bool) {
	t.Helper()
	project, c := emulatortest.Project(t), replica.New("c", "g")
	mutateTimes(c, 250)
	old := c.Pending()
	first := start(t, project, faultrpc.New(0))
	err := first.run(t, func(ctx context.Context) error {
		resend(ctx, t, first.Engine, c)
		first.injector.CrashAt(p.call, p.moment)
		_, err := first.Reset(ctx, space)
		return err
	})
	if err != nil && !first.crashed() {
		t.Fatalf("Reset without a crash = %v", err)
	}

	next := start(t, project, faultrpc.New(0))
	_ = next.run(t, func(ctx context.Context) error {
		checkReset(ctx, t, next.Engine, c, err == nil)
		if !p.stale {
			deliver(ctx, t, first.injector)
			checkReset(ctx, t, next.Engine, c, err == nil)
		}
		storetest.MustFsck(t, next.store, space)
		if _, err := next.Reset(ctx, space); err != nil {
			t.Fatal(err)
		}
		deliver(ctx, t, first.injector)
		if err := push(ctx, next.Engine, space, c.PushRequestOf(old)); err != nil {
			t.Fatal(err)
		}
		checkReset(ctx, t, next.Engine, c, true)
		checkPurged(ctx, t, next, project)
		return nil
	})
	return first.crashed()
}

// checkReset pulls: the space is empty or, if the reset was not acknowledged, as it was.
func checkReset(
	ctx context.Context, t *testing.T, e *engine.Engine, c *replica.Client, acknowledged bool,
) {
	t.Helper()
	if err := pull(ctx, e, space, c); err != nil {
		t.Fatal(err)
	}
	if c.Confirmed() != 250 {
		t.Errorf("lastMutationID is %d, want 250", c.Confirmed())
	}
	if acknowledged || len(c.View()) == 0 {
		if len(c.View()) > 0 {
			t.Errorf("after a reset there are %d entries", len(c.View()))
		}
		return
	}
	checkView(t, c)
}

// checkPurged: once a process that did a reset has ended its work, nothing is left of
// what was before. The database itself is asked: on the emulator a store sees late what
// another process has purged (firestore/emulator.go).
func checkPurged(ctx context.Context, t *testing.T, p *process, project string) {
	t.Helper()
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if left := stored(ctx, t, project, "entries"); len(left) > 0 {
		t.Errorf("%d entries are left", len(left))
	}
}

// database is a connection to a project's data that goes past the stores.
func database(ctx context.Context, t *testing.T, project string) *gcfirestore.Client {
	t.Helper()
	conn, _, err := rpccount.Dial(emulatortest.Host(t))
	if err != nil {
		t.Fatal(err)
	}
	client, err := gcfirestore.NewClient(ctx, project, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// stored are the names of the documents in a collection of the space, with their
// fields.
func stored(ctx context.Context, t *testing.T, project, collection string) map[string]map[string]any {
	t.Helper()
	documents := database(ctx, t, project).Collection("spaces").Doc(string(space)).Collection(collection)
	list, err := documents.Documents(ctx).GetAll()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]any{}
	for _, doc := range list {
		found[doc.Ref.ID] = doc.Data()
	}
	return found
}
