package main

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// expect runs a command and looks for texts in what it prints.
func (d *database) expect(t *testing.T, args string, want ...string) {
	t.Helper()
	code, stdout, stderr := execute(t.Context(), d.environment(), strings.Fields(args)...)
	if code != 0 {
		t.Errorf("%s exits with %d, prints %q, %q", args, code, stdout, stderr)
	}
	for _, text := range want {
		if !strings.Contains(stdout, text) {
			t.Errorf("%s prints %q, want %q in it", args, stdout, text)
		}
	}
}

func TestGC(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.expect(t, "gc", "0 spaces: 0 deletions forgotten")
	d.fill(t)
	d.change(t, storetest.Del("a"), storetest.Put("c", `3`)) // months ago
	d.expect(t, "gc --dry-run", `space "s": 1 deletions past their time`)
	d.expect(t, "gc --retention 876000h", "1 spaces: 0 deletions forgotten, 0 documents deleted")
	d.expect(t, "gc s absent s", `space "s": 1 deletions forgotten, 1 documents deleted`, "2 spaces: 1 deletions",
		`space "absent" does not exist: nothing to do`)
	d.expect(t, "gc", "1 spaces: 0 deletions forgotten, 0 documents deleted")
	d.change(t, storetest.Put("e", `5`)) // the emulator shows a purge late
	d.expect(t, "fsck s", "3 entries, 0 tombstones")
}

// TestGCDryRunOfMany says when it has not counted them all.
func TestGCDryRunOfMany(t *testing.T) {
	t.Parallel()
	store := memory.New()
	for id, n := range map[protocol.SpaceID]int{"few": 3, "many": engine.MaxExpired + 1} {
		_, err := store.Commit(t.Context(), id, storetest.Step(engine.Head{}, func(c *engine.Commit) {
			for i := range n {
				storetest.Del(strconv.Itoa(i))(c)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	e := engine.New(store, mutate.NewRegistry(), engine.Options{})
	defer func() { _ = e.Close(context.Background()) }()
	var out output
	p := &program{ctx: t.Context(), stdout: &out, stderr: io.Discard}
	if err := (&gcCommand{DryRun: true}).collect(p, e); err != nil {
		t.Error(err)
	}
	want := `space "few": 3 deletions past their time
space "many": 10000 or more deletions past their time
2 spaces: 10003 or more deletions past their time
`
	if got := out.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// ending is a store that a signal cuts off when space "b" is purged.
type ending struct {
	engine.Store
	cancel context.CancelFunc
}

func (s *ending) Purge(ctx context.Context, id protocol.SpaceID) (int, error) {
	if id == "b" {
		s.cancel()
		return 1, ctx.Err()
	}
	return s.Store.Purge(ctx, id)
}

// TestGCInterrupted says how much was done.
func TestGCInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store := &ending{memory.New(), cancel}
	for _, id := range []protocol.SpaceID{"a", "b", "c"} {
		if _, err := store.Commit(t.Context(), id, storetest.Step(engine.Head{}, storetest.Del("x"))); err != nil {
			t.Fatal(err)
		}
	}
	e := engine.New(store, mutate.NewRegistry(), engine.Options{})
	defer func() { _ = e.Close(context.Background()) }()
	var out output
	err := (&gcCommand{}).collect(&program{ctx: ctx, stdout: &out, stderr: io.Discard}, e)
	if want := `gc was interrupted in space "b": run it again`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if want := "1 spaces: 1 deletions forgotten, 2 documents deleted\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %s, want %s", out.String(), want)
	}
}

func TestGCUsage(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	for _, args := range []string{"gc --retention=-1h", "gc " + strings.Repeat("x", 2000), "delete s"} {
		code, stdout, stderr := execute(t.Context(), d.environment(), strings.Fields(args)...)
		if code == 0 || stdout != "" || stderr == "" {
			t.Errorf("%.20s exits with %d, prints %q, %q", args, code, stdout, stderr)
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.expect(t, "delete s --yes", "does not exist")
	d.fill(t)
	d.change(t, storetest.Group("g", "u", "s"), storetest.Client("c", "g", 1))
	d.expect(t, "delete s --yes", `space "s" is at version 4`)
	d.expect(t, "delete s --yes", `space "s" is at version 4`)
	d.expect(t, "gc", "1 spaces: 0 deletions forgotten, 0 documents deleted")
	d.change(t, storetest.Put("a", `1`))
	d.expect(t, "fsck s", "1 entries, 0 tombstones, 0 clients")
}
