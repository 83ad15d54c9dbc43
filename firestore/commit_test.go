package firestore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	gcfirestore "cloud.google.com/go/firestore"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// kinds are the errors that a Commit may fail with. Exactly one applies.
var kinds = []error{
	engine.ErrConflict, engine.ErrUnknownOutcome, engine.ErrUnavailable, engine.ErrImpossible,
}

func kindOf(t *testing.T, err error) error {
	t.Helper()
	var found []error
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			found = append(found, kind)
		}
	}
	if len(found) != 1 {
		t.Fatalf("error %v is of the kinds %v, want one", err, found)
	}
	return found[0]
}

func TestCommitIsTwoRPCs(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, entries := range []int{0, 1, 300} {
		head := f.mustHead(t)
		c := after(head)
		for i := range entries {
			put(&c, fmt.Sprint("k", i), `{"a":1}`)
		}
		client(&c, "c", "g")
		f.counter.Reset()
		f.mustCommit(t, c)
		want := rpccount.Counts{
			RPCs: map[string]int{"BeginTransaction": 1, "Commit": 1}, Written: entries + 2,
		}
		if diff := cmp.Diff(want, f.counter.Counts()); diff != "" {
			t.Errorf("commit of %d entries (-want +got):\n%s", entries, diff)
		}
	}
}

func TestCommitReturnsWhatIsRead(t *testing.T) {
	t.Parallel()
	f := open(t)
	first := f.mustCommit(t, after(engine.Head{}))
	if diff := cmp.Diff(first, f.mustHead(t)); diff != "" {
		t.Errorf("created head (-returned +read):\n%s", diff)
	}

	c := after(first)
	c.Next.RestoredAt, c.Next.Floor, c.Next.Base, c.Next.Epoch = now(), 1, 1, "other"
	second := f.mustCommit(t, c)
	if diff := cmp.Diff(second, f.mustHead(t)); diff != "" {
		t.Errorf("updated head (-returned +read):\n%s", diff)
	}
	if second.Revision == first.Revision {
		t.Errorf("both revisions are %q", first.Revision)
	}

	c = after(second)
	c.Next.RestoredAt = engine.Head{}.RestoredAt
	third := f.mustCommit(t, c)
	if diff := cmp.Diff(third, f.mustHead(t)); diff != "" {
		t.Errorf("head without a restore (-returned +read):\n%s", diff)
	}
}

// TestHistoryOfAnOlderProgram: an instance of a version that knows no names commits beside this
// one. It updates the fields that it knows, and leaves the names as they were.
func TestHistoryOfAnOlderProgram(t *testing.T) {
	t.Parallel()
	f := open(t)
	head := f.mustCommit(t, storetest.Step(engine.Head{}))
	head = f.mustCommit(t, storetest.Step(head))
	_, err := f.raw(t).Doc("spaces/s").Update(t.Context(), []gcfirestore.Update{
		{Path: "version", Value: head.Version + 1}, {Path: "nonce", Value: "OTHERONE2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	older := f.mustHead(t)
	if older.History != head.History || older.Names() != 1 || older.NameOf(head.Version) != "" {
		t.Errorf("head %+v names %d commits", older, older.Names())
	}
	next := f.mustCommit(t, storetest.Step(older))
	if got := f.mustHead(t); got != next || got.Names() != 2 || got.NameOf(older.Version) != older.Name() {
		t.Errorf("head %+v names %d commits", got, got.Names())
	}
}

// notApplied are the codes that Firestore gives to what it has not applied.
var notApplied = []codes.Code{
	codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument,
}

// TestCommitLosesReplies makes the first try of a commit fail in every way,
// applied or not. The SDK tries some of them again, and all that is shown is the
// last reply; what is promised is that an applied commit is never called
// impossible or unavailable, and one that is not is never called a success.
func TestCommitLosesReplies(t *testing.T) {
	t.Parallel()
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		if slices.Contains(notApplied, code) {
			continue
		}
		for _, applied := range []bool{true, false} {
			name := fmt.Sprintf("%v, applied %v", code, applied)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				testLostReply(t, fault{method: "Commit", applied: applied, code: code, text: "lost"})
			})
		}
	}
}

