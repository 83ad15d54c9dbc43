package crash_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// TestDelete: a process dies at any point of a deletion and of the cleaning that
// follows. The operator, or gc, goes on with another one; then the space is made anew.
func TestDelete(t *testing.T) {
	t.Parallel()
	everyPoint(t, crashDelete)
}

func crashDelete(t *testing.T, p point) (died bool) {
	t.Helper()
	project, old := emulatortest.Project(t), replica.New("old", "old")
	first := start(t, project, faultrpc.New(0))
	err := first.run(t, func(ctx context.Context) error {
		furnish(ctx, t, first, project, old)
		first.injector.CrashAt(p.call, p.moment)
		_, err := first.Delete(ctx, space)
		return err
	})
	if err != nil && !first.crashed() {
		t.Fatalf("Delete without a crash = %v", err)
	}

	next := start(t, project, faultrpc.New(0))
	_ = next.run(t, func(ctx context.Context) error {
		checkDeleted(ctx, t, next.Engine, old, err == nil)
		if !p.stale {
			deliver(ctx, t, first.injector)
			checkDeleted(ctx, t, next.Engine, old, err == nil)
		}
		finishDeletion(ctx, t, next)
		for _, collection := range []string{"entries", "clients", "members", "notes"} {
			if left := stored(ctx, t, project, collection); len(left) > 0 {
				t.Errorf("%d documents of %s are left", len(left), collection)
			}
		}
		checkNewLife(ctx, t, next, first, project, old)
		return nil
	})
	if t.Failed() {
		t.Logf("Delete = %v, last calls of the first process: %s", err, short(first.injector.Calls()))
	}
	return first.crashed()
}

// furnish fills a space with all that can be in one.
func furnish(ctx context.Context, t *testing.T, p *process, project string, c *replica.Client) {
	t.Helper()
	writeKeys(ctx, t, p, "live", dead, 1)
	writeKeys(ctx, t, p, "live", live, nil)
	mutateTimes(c, 1)
	resend(ctx, t, p.Engine, c)
	ann := members.Member{UserID: "ann", Role: members.Owner}
	if err := p.store.Members().Put(ctx, members.Operator, space, ann, 0); err != nil {
		t.Fatal(err)
	}
	note := database(ctx, t, project).Collection("spaces").Doc(string(space)).Collection("notes").Doc("n")
	if _, err := note.Set(ctx, map[string]any{"text": "not ours"}); err != nil {
		t.Fatal(err)
	}
}

// checkDeleted pulls: the client's state is not known any more or, if the deletion was not
// acknowledged, the space is as it was.
func checkDeleted(
	ctx context.Context, t *testing.T, e *engine.Engine, c *replica.Client, acknowledged bool,
) {
	t.Helper()
	switch got := outcome(ctx, t, e, c); {
	case got == replica.Lost:
	case acknowledged:
		t.Errorf("after a deletion a pull is %v", got)
	case len(c.View()) != dead-live+2: // "append" has made two
		t.Errorf("before a deletion a pull shows %d entries", len(c.View()))
	}
}

// outcome pulls, and is what the client makes of the answer.
func outcome(ctx context.Context, t *testing.T, e *engine.Engine, c *replica.Client) replica.Outcome {
	t.Helper()
	asked := c.Cookie()
	req, err := protocol.DecodePullRequest(c.PullRequest())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := e.Pull(ctx, engine.Caller{Space: space}, req)
	if err != nil {
		if isLost(err) {
			return replica.Lost
		}
		t.Fatal(err)
	}
	var body bytes.Buffer
	if err := resp.Encode(&body); err != nil {
		t.Fatal(err)
	}
	got, err := c.Apply(asked, body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// isLost reports whether a client is told that its state is not known.
func isLost(err error) bool {
	resp, ok := errors.AsType[*protocol.ErrorResponse](err)
	return ok && resp.Kind == protocol.ClientStateNotFound().Kind
}

// finishDeletion has the operator delete again unless it was, and gc do the rest.
func finishDeletion(ctx context.Context, t *testing.T, p *process) {
	t.Helper()
	head, err := p.Head(ctx, space)
	if err != nil {
		t.Fatal(err)
	}
	if !head.Deleted() {
		if _, err := p.Delete(ctx, space); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Collect(ctx, space, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// checkNewLife makes the space anew: what the dead process has sent and what the old
// client says again neither comes back to life nor takes anything away.
func checkNewLife(
	ctx context.Context, t *testing.T, p, dead *process, project string, old *replica.Client,
) {
	t.Helper()
	fresh, other := replica.New("fresh", "fresh"), replica.New("other", "fresh")
	mutateTimes(fresh, 2)
	resend(ctx, t, p.Engine, fresh)
	bob := members.Member{UserID: "bob", Role: members.Owner}
	if err := p.store.Members().Put(ctx, members.Operator, space, bob, 0); err != nil {
		t.Fatal(err)
	}
	deliver(ctx, t, dead.injector)
	mutateTimes(old, 1)
	if err := push(ctx, p.Engine, space, old.PushRequest()); !isLost(err) {
		t.Errorf("a push of a client of before = %v", err)
	}
	if _, err := p.Collect(ctx, space, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*replica.Client{fresh, other} {
		if err := pull(ctx, p.Engine, space, c); err != nil {
			t.Fatal(err)
		}
		checkView(t, c)
	}
	if len(fresh.Pending()) > 0 || fresh.Confirmed() != 2 {
		t.Errorf("the new client is confirmed up to %d, want 2", fresh.Confirmed())
	}
	if left := stored(ctx, t, project, "members"); len(left) != 1 || left["bob"] == nil {
		t.Errorf("members are %v, want bob", left)
	}
	if left := stored(ctx, t, project, "entries"); len(left) != len(fresh.View()) {
		t.Errorf("%d entries are stored, want %d", len(left), len(fresh.View()))
	}
	storetest.MustFsck(t, p.store, space)
}
