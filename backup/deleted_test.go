package backup_test

import (
	"errors"
	"testing"

	"github.com/replifire/replifire/engine"
)

// TestDeletedSpaceComesBack: a backup is put into a space that was deleted, whose
// clients of before start afresh, and of which a later backup has none.
func TestDeletedSpaceComesBack(t *testing.T) {
	t.Parallel()
	for name, open := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			var file []byte
			w.livesOn(func() { file = w.export() })
			if _, err := w.engine().Delete(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
			deleted := w.export()
			if n := len(values(t, deleted)); n > 0 {
				t.Errorf("a backup of a deleted space has %d entries", n)
			}
			w.restore(file)
			w.settle()
			w.goOn()
		})
	}
}

// TestCollectionBesideAnImport: gc has nothing to do in half a backup, and a space
// that is deleted in the middle of an import is not imported into any more.
func TestCollectionBesideAnImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, places["memory"])
	file, _ := filled(t, w.Store)
	head := headOf(t, w.Store, "s")
	commit(t, w.Store, "s", func(c *engine.Commit) {
		c.Next.Base, c.Next.Floor, c.Next.Importing = c.Next.Version, c.Next.Version, "half"
	})
	got, err := w.engine().Collect(t.Context(), "s", head.UpdatedAt.AddDate(100, 0, 0))
	if err != nil || got.Tombstones > 0 {
		t.Errorf("collected %+v, error %v", got, err)
	}
	if _, err := w.engine().Restored(t.Context(), "s"); !errors.Is(err, engine.ErrImporting) {
		t.Errorf("Restored: %v", err)
	}
	if head, err := w.engine().Delete(t.Context(), "s"); err != nil || head.Importing != "" {
		t.Errorf("Delete: %+v, error %v", head, err)
	}
	w.restore(file)
	sameAsBackup(t, w.Store, file)
}
