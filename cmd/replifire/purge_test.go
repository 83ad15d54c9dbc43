package main

import (
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/storetest"
)

// change commits each change to space "s", and nothing else: a reset made so is that
// of a process that died before it had deleted anything.
func (d *database) change(t *testing.T, changes ...storetest.Change) {
	t.Helper()
	store, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	snap, err := store.Snapshot(t.Context(), "s", engine.Documents{Head: true})
	if err != nil {
		t.Fatal(err)
	}
	head := snap.Head()
	for _, c := range changes {
		if head, err = store.Commit(t.Context(), "s", storetest.Step(head, c)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fill(t)
	d.change(t, storetest.Reset(), storetest.Put("b", `3`))
	// "a" is hidden and goes; "b" was written again and stays.
	for _, want := range []string{"1 entries purged", "0 entries purged"} {
		code, stdout, stderr := execute(t.Context(), d.environment(), "purge", "s")
		if code != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("purge exits with %d, prints %q, %q, want %q", code, stdout, stderr, want)
		}
	}
	d.expect(t, "purge absent", `space "absent" does not exist: nothing to do`)
	// The emulator shows another process's purge at once only with a later commit.
	d.change(t, storetest.Put("c", `4`))
	code, stdout, _ := execute(t.Context(), d.environment(), "fsck", "s")
	if code != 0 || !strings.Contains(stdout, "version 4, 2 entries") {
		t.Errorf("afterwards fsck exits with %d, prints %q", code, stdout)
	}
}
