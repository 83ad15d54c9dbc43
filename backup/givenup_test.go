package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

// TestImportIsGivenUp after each of its commits, in each way there is: clients that it
// had set back already must not be stuck.
func TestImportIsGivenUp(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*world) error{
		"reset": func(w *world) error {
			_, err := w.engine().Reset(w.Context(), "s")
			return err
		},
		"delete": func(w *world) error {
			_, err := w.engine().Delete(w.Context(), "s")
			return err
		},
		"backup of another space": func(w *world) error {
			other := memory.New()
			commit(w, other, "other", storetest.Put("other", `["x 1"]`))
			w.restore(export(w.Context(), w, other, "other"))
			return nil
		},
	}
	for name, giveUp := range ways {
		for commits := 1; commits <= 2; commits++ {
			for _, pullFirst := range []bool{false, true} {
				t.Run(scenario(fmt.Sprintf("%s after %d commits", name, commits), false, pullFirst), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, places["memory"])
					var file []byte
					w.livesOn(func() { file = w.export() })
					w.breakOff(file, commits)
					if err := giveUp(w); err != nil {
						t.Fatal(err)
					}
					if pullFirst {
						for _, tab := range w.tabs {
							w.pull(tab)
						}
					}
					w.settle()
					w.goOn()
				})
			}
		}
	}
}

// breakOff begins an import, which ends after some commits.
func (w *world) breakOff(file []byte, commits int) {
	w.Helper()
	store := &limited{w.Store, commits}
	_, err := backup.Import(w.Context(), store, "s", bytes.NewReader(file), backup.Options{Replace: true})
	if !errors.Is(err, engine.ErrImpossible) || headOf(w, w.Store, "s").Importing == "" {
		w.Fatalf("got %v, head %+v, want an import that was broken off", err, headOf(w, w.Store, "s"))
	}
}

// limited takes a number of commits and no more.
type limited struct {
	engine.Store
	left int
}

func (l *limited) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	if l.left == 0 {
		return engine.Head{}, engine.ErrImpossible
	}
	l.left--
	return l.Store.Commit(ctx, id, c)
}