func testLostReply(t *testing.T, lost fault) {
	t.Helper()
	f := open(t)
	head := f.fill(t, 1)
	c := after(head)
	put(&c, "key", `"new"`)
	f.faults.add(lost)
	_, err := f.Commit(t.Context(), space, c)
	if f.faults.left() > 0 {
		t.Fatal("the fault was not used")
	}

	snap := f.mustSnapshot(t, engine.Documents{Head: true, Keys: []string{"key"}})
	_, isThere := snap.Entry("key")
	if moved := snap.Head().Nonce == c.Next.Nonce; moved != isThere {
		t.Errorf("the head says applied %v, the entry %v", moved, isThere)
	}
	if lost.applied && !isThere {
		t.Error("the commit was not applied")
	}
	if err == nil {
		// The SDK's second try of what was not applied.
		if lost.applied || !isThere {
			t.Errorf("success, applied %v", isThere)
		}
		return
	}
	kind := kindOf(t, err)
	if isThere && !errors.Is(kind, engine.ErrUnknownOutcome) && !errors.Is(kind, engine.ErrConflict) {
		t.Errorf("applied, and the error is %v", err)
	}
	if errors.Is(kind, engine.ErrImpossible) || errors.Is(kind, engine.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
}

// TestCommitLosesReplyOnce is reliability.md F2: the SDK sends the commit again
// and is told that the transaction is closed.
func TestCommitLosesReplyOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.faults.add(fault{method: "Commit", applied: true, code: codes.Unavailable})
	f.counter.Reset()
	_, err := f.Commit(t.Context(), space, after(engine.Head{}))
	if kind := kindOf(t, err); !errors.Is(kind, engine.ErrUnknownOutcome) {
		t.Errorf("Commit = %v, want %v", err, engine.ErrUnknownOutcome)
	}
	if got := f.counter.Counts().RPCs["Commit"]; got != 2 {
		t.Errorf("%d commits were sent, want 2", got)
	}
	if got := f.mustHead(t).Version; got != 1 {
		t.Errorf("version is %d, want 1", got)
	}
}

// TestCommitIsNotRunAgain is reliability.md F3: a reply of ABORTED to what was
// applied must not make the SDK apply it twice.
func TestCommitIsNotRunAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.faults.add(fault{method: "Commit", applied: true, code: codes.Aborted})
	f.counter.Reset()
	_, err := f.Commit(t.Context(), space, after(engine.Head{}))
	if kind := kindOf(t, err); !errors.Is(kind, engine.ErrConflict) {
		t.Errorf("Commit = %v, want %v", err, engine.ErrConflict)
	}
	if got := f.counter.Counts().RPCs["Commit"]; got != 1 {
		t.Errorf("%d commits were sent, want 1", got)
	}
}

func TestCommitCannotBegin(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{
		codes.PermissionDenied, codes.NotFound, codes.FailedPrecondition, codes.InvalidArgument,
		codes.Unknown,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.faults.add(fault{method: "BeginTransaction", code: code, text: "reason"})
			_, err := f.Commit(t.Context(), space, after(engine.Head{}))
			if kind := kindOf(t, err); !errors.Is(kind, engine.ErrUnavailable) {
				t.Errorf("Commit = %v, want %v", err, engine.ErrUnavailable)
			}
			if !strings.Contains(err.Error(), "reason") {
				t.Errorf("Commit = %v, want the reason", err)
			}
			if f.mustHead(t).Exists() {
				t.Error("the commit was applied")
			}
		})
	}
}

