package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	gcfirestore "cloud.google.com/go/firestore"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// purgeable is a space with n entries below its base, and one above.
func purgeable(t *testing.T, n int) (fixture, engine.Head) {
	t.Helper()
	f := open(t)
	c := after(engine.Head{})
	for i := range n {
		put(&c, fmt.Sprintf("old%04d", i), `{"a":1}`)
	}
	client(&c, "c", "g")
	reset := after(f.mustCommit(t, c))
	reset.Next.Base, reset.Next.Floor = 1, 1
	put(&reset, "new", `1`)
	return f, f.mustCommit(t, reset)
}

func (f fixture) mustPurge(t *testing.T) int {
	t.Helper()
	n, err := f.Purge(t.Context(), space)
	if err != nil {
		t.Fatalf("Purge: %v", err)
	}
	return n
}

func TestPurge(t *testing.T) {
	t.Parallel()
	const n = 2*firestore.PurgePage + 1
	f, head := purgeable(t, n)
	f.counter.Reset()
	if got := f.mustPurge(t); got != n {
		t.Errorf("purged %d, want %d", got, n)
	}
	want := rpccount.Counts{
		RPCs: map[string]int{
			"BatchGetDocuments": 1, "RunQuery": 4, "BeginTransaction": 3, "Commit": 3,
		},
		Read: 1 + n, Written: n,
	}
	if diff := cmp.Diff(want, f.counter.Counts()); diff != "" {
		t.Errorf("purge (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"new"}, f.stored(t)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	snap := f.mustSnapshot(t, engine.Documents{Head: true})
	if got := keys(collect(t, snap.Entries(t.Context(), 0))); len(got) != 1 {
		t.Errorf("a snapshot shows %v, want what is left", got)
	}
	if snap.Head() != head || len(collect(t, snap.Clients(t.Context(), "", 0))) != 1 {
		t.Error("the purge changed the head or the clients")
	}
	if got := f.mustPurge(t); got != 0 {
		t.Errorf("purged %d again, want 0", got)
	}
}

func TestPurgeOfNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	if got := f.mustPurge(t); got != 0 {
		t.Errorf("purged %d of a space that does not exist", got)
	}
	f.fill(t, 2)
	if got := f.mustPurge(t); got != 0 {
		t.Errorf("purged %d of a space without a base", got)
	}
}

// TestPurgeBesideCommits writes a key anew between the purge's look at it and its
// deletion.
func TestPurgeBesideCommits(t *testing.T) {
	t.Parallel()
	f, head := purgeable(t, 3)
	f.faults.add(fault{method: "BeginTransaction", before: func() {
		c := after(head)
		put(&c, "old0001", `"again"`)
		f.mustCommit(t, c)
	}})
	if got := f.mustPurge(t); got != 2 {
		t.Errorf("purged %d, want 2", got)
	}
	if diff := cmp.Diff([]string{"new", "old0001"}, f.stored(t)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestPurgeBesideAnother(t *testing.T) {
	t.Parallel()
	f, _ := purgeable(t, 3)
	other := openProject(t, f.project)
	f.faults.add(fault{method: "BeginTransaction", before: func() { other.mustPurge(t) }})
	if got := f.mustPurge(t); got != 0 {
		t.Errorf("purged %d of what another had purged, want 0", got)
	}
	if diff := cmp.Diff([]string{"new"}, f.stored(t)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestPurgeInterrupted(t *testing.T) {
	t.Parallel()
	f, _ := purgeable(t, firestore.PurgePage+1)
	ctx, cancel := context.WithCancel(t.Context())
	f.faults.add(fault{method: "Commit"}, fault{method: "Commit", before: cancel})
	n, err := f.Purge(ctx, space)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Purge = %d, %v, want ErrUnavailable for the context's reason", n, err)
	}
	if n != firestore.PurgePage {
		t.Errorf("purged %d before the interruption, want %d", n, firestore.PurgePage)
	}
	f.mustPurge(t)
	if diff := cmp.Diff([]string{"new"}, f.stored(t)); diff != "" {
		t.Errorf("left after another purge (-want +got):\n%s", diff)
	}
}

func TestPurgeWithoutReplies(t *testing.T) {
	t.Parallel()
	f, _ := purgeable(t, 3)
	f.faults.add(fault{method: "Commit", applied: true, code: codes.DeadlineExceeded})
	if got := f.mustPurge(t); got != 0 {
		t.Errorf("counted %d, want only what is known", got)
	}
	if diff := cmp.Diff([]string{"new"}, f.stored(t)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}

	g, _ := purgeable(t, 3)
	g.faults.add(fault{method: "Commit", code: codes.PermissionDenied})
	if _, err := g.Purge(t.Context(), space); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Purge without the right to = %v, want ErrUnavailable", err)
	}
}

// TestPurgeOfOthersCollections: what somebody else has stored below a space's document
// goes with the space, one level of it; what is stored below such a document stays.
func TestPurgeOfOthersCollections(t *testing.T) {
	t.Parallel()
	f := open(t)
	raw := f.raw(t)
	write := func(path string) {
		t.Helper()
		if _, err := raw.Doc("spaces/s/"+path).Set(t.Context(), map[string]any{"x": 1}); err != nil {
			t.Fatal(err)
		}
	}
	f.fill(t, 1)
	head := f.mustHead(t)
	for i := range firestore.PurgePage + 1 {
		write(fmt.Sprintf("notes/%04d", i))
	}
	write("photos/a/versions/1") // its parent does not exist
	write("photos/b")
	write("photos/b/versions/1")
	deletion := storetest.Step(head, storetest.Delete())
	head = f.mustCommit(t, deletion)
	write("notes/after")
	f.mustCommit(t, storetest.Step(head, storetest.Put("new", `1`)))
	if got := f.mustPurge(t); got != firestore.PurgePage+1+1+1 { // an entry, too
		t.Errorf("purged %d documents", got)
	}
	for path, want := range map[string]bool{
		"notes/0000": false, "notes/0250": false, "photos/b": false,
		"notes/after": true, "photos/a/versions/1": true, "photos/b/versions/1": true,
	} {
		docs, err := raw.GetAll(t.Context(), []*gcfirestore.DocumentRef{raw.Doc("spaces/s/" + path)})
		if err != nil || docs[0].Exists() != want {
			t.Errorf("%s is stored: %t, %v, want %t", path, docs[0].Exists(), err, want)
		}
	}
}

// TestClocksDiffer: the clock of the instance that deletes a space is minutes ahead, or
// behind; what was stored before the deletion goes, what is stored after it stays, also
// when it is purged long after the space came back.
func TestClocksDiffer(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			f := open(t)
			d := f.Members()
			member := func(user string) {
				t.Helper()
				m := members.Member{UserID: user, Role: members.Owner}
				if err := d.Put(t.Context(), members.Operator, space, m, 0); err != nil {
					t.Fatal(err)
				}
			}
			f.fill(t, 3)
			member("before")
			deletion := after(f.mustHead(t))
			storetest.Delete()(&deletion)
			deletion.Next.DeletedAt = now().Add(skew)
			head := f.mustCommit(t, deletion)
			member("after")
			for n := range 2 { // the second commit keeps what the first has noted
				next := after(head)
				put(&next, fmt.Sprint("new", n), `1`)
				client(&next, "c", "g")
				head = f.mustCommit(t, next)
			}
			f.mustPurge(t)
			list, err := d.List(t.Context(), space, "", 10)
			if err != nil || len(list) != 1 || list[0].UserID != "after" {
				t.Errorf("members are %v, %v, want the one of after the deletion", list, err)
			}
			if diff := cmp.Diff([]string{"new0", "new1"}, f.stored(t)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			snap := f.mustSnapshot(t, engine.Documents{Head: true, Clients: []protocol.ClientID{"c"}})
			if _, ok := snap.Client("c"); !ok {
				t.Error("the client of after the deletion is gone")
			}
		})
	}
}
