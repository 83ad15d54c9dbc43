package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

func mustCollect(t *testing.T, e *engine.Engine, want engine.Collected) {
	t.Helper()
	got, err := e.Collect(t.Context(), space, time.Now().Add(time.Hour))
	if err != nil || got != want {
		t.Errorf("Collect: %+v, error %v, want %+v", got, err, want)
	}
}

// TestCollect: a client of before the collection gets everything anew and drops what
// was deleted; one of after goes on.
func TestCollect(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("c", 2, "put", put{"b", 2}))
	late, v := newView(), newView()
	late.pull(t, e, alice, "g1")
	mustPush(t, e, alice, "g1", mutation("c", 3, "del", "a"))
	v.pull(t, e, alice, "g1")

	if got, err := e.Collect(t.Context(), space, time.Now().Add(-time.Hour)); err != nil || got.Tombstones > 0 {
		t.Errorf("collected %+v of what is young, error %v", got, err)
	}
	mustCollect(t, e, engine.Collected{Tombstones: 1, Deleted: 1})
	mustCollect(t, e, engine.Collected{})
	for name, who := range map[string]*view{"late": late, "up to date": v} {
		who.pull(t, e, alice, "g1")
		if diff := cmp.Diff(map[string]string{"b": `2`}, who.entries); diff != "" {
			t.Errorf("%s: entries (-want +got):\n%s", name, diff)
		}
		if who.cleared != (name == "late") {
			t.Errorf("%s: cleared is %t", name, who.cleared)
		}
	}
}

// TestCollectLeavesNoHole: an instance whose memory ends below a floor that another
// one has raised does not go on from there.
func TestCollectLeavesNoHole(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	e, other := start(t, store, engine.Options{}), start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"b", 2}))
	v := newView()
	v.pull(t, e, alice, "g1")
	mustPush(t, other, alice, "g1", mutation("c", 3, "del", "a"))
	mustCollect(t, other, engine.Collected{Tombstones: 1, Deleted: 1})
	v.pull(t, e, alice, "g1")
	if diff := cmp.Diff(map[string]string{"b": `2`}, v.entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// TestCollectIsInterrupted: whatever call of the store fails, running it again ends it.
func TestCollectIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, m := range []storetest.Method{storetest.MethodExpired, storetest.MethodPurge} {
		store := storetest.NewFaulty(fresh(t))
		e := start(t, store, engine.Options{})
		mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}), mutation("d", 1, "put", put{"b", 1}))
		mustPush(t, e, alice, "g1", mutation("c", 2, "del", "a"))
		deleted := 0
		for range 2 { // before and after the floor is raised
			for range 2 {
				store.Next(m, storetest.NoFault)
			}
			store.Next(m, storetest.NotApplied)
			for range 3 {
				got, err := e.Collect(t.Context(), space, time.Now().Add(time.Hour))
				deleted += got.Deleted
				if err != nil && !errors.Is(err, engine.ErrUnavailable) {
					t.Errorf("%s: error %v", m, err)
				}
			}
		}
		if deleted != 1 || store.Pending(m) > 0 {
			t.Errorf("%s: %d documents deleted, want 1; %d faults left", m, deleted, store.Pending(m))
		}
	}
}

func isClientStateNotFound(err error) bool {
	resp, ok := errors.AsType[*protocol.ErrorResponse](err)
	return ok && resp.Kind == protocol.ClientStateNotFound().Kind
}