func TestCommitConflicts(t *testing.T) {
	t.Parallel()
	f := open(t)
	first := f.mustCommit(t, after(engine.Head{}))
	second := after(first)
	second.Groups = []engine.ClientGroup{{ID: "g", Space: space, CreatedAt: now()}}
	current := f.mustCommit(t, second)

	noRevision := after(current)
	noRevision.Prev.Revision = "not a time"
	group := after(current)
	group.Groups = second.Groups
	for name, c := range map[string]engine.Commit{
		"old head":        after(first),
		"no head":         after(engine.Head{}),
		"group exists":    group,
		"foreign version": noRevision,
	} {
		put(&c, "key", `1`)
		_, err := f.Commit(t.Context(), space, c)
		if kind := kindOf(t, err); !errors.Is(kind, engine.ErrConflict) {
			t.Errorf("%s: Commit = %v, want %v", name, err, engine.ErrConflict)
		}
	}
	absent := after(current)
	if _, err := f.Commit(t.Context(), "absent", absent); !errors.Is(kindOf(t, err), engine.ErrConflict) {
		t.Errorf("head is gone: Commit = %v, want %v", err, engine.ErrConflict)
	}
	snap := f.mustSnapshot(t, engine.Documents{Head: true, Keys: []string{"key"}})
	if _, ok := snap.Entry("key"); ok || snap.Head() != current {
		t.Errorf("a conflict left something: head %+v, want %+v", snap.Head(), current)
	}
}

func TestCommitRefuses(t *testing.T) {
	t.Parallel()
	f := open(t)
	type commit = engine.Commit
	type e = engine.Entry
	entry := engine.Entry{Key: "k", Value: json.RawMessage(`1`), Version: 1}
	with := func(change func(*engine.Commit, *engine.Entry)) engine.Commit {
		c, e := after(engine.Head{}), entry
		change(&c, &e)
		c.Entries = append(c.Entries, e)
		return c
	}
	for name, c := range map[string]engine.Commit{
		"long key":               with(func(_ *commit, e *e) { e.Key = strings.Repeat("k", 1501) }),
		"key not UTF-8":          with(func(_ *commit, e *e) { e.Key = "\xff" }),
		"value not UTF-8":        with(func(_ *commit, e *e) { e.Value = json.RawMessage("\"\xff\"") }),
		"no JSON":                with(func(_ *commit, e *e) { e.Value = json.RawMessage(`{`) }),
		"half a pair":            with(func(_ *commit, e *e) { e.Value = json.RawMessage(`"\ud800"`) }),
		"no value":               with(func(_ *commit, e *e) { e.Value = nil }),
		"tombstone with a value": with(func(_ *commit, e *e) { e.Deleted = true }),
		"entry's version":        with(func(_ *commit, e *e) { e.Version = 2 }),
		"large value": with(func(_ *commit, e *e) {
			e.Value = json.RawMessage(`"` + strings.Repeat("x", engine.MaxValueBytes) + `"`)
		}),
		"key twice":        with(func(c *commit, e *e) { c.Entries = []engine.Entry{*e} }),
		"version":          with(func(c *commit, e *e) { c.Next.Version, e.Version = 2, 2 }),
		"nonce not UTF-8":  with(func(c *commit, _ *e) { c.Next.Nonce = "\xff" }),
		"client twice":     with(func(c *commit, _ *e) { client(c, "c", "g"); client(c, "c", "g") }),
		"client not UTF-8": with(func(c *commit, _ *e) { client(c, "\xff", "g") }),
		"client's group":   with(func(c *commit, _ *e) { client(c, "c", "\xff") }),
		"client's version": with(func(c *commit, _ *e) { client(c, "c", "g"); c.Clients[0].Version = 9 }),
		"group twice": with(func(c *commit, _ *e) {
			c.Groups = []engine.ClientGroup{{ID: "g"}, {ID: "g"}}
		}),
		"user not UTF-8": with(func(c *commit, _ *e) {
			c.Groups = []engine.ClientGroup{{ID: "g", UserID: "\xff"}}
		}),
	} {
		f.counter.Reset()
		_, err := f.Commit(t.Context(), space, c)
		if kind := kindOf(t, err); !errors.Is(kind, engine.ErrImpossible) {
			t.Errorf("%s: Commit = %v, want %v", name, err, engine.ErrImpossible)
		}
		if got := f.counter.Counts().Total(); got != 0 {
			t.Errorf("%s: %d RPCs, want none", name, got)
		}
	}
	if _, err := f.Commit(t.Context(), "\xff", after(engine.Head{})); !errors.Is(kindOf(t, err), engine.ErrImpossible) {
		t.Errorf("space not UTF-8: Commit = %v, want %v", err, engine.ErrImpossible)
	}
}

