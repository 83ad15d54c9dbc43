package storetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/protocol"
)

// patience ends a test that hangs. No test depends on how long anything takes.
var patience = 2 * time.Minute

// MustFsck ends a test of anything that keeps data in a store: t fails, with the
// report, for each space that breaks an invariant. It may be called in a Cleanup.
func MustFsck(t testing.TB, store engine.Store, spaces ...protocol.SpaceID) {
	t.Helper()
	base := context.WithoutCancel(t.Context())
	ctx, cancel := context.WithTimeout(base, patience)
	defer cancel()
	for _, space := range spaces {
		report, err := fsck.Check(ctx, store, space)
		if err != nil {
			t.Errorf("fsck of %.40q: %v", space, err)
		}
		if !report.OK() {
			t.Errorf("fsck found problems: %v", report)
		}
	}
}

// sameData compares what stores return: values byte by byte, times as instants, and
// revisions not at all.
var sameData = gocmp.Options{
	gocmp.FilterPath(func(p gocmp.Path) bool {
		return p.Last().Type() != reflect.TypeFor[json.RawMessage]()
	}, cmpopts.EquateEmpty()),
	cmpopts.IgnoreFields(engine.Head{}, "Revision"),
	gocmp.Comparer(func(a, b json.RawMessage) bool {
		return (a == nil) == (b == nil) && bytes.Equal(a, b)
	}),
}

// kit is what a case has: its test, its store, and the words it is written in.
type kit struct {
	*testing.T
	Harness
	ctx     context.Context //nolint:containedctx // of this one test, as t.Context
	touched *spaces
}

// spaces are those a case has written to, to be checked at its end.
type spaces struct {
	mu  sync.Mutex
	ids map[protocol.SpaceID]bool
}

func newKit(t *testing.T, h Harness) *kit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	k := &kit{
		T: t, Harness: h, ctx: ctx,
		touched: &spaces{ids: map[protocol.SpaceID]bool{}},
	}
	t.Cleanup(func() {
		cancel()
		MustFsck(t, h.Store, slices.Sorted(maps.Keys(k.touched.ids))...)
	})
	return k
}

func (k *kit) touch(space protocol.SpaceID) {
	k.touched.mu.Lock()
	defer k.touched.mu.Unlock()
	k.touched.ids[space] = true
}

// sub runs a subtest on the same store.
func (k *kit) sub(name string, run func(*kit)) {
	k.Helper()
	k.Run(name, func(t *testing.T) {
		run(&kit{T: t, Harness: k.Harness, ctx: k.ctx, touched: k.touched})
	})
}

// commit applies changes to a space that is at prev, and holds the answer to the
// contract.
func (k *kit) commit(
	space protocol.SpaceID, prev engine.Head, changes ...Change,
) engine.Head {
	k.Helper()
	return k.apply(space, Step(prev, changes...))
}

func (k *kit) apply(space protocol.SpaceID, c engine.Commit) engine.Head {
	k.Helper()
	k.touch(space)
	head, err := k.Store.Commit(k.ctx, space, c)
	if err != nil {
		k.Fatalf("commit %d of %.40q: %v", c.Next.Version, space, err)
	}
	k.same("head returned by Commit", head, c.Next)
	if head.Revision == "" || head.Revision == c.Prev.Revision {
		k.Errorf("revision %q after %q, want a new one", head.Revision, c.Prev.Revision)
	}
	return head
}

// refused tries a commit that must fail with kind and change nothing.
func (k *kit) refused(space protocol.SpaceID, c engine.Commit, kind error) {
	k.Helper()
	k.touch(space)
	before := k.view(space)
	head, err := k.Store.Commit(k.ctx, space, c)
	if !errors.Is(err, kind) {
		k.Errorf("commit: got head %+v, error %v, want %v", head, err, kind)
	}
	k.same("space after a refused commit", k.view(space), before)
}

// snapshot fixes a moment; the head is always read.
func (k *kit) snapshot(space protocol.SpaceID, docs engine.Documents) engine.Snapshot {
	k.Helper()
	docs.Head = true
	snap, err := k.Store.Snapshot(k.ctx, space, docs)
	if err != nil {
		k.Fatalf("snapshot of %.40q: %v", space, err)
	}
	return snap
}

func (k *kit) head(space protocol.SpaceID) engine.Head {
	k.Helper()
	return k.snapshot(space, engine.Documents{}).Head()
}

// view is all of a space at one moment, entries by key and clients by id.
type view struct {
	Head    engine.Head
	Entries []engine.Entry
	Clients []engine.Client
}

func (k *kit) view(space protocol.SpaceID) view {
	k.Helper()
	return k.viewOf(k.snapshot(space, engine.Documents{}))
}

func (k *kit) viewOf(snap engine.Snapshot) view {
	k.Helper()
	v := view{
		Head:    snap.Head(),
		Entries: collect(k, snap.Entries(k.ctx, math.MinInt64)),
		Clients: collect(k, snap.Clients(k.ctx, "", math.MinInt64)),
	}
	slices.SortFunc(v.Entries, func(a, b engine.Entry) int { return cmp.Compare(a.Key, b.Key) })
	slices.SortFunc(v.Clients, func(a, b engine.Client) int { return cmp.Compare(a.ID, b.ID) })
	k.same("entries by key and by version", k.scan(snap, engine.Range{}), v.Entries)
	return v
}

func (k *kit) scan(snap engine.Snapshot, r engine.Range) []engine.Entry {
	k.Helper()
	entries, err := snap.Range(k.ctx, r)
	if err != nil {
		k.Fatalf("Range(%.40q, %.40q, %d, %d): %v", r.From, r.To, r.Limit, r.MaxBytes, err)
	}
	return entries
}

// collect reads an iterator to its end.
func collect[T any](k *kit, all iter.Seq2[T, error]) []T {
	k.Helper()
	var found []T
	for item, err := range all {
		if err != nil {
			k.Fatalf("after %d items: %v", len(found), err)
		}
		found = append(found, item)
	}
	return found
}

// same compares what is got with what is wanted.
func (k *kit) same(what string, got, want any) {
	k.Helper()
	if diff := gocmp.Diff(want, got, sameData); diff != "" {
		k.Errorf("%s differs (-want +got):\n%s", what, clip(diff))
	}
}

// clip keeps the diff of a megabyte value readable.
func clip(s string) string {
	const most = 4000
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

func itoa[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

// keys are those of entries, in their order.
func keys(entries []engine.Entry) []string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Key
	}
	return names
}
