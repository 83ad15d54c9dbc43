package backup_test

import (
	"fmt"
	"testing"

	"github.com/replifire/replifire/memory"
)

// TestClientsHeal: whatever a client had seen when a backup was put back, and
// whatever it still had to push, it agrees with all the others soon afterwards.
func TestClientsHeal(t *testing.T) {
	t.Parallel()
	for name, open := range places {
		for _, wiped := range []bool{false, true} {
			for _, pullFirst := range []bool{false, true} {
				t.Run(scenario(name, wiped, pullFirst), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, open)
					var file []byte
					w.livesOn(func() { file = w.export() })
					if wiped {
						w.wipe()
					}
					w.restore(file)
					if pullFirst {
						for _, tab := range w.tabs {
							w.pull(tab)
						}
					}
					w.start() // one that knows nothing of before
					w.settle()
					w.goOn()
				})
			}
		}
	}
}

// TestClientsHealByThemselves: a store is put back to an earlier moment, and nobody says so: an
// emulator started from an export, or a managed restore whose operator forgot. The instances
// that knew the time after it live on. Others may have written fewer commits since than the
// clients have seen, as many, or more.
func TestClientsHealByThemselves(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 1, 8, 40, 200} {
		for _, pullFirst := range []bool{false, true} {
			t.Run(scenario(fmt.Sprint(others, " others"), false, pullFirst), func(t *testing.T) {
				t.Parallel()
				store := memory.New()
				w := newWorld(t, func(testing.TB) place { return place{store, store.Wipe} })
				var earlier *memory.Store
				w.livesOn(func() { earlier = store.Clone() })
				store.Restore(earlier)
				other := w.browser("other")
				for range others {
					other.write(1)
					w.sync(other)
				}
				if pullFirst {
					for _, tab := range w.tabs {
						w.pull(tab)
					}
				}
				w.start()
				w.settle()
				w.goOn()
			})
		}
	}
}

func scenario(store string, wiped, pullFirst bool) string {
	if wiped {
		store += ", wiped"
	}
	if pullFirst {
		store += ", pulls come first"
	}
	return store
}

// livesOn has clients of every kind, makes a backup, and lets them go on.
func (w *world) livesOn(backup func()) {
	ahead, behind, equal := w.browser("ahead"), w.browser("behind"), w.browser("equal")
	unpulled := w.browser("ahead, but has not pulled")
	w.browser("new").write(1)
	ahead.write(5)
	w.sync(ahead)
	sibling := w.sibling("sibling of ahead", ahead)
	sibling.write(2)
	w.sync(sibling)
	behind.write(1)
	w.sync(behind)
	behind.write(2)
	w.push(behind)
	unpulled.write(2)
	w.sync(unpulled)
	equal.write(3)
	w.sync(equal)
	w.sibling("reader", equal)

	backup()

	ahead.write(3)
	w.sync(ahead)
	ahead.write(1)
	w.pull(sibling)
	unpulled.write(2)
	w.push(unpulled)
	w.groupsOfLater()
}

// groupsOfLater are those that the backup does not know.
func (w *world) groupsOfLater() {
	seen, pending := w.browser("later"), w.browser("later, with more to push")
	unpulled, made := w.browser("later, has never pulled"), w.browser("later, has pulled before it wrote")
	seen.write(4)
	w.sync(seen)
	pending.write(2)
	w.sync(pending)
	pending.write(2)
	unpulled.write(2)
	w.push(unpulled)
	w.pull(made)
	sibling := w.sibling("sibling who knows more of it", made)
	made.write(3)
	w.push(made)
	w.pull(sibling)
}

// TestGroupIsMadeAgain: a store that was wiped, or restored to before a group
// existed, is pushed to by a client of it that has seen nothing of what it had pushed,
// the first of its mutations only. Another tab of the group knows more.
func TestGroupIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, open := range places {
		for _, restored := range []bool{false, true} {
			t.Run(scenario(name, !restored, false), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, open)
				first := w.browser("first")
				first.write(1)
				w.sync(first)
				file := w.export()
				writer := w.browser("writer")
				w.pull(writer)
				knows := w.sibling("who knows more", writer)
				writer.write(3)
				w.push(writer)
				w.pull(knows)
				w.wipe()
				if restored {
					w.restore(file)
				}
				w.pushFirst(writer, 1)
				w.pull(knows) // is told 1 after 3, for ever if the writer is never seen again
				w.settle()
				w.goOn()
			})
		}
	}
}