// TestCommitRefusesWhatIsTooLarge fails at the emulator's deadline if what is too
// large is sent.
func TestCommitRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	store := openStore(t, firestore.Config{
		ProjectID: emulatortest.Project(t), EmulatorHost: emulatortest.Host(t),
	})
	large := func(n int) engine.Commit {
		c := after(engine.Head{})
		for i := range n {
			put(&c, strconv.Itoa(i), `"`+strings.Repeat("x", 500_000)+`"`)
		}
		return c
	}
	_, err := store.Commit(t.Context(), space, large(9))
	if kind := kindOf(t, err); !errors.Is(kind, engine.ErrImpossible) {
		t.Errorf("Commit of 4.5 MB = %v, want %v", err, engine.ErrImpossible)
	}
	if _, err := store.Commit(t.Context(), space, large(8)); err != nil {
		t.Errorf("Commit of 4 MB = %v, want none", err)
	}
}

func TestCommitRaces(t *testing.T) {
	t.Parallel()
	f := open(t)
	g := openProject(t, f.project)
	head := f.fill(t, 1)
	const racers = 8
	errs := make(chan error, racers)
	for i := range racers {
		store := []fixture{f, g}[i%2]
		c := after(head)
		c.Next.Nonce = fmt.Sprint("racer-", i)
		put(&c, "winner", strconv.Itoa(i))
		go func() {
			_, err := store.Commit(context.WithoutCancel(t.Context()), space, c)
			errs <- err
		}()
	}
	won := 0
	for range racers {
		err := <-errs
		if err == nil {
			won++
			continue
		}
		if kind := kindOf(t, err); !errors.Is(kind, engine.ErrConflict) {
			t.Errorf("Commit = %v, want %v", err, engine.ErrConflict)
		}
	}
	snap := f.mustSnapshot(t, engine.Documents{Head: true, Keys: []string{"winner"}})
	winner, _ := snap.Entry("winner")
	if want := "racer-" + string(winner.Value); won != 1 || snap.Head().Nonce != want {
		t.Errorf("%d commits won; head of %q, entry of %q", won, snap.Head().Nonce, want)
	}
}

func TestCommitWithContextThatEnded(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Commit(ctx, space, after(engine.Head{}))
	if kind := kindOf(t, err); !errors.Is(kind, engine.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v, want %v for the context's reason", err, engine.ErrUnavailable)
	}

	ctx, cancel = context.WithCancel(t.Context())
	f.faults.add(fault{method: "Commit", before: cancel})
	c := after(engine.Head{})
	_, err = f.Commit(ctx, space, c)
	if kind := kindOf(t, err); !errors.Is(kind, engine.ErrUnknownOutcome) {
		t.Errorf("Commit cancelled under way = %v, want %v", err, engine.ErrUnknownOutcome)
	}
}

func TestClientsKeepAnyReason(t *testing.T) {
	t.Parallel()
	f := open(t)
	c := after(engine.Head{})
	client(&c, "c", "g")
	c.Clients[0].LastMutationID = 2
	c.Clients[0].Rejections = []engine.Rejection{
		{MutationID: 1, Name: "create", Reason: "no: \xff", Version: 1},
		{MutationID: 2, Name: "", Reason: "", Version: 1},
	}
	f.mustCommit(t, c)
	snap := f.mustSnapshot(t, engine.Documents{Clients: []protocol.ClientID{"c"}})
	want := c.Clients[0]
	want.Rejections[0].Reason = "no: \uFFFD"
	got, _ := snap.Client("c")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("client (-want +got):\n%s", diff)
	}
}