// TestDelete: nothing of the space is left, clients of before start afresh, and what
// they push again does not come back to life.
func TestDelete(t *testing.T) {
	t.Parallel()
	store := memory.New()
	e := start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g1")
	head, err := e.Delete(t.Context(), space)
	if err != nil || !head.Deleted() {
		t.Fatalf("Delete: %+v, error %v", head, err)
	}
	if again, err := e.Delete(t.Context(), space); err != nil || again != head {
		t.Errorf("the second Delete: %+v, error %v, want %+v", again, err, head)
	}
	other := start(t, store, engine.Options{})
	for name, e := range map[string]*engine.Engine{"here": e, "elsewhere": other} {
		for id := range int64(3) {
			err := e.Push(t.Context(), alice, pushOf("g1", mutation("c", id+1, "put", put{"a", id})))
			if !isClientStateNotFound(err) {
				t.Errorf("%s: push of mutation %d: %v, want ClientStateNotFound", name, id+1, err)
			}
		}
		for _, cookie := range []string{"null", string(v.cookie.Raw)} {
			_, err := e.Pull(t.Context(), alice, &protocol.PullRequest{
				Version: 1, ClientGroupID: "g1", Cookie: cookieOf(cookie),
			})
			if !isClientStateNotFound(err) {
				t.Errorf("%s: pull from %s: %v, want ClientStateNotFound", name, cookie, err)
			}
		}
		foreign := pushOf("g1", mutation("x", 1, "put", put{"a", 1}))
		if err := e.Push(t.Context(), bob, foreign); !errors.Is(err, engine.ErrForbidden) {
			t.Errorf("%s: push for alice's group: %v, want ErrForbidden", name, err)
		}
	}
	if _, err := e.Collect(t.Context(), space, time.Now()); err != nil || stored(t, store) > 0 {
		t.Errorf("%d documents are left, error %v", stored(t, store), err)
	}

	// The client comes back with its old cookie and a new group.
	v.pull(t, other, alice, "g3")
	mustPush(t, other, alice, "g3", mutation("d", 1, "put", put{"b", 2}))
	v.pull(t, e, alice, "g3")
	if diff := cmp.Diff(map[string]string{"b": `2`}, v.entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if n := stored(t, store); n != 2 {
		t.Errorf("%d documents are stored, want the new entry and the new client", n)
	}
	mustFsck(t, store, space)
}

// TestDeletedByAFastClock: who deletes is minutes ahead of everybody else. Who comes
// afterwards is not taken for somebody of before, and nothing of theirs is collected.
func TestDeletedByAFastClock(t *testing.T) {
	t.Parallel()
	const ahead = 5 * time.Minute
	store := memory.New()
	e := start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	fast := func(c *engine.Commit) {
		storetest.Delete()(c)
		c.Next.UpdatedAt = time.Now().UTC().Truncate(time.Microsecond).Add(ahead)
		c.Next.DeletedAt = c.Next.UpdatedAt
	}
	if err := storetest.Apply(t.Context(), store, space, fast); err != nil {
		t.Fatal(err)
	}
	err := e.Push(t.Context(), alice, pushOf("g1", mutation("c", 2, "put", put{"a", 2})))
	if !isClientStateNotFound(err) {
		t.Errorf("a client of before: %v, want ClientStateNotFound", err)
	}
	mustPush(t, e, alice, "g2", mutation("d", 1, "put", put{"a", 1}), mutation("d", 2, "put", put{"b", 2}))
	mustPush(t, e, alice, "g2", mutation("d", 3, "del", "a"))
	// The tombstone is as young as the fast clock says.
	for _, before := range []time.Duration{0, 2 * ahead} {
		got, err := e.Collect(t.Context(), space, time.Now().Add(before))
		if err != nil || got.Tombstones > 0 != (before > 0) {
			t.Errorf("collected %+v before %v from now, error %v", got, before, err)
		}
		v := newView()
		v.pull(t, e, alice, "g2")
		if diff := cmp.Diff(map[string]string{"b": `2`}, v.entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	}
	mustFsck(t, store, space)
}

// stored counts the entries and clients.
func stored(t *testing.T, store engine.Store) int {
	t.Helper()
	snap, err := store.Snapshot(t.Context(), space, engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range snap.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	for _, err := range snap.Clients(t.Context(), "", 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestDeleteOfNothing(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	if head, err := e.Delete(t.Context(), space); err != nil || head.Exists() {
		t.Errorf("Delete: %+v, error %v, want nothing to have happened", head, err)
	}
	mustCollect(t, e, engine.Collected{})
}
