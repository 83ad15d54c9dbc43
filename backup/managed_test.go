package backup_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

// TestManagedExport: a managed export of the database is imported into another one,
// where the operator says that the space was restored, and clients of every kind go on.
func TestManagedExport(t *testing.T) {
	t.Parallel()
	project := emulatortest.Project(t)
	open := func(host string) place {
		store, err := firestore.Open(t.Context(), firestore.Config{ProjectID: project, EmulatorHost: host})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return place{Store: store}
	}
	w := newWorld(t, func(testing.TB) place { return open(emulatortest.Host(t)) })
	var metadata string
	w.livesOn(func() {
		var err error
		folder := filepath.Join(t.TempDir(), "export")
		if metadata, err = emulator.Export(t.Context(), emulatortest.Host(t), project, folder); err != nil {
			t.Fatal(err)
		}
	})

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	other, err := emulator.Start(ctx, emulator.Options{Import: metadata})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Stop() }) // after the stores
	w.place, w.engines = open(other.Host()), []*engine.Engine{}
	w.start()
	if _, err := w.engines[0].Restored(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	w.start()
	first := w.browser("first afterwards")
	for range 40 { // beyond the versions that the others have seen of the old database
		first.write(1)
		w.sync(first)
	}
	w.settle()
	w.goOn()
}
