package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
)

// twoHistories is a space that goes back in time: to version 3, then others go on.
type twoHistories struct {
	*testing.T
	store *memory.Store
	warm  *engine.Engine // has seen both
	cold  *engine.Engine
	// What clients saw: early at version 3; writer and reader at 6, in the history that is
	// gone. writer is of the group that wrote, reader of one that never did.
	early, writer, reader *view
	log                   *bytes.Buffer
}

// goBack makes it, with as many commits of others afterwards as told.
func goBack(t *testing.T, others int) *twoHistories {
	t.Helper()
	h := &twoHistories{T: t, store: fresh(t), log: &bytes.Buffer{}}
	logger := slog.New(slog.NewTextHandler(h.log, nil))
	h.warm = start(t, h.store, engine.Options{Logger: logger})
	h.early, h.writer, h.reader = newView(), newView(), newView()
	for i := range int64(3) {
		mustPush(t, h.warm, alice, "g1", mutation("c", i+1, "put", put{fmt.Sprint("before", i), i}))
	}
	h.early.pull(t, h.warm, alice, "early")
	backup := h.store.Clone()
	for i := range int64(3) {
		mustPush(t, h.warm, alice, "g1", mutation("c", i+4, "put", put{fmt.Sprint("lost", i), i}))
	}
	h.writer.pull(t, h.warm, alice, "g1")
	h.reader.pull(t, h.warm, alice, "reader")
	mustPush(t, h.warm, alice, "g-lost", mutation("l", 1, "fail", put{"x", 1})) // a group that is gone
	mustPush(t, h.warm, alice, "g1", mutation("c", 7, "fail", put{"x", 1}))
	h.store.Restore(backup)
	h.cold = start(t, h.store, engine.Options{})
	for i := range int64(others) {
		mustPush(t, h.cold, bob, "g2", mutation("b", i+1, "put", put{fmt.Sprint("other", i), i}))
	}
	return h
}

// want is what the space holds now.
func (h *twoHistories) want() string {
	v := newView()
	v.pull(h.T, h.cold, alice, "anybody")
	return fmt.Sprint(v.entries)
}

// TestSpaceGoesBack: who has seen a history that the space has left is told so, whether the
// space is still behind the version they have seen, at it, or beyond it.
func TestSpaceGoesBack(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 1, 3, 4, 5, 9, 200} {
		t.Run(fmt.Sprint(others, " others"), func(t *testing.T) {
			t.Parallel()
			h := goBack(t, others)
			for _, e := range []*engine.Engine{h.warm, h.cold, h.warm} {
				h.check(e)
			}
			if !strings.Contains(h.log.String(), "gone back") {
				t.Errorf("the operator is told %q", h.log)
			}
		})
	}
}

func (h *twoHistories) check(e *engine.Engine) {
	h.Helper()
	want := h.want()
	early := h.early.clone()
	early.pull(h.T, e, alice, "early")
	if got := fmt.Sprint(early.entries); got != want || early.cleared {
		h.Errorf("who has seen what both histories have: %s, want %s; everything anew: %v", got, want, early.cleared)
	}
	reader := h.reader.clone()
	reader.pull(h.T, e, alice, "reader")
	if got := fmt.Sprint(reader.entries); got != want || !reader.cleared {
		h.Errorf("a reader: %s, want %s; everything anew: %v", got, want, reader.cleared)
	}
	if err := h.writer.clone().tryPull(h.T, e, alice, "g1"); !sameError(err, protocol.ClientStateNotFound()) {
		h.Errorf("the writer is told %v, want ClientStateNotFound", err)
	}
	again := h.writer.clone()
	again.last = map[protocol.ClientID]int64{}
	again.pull(h.T, e, alice, "g-again")
	if got := fmt.Sprint(again.entries); got != want {
		h.Errorf("the writer, started afresh: %s, want %s", got, want)
	}
}

// TestSpaceGoesBackUnderAGroup: whoever has not been told anything of their group by the history
// that is gone needs no new one: a client that writes before it first pulls would be told to
// start afresh each time.
func TestSpaceGoesBackUnderAGroup(t *testing.T) {
	t.Parallel()
	h := goBack(t, 5)
	for i, from := range []*view{h.reader, h.writer} { // their cookies name no group, and another one
		group, client := protocol.ClientGroupID(fmt.Sprint("new", i)), protocol.ClientID(fmt.Sprint("n", i))
		mustPush(t, h.cold, alice, group, mutation(client, 1, "put", put{"new", i}))
		v := from.clone()
		v.last = map[protocol.ClientID]int64{}
		v.pull(t, h.cold, alice, group)
		if got := fmt.Sprint(v.entries); got != h.want() || v.last[client] != 1 {
			t.Errorf("got %s and lastMutationID %d, want %s and 1", got, v.last[client], h.want())
		}
	}
}

