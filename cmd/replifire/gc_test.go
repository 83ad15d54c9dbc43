package main

import (
	"strings"
	"testing"

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
	d.expect(t, "gc s absent", `space "s": 1 deletions forgotten, 1 documents deleted`, "2 spaces: 1 deletions")
	d.expect(t, "gc", "1 spaces: 0 deletions forgotten, 0 documents deleted")
	d.change(t, storetest.Put("e", `5`)) // the emulator shows a purge late
	d.expect(t, "fsck s", "3 entries, 0 tombstones")
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