// TestSpaceGoesBackUnchecked: cookies without a name, and those that are older than a head's
// names, are diffed by their version.
func TestSpaceGoesBackUnchecked(t *testing.T) {
	t.Parallel()
	h := goBack(t, 5)
	bare := h.reader.clone()
	bare.cookie = cookieOf(fmt.Sprintf(`{"order":6,"version":6,"epoch":%q}`, h.reader.cookie.Epoch))
	bare.pull(t, h.cold, alice, "reader")
	if bare.cleared || bare.cookie.Commit == "" {
		t.Errorf("without a name: everything anew: %v, then cookie %s", bare.cleared, bare.cookie.Raw)
	}
	for i := range int64(engine.HistoryLength - 3) {
		mustPush(t, h.cold, bob, "g2", mutation("b", i+6, "put", put{"n", i}))
	}
	head, err := h.cold.Head(t.Context(), space)
	if err != nil {
		t.Fatal(err)
	}
	if oldest := head.Version - engine.HistoryLength + 1; oldest != 6 || head.NameOf(6) == "" {
		t.Fatalf("the head names from version %d", oldest)
	}
	h.reader.clone().pull(t, h.cold, alice, "reader")
	mustPush(t, h.cold, bob, "g2", mutation("b", engine.HistoryLength+3, "put", put{"n", 0}))
	late := h.reader.clone()
	late.pull(t, h.cold, alice, "reader")
	if late.cleared {
		t.Error("a cookie that cannot be checked is answered with everything")
	}
}

// TestUnchangedKeepsItsCookie: nothing new is the very same cookie, with a name and without one;
// and a change gives a name to a cookie that had none.
func TestUnchangedKeepsItsCookie(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	head, err := e.Head(t.Context(), space)
	if err != nil {
		t.Fatal(err)
	}
	named := newView()
	named.pull(t, e, alice, "g1")
	if named.cookie.Commit != head.Name() || head.Name() == "" {
		t.Fatalf("cookie %s of a commit named %q", named.cookie.Raw, head.Name())
	}
	bare := named.clone()
	bare.cookie = cookieOf(fmt.Sprintf(`{"order":1,"version":1,"epoch":%q}`, head.Epoch))
	for _, v := range []*view{named, bare} {
		before := string(v.cookie.Raw)
		v.pull(t, e, alice, "g1")
		if got := string(v.cookie.Raw); got != before {
			t.Errorf("nothing new: %s became %s", before, got)
		}
	}
	mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"a", 2}))
	for _, v := range []*view{named, bare} {
		v.pull(t, e, alice, "g1")
		if v.cookie.Version != 2 || v.cookie.Commit == "" || v.entries["a"] != "2" || v.cleared {
			t.Errorf("a change: cookie %s, %v", v.cookie.Raw, v.entries)
		}
	}
}

// TestRememberedOwnersOfAnotherHistory: a group that an instance remembers may not exist any
// more, or be of another time.
func TestRememberedOwnersOfAnotherHistory(t *testing.T) {
	t.Parallel()
	h := goBack(t, 3)
	lost := newView()
	lost.cookie, lost.entries = h.early.cookie, h.early.clone().entries
	h.reader.clone().pull(t, h.warm, alice, "reader") // it sees that the space has gone back
	lost.pull(t, h.warm, alice, "g-lost")
	if lost.cookie.Group != "" {
		t.Errorf("cookie %s of a group that there is not", lost.cookie.Raw)
	}
	mustPush(t, h.cold, bob, "g-lost", mutation("l", 1, "put", put{"x", 1}))
	if err := h.early.clone().tryPull(t, h.warm, alice, "g-lost"); !errors.Is(err, engine.ErrForbidden) {
		t.Errorf("a group that is somebody else's now: %v", err)
	}
}

// TestRestoredReader: a restore that an operator has told of makes nobody start afresh who was
// told nothing of their group before.
func TestRestoredReader(t *testing.T) {
	t.Parallel()
	e := start(t, fresh(t), engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	v := newView()
	v.pull(t, e, alice, "g3")
	mustPush(t, e, alice, "g3", mutation("d", 1, "put", put{"b", 1}))
	time.Sleep(time.Millisecond) // the group is older than the restore
	if _, err := e.Restored(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	v.pull(t, e, alice, "g3")
	if !v.cleared || v.last["d"] != 1 {
		t.Errorf("got %+v", v)
	}
}

// TestSpaceGoesBackBeforeAReset: an epoch is no history. What was seen after a reset is lost
// where the space goes back to before it; and who has seen a time before a reset that has stayed
// goes on.
func TestSpaceGoesBackBeforeAReset(t *testing.T) {
	t.Parallel()
	store := fresh(t)
	e := start(t, store, engine.Options{})
	mustPush(t, e, alice, "g1", mutation("c", 1, "put", put{"a", 1}))
	mustPush(t, e, alice, "g1", mutation("c", 2, "put", put{"a", 2}))
	before := newView()
	before.pull(t, e, alice, "g1")
	backup := store.Clone()
	if _, err := e.Reset(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	mustPush(t, e, alice, "g1", mutation("c", 3, "put", put{"a", 3}))
	after := before.clone()
	after.pull(t, e, alice, "g1")
	if !after.cleared || after.last["c"] != 3 {
		t.Errorf("after a reset: %+v", after)
	}
	store.Restore(backup)
	for i := range int64(5) {
		if err := after.clone().tryPull(t, e, alice, "g1"); !sameError(err, protocol.ClientStateNotFound()) {
			t.Errorf("%d commits since: %v", i, err)
		}
		v := before.clone()
		v.pull(t, e, alice, "g1")
		if v.cleared || v.last["c"] != 2 {
			t.Errorf("who has not seen the reset: %+v", v)
		}
		mustPush(t, e, bob, "g2", mutation("b", i+1, "put", put{"b", i}))
	}
}
