package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

func mustImport(t testing.TB, store engine.Store, file []byte, o backup.Options) backup.Result {
	t.Helper()
	done, err := backup.Import(t.Context(), store, "s", bytes.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	storetest.MustFsck(t, store, "s")
	return done
}

// TestRoundTrip: into an empty store, and over what the space holds now.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			odds(t, store, "s")
			refused := engine.Rejection{MutationID: 4, Name: "n", Reason: "é \x00 <&>", Version: 1}
			commit(t, store, "s", storetest.Group("g", "user", "s"), storetest.Group("h", "", "s"),
				storetest.Client("c", "g", 5, refused), storetest.Client("d", "g", 1), storetest.Client("e", "h", 9))
			_, clients := contents(t, store, "s")
			file := export(t.Context(), t, store, "s")

			commit(t, store, "s", storetest.Put("later", `1`), storetest.Del("deep"),
				storetest.Client("c", "g", 7, refused), storetest.Group("i", "u", "s"), storetest.Client("f", "i", 2))
			before := headOf(t, store, "s")
			mustImport(t, store, file, backup.Options{Replace: true})
			entries, got := contents(t, store, "s")
			sameValues(t, entries, odd())
			delete(got, "f") // of a group that is not in the backup: it stays
			sameClients(t, got, clients)
			after := headOf(t, store, "s")
			if after.Epoch == before.Epoch || after.Importing != "" || !after.RestoredAt.After(before.UpdatedAt) {
				t.Errorf("head %+v after %+v", after, before)
			}
			if n, err := store.Purge(t.Context(), "s"); err != nil || n != 1 { // the rest was written over
				t.Errorf("purged %d, error %v, want only what the backup has not", n, err)
			}

			other := open(t)
			mustImport(t, other, file, backup.Options{})
			entries, got = contents(t, other, "s")
			sameValues(t, entries, odd())
			sameClients(t, got, clients)
		})
	}
}

func sameClients(t testing.TB, got, want map[protocol.ClientID]engine.Client) {
	t.Helper()
	versions := cmp.Options{
		cmpopts.IgnoreFields(engine.Client{}, "Version"), cmpopts.IgnoreFields(engine.Rejection{}, "Version"),
		cmpopts.EquateEmpty(),
	}
	if diff := cmp.Diff(want, got, versions); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
}

// TestImportOfOtherTexts: a program of before, or a person, has written values otherwise;
// they come in with the text that they have everywhere.
func TestImportOfOtherTexts(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, source := odd(), memory.New()
			delete(want, strings.Repeat("\U0001F600", 9)) // too large for what follows
			placeholders := []string{}
			for key, value := range want {
				placeholder := fmt.Sprintf(`"placeholder %d"`, len(placeholders)/2)
				commit(t, source, "s", storetest.Put(key, placeholder))
				placeholders = append(placeholders, placeholder, value)
			}
			file := edited(t, export(t.Context(), t, source, "s"), placeholders...)
			store := open(t)
			mustImport(t, store, file, backup.Options{})
			got, _ := contents(t, store, "s")
			sameValues(t, got, want)
			sameValues(t, values(t, export(t.Context(), t, store, "s")), want)
		})
	}
}

// edited is a backup in which texts were replaced, with the last line for that.
func edited(t testing.TB, file []byte, oldnew ...string) []byte {
	t.Helper()
	last := bytes.LastIndexByte(bytes.TrimSpace(file), '\n') + 1
	changed := []byte(strings.NewReplacer(oldnew...).Replace(string(file[:last])))
	sum := func(b []byte) []byte { return fmt.Appendf(nil, "%x", sha256.Sum256(b)) }
	end := bytes.Replace(file[last:], sum(file[:last]), sum(changed), 1)
	if bytes.Equal(end, file[last:]) {
		t.Fatal("nothing was edited")
	}
	return append(changed, end...)
}

func TestTenThousandEntries(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, other := open(t), open(t)
			for i := range 20 {
				commit(t, store, "s", puts(500*i, 500))
			}
			file := export(t.Context(), t, store, "s")
			told := 0
			done := mustImport(t, other, file, backup.Options{Progress: func(n backup.Counts) {
				if n.Entries <= told {
					t.Errorf("told of %d entries after %d", n.Entries, told)
				}
				told = n.Entries
			}})
			if told != 10_000 || done.Entries != 10_000 || done.Head.Version != 2+25 {
				t.Errorf("told of %d entries, did %+v, want 10000 in 25 commits", told, done)
			}
			got, _ := contents(t, other, "s")
			want, _ := contents(t, store, "s")
			sameValues(t, got, want)
		})
	}
}

// TestLargeCommitsAreSplit by their bytes, long before their number.
func TestLargeCommitsAreSplit(t *testing.T) {
	t.Parallel()
	store := openFirestore(t)
	large := `"` + string(bytes.Repeat([]byte("x"), 900_000)) + `"`
	for i := range 8 {
		commit(t, store, "s", storetest.Put(strconv.Itoa(i), large))
	}
	done := mustImport(t, store, export(t.Context(), t, store, "s"), backup.Options{Replace: true})
	if done.Head.Version != 8+1+8+1 {
		t.Errorf("version %d, want 8 and one to begin, one for each entry, and one to end", done.Head.Version)
	}
}

// TestValuesThatGrow in a commit: numbers take more there than in the file, and a
// commit that is too large would be so each time the import is run again.
func TestValuesThatGrow(t *testing.T) {
	t.Parallel()
	array := func(element string, n int) string {
		return "[" + element + strings.Repeat(","+element, n-1) + "]"
	}
	const most = 124_000 // that are stored as numbers
	for name, values := range map[string][]string{
		"numbers twice as large":     slices.Repeat([]string{array("1", 50_000)}, 22),
		"numbers 4.3 times as large": slices.Repeat([]string{array("-1", most)}, 3),
		"as large as a commit gets":  {array("-1", most), array("-1", 50_000), array("-1", most)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, want := memory.New(), map[string]string{}
			for i, value := range values {
				key := fmt.Sprintf("%02d", i)
				want[key] = value
				commit(t, source, "s", storetest.Put(key, value))
			}
			store := openFirestore(t)
			mustImport(t, store, export(t.Context(), t, source, "s"), backup.Options{})
			got, _ := contents(t, store, "s")
			sameValues(t, got, want)
		})
	}
}

// filled is a store with some of everything, and a backup of the space as it was
// before.
func filled(t testing.TB, store engine.Store) (file []byte, before map[string]string) {
	t.Helper()
	commit(t, store, "s", puts(0, 900), storetest.Group("g", "u", "s"), storetest.Client("c", "g", 5))
	file = export(t.Context(), t, store, "s")
	commit(t, store, "s", puts(500, 600), storetest.Client("c", "g", 8))
	before, _ = contents(t, store, "s")
	return file, before
}

// TestRefusedImportsChangeNothing, whatever the reason.
func TestRefusedImportsChangeNothing(t *testing.T) {
	t.Parallel()
	store := memory.New()
	file, _ := filled(t, store)
	spoiled := bytes.Clone(file)
	spoiled[len(spoiled)/2] ^= 1
	taken := memory.New()
	commit(t, taken, "t", storetest.Group("g", "u", "t"), storetest.Client("c", "g", 1))
	stolen := memory.New()
	commit(t, stolen, "s", storetest.Group("g", "v", "s"), storetest.Client("c", "g", 1))
	half := memory.New()
	commit(t, half, "s", func(c *engine.Commit) { c.Next.Importing = "another" })
	for name, test := range map[string]struct {
		store engine.Store
		file  []byte
		opts  backup.Options
		want  error
	}{
		"spoiled":                 {store, spoiled, backup.Options{Replace: true}, backup.ErrInvalid},
		"cut short":               {store, file[:len(file)*2/3], backup.Options{Replace: true}, backup.ErrInvalid},
		"not empty":               {store, file, backup.Options{}, backup.ErrNotEmpty},
		"another was broken off":  {half, file, backup.Options{}, backup.ErrNotEmpty},
		"group of another space":  {taken, file, backup.Options{Replace: true}, backup.ErrForeignGroup},
		"group of another user":   {stolen, file, backup.Options{Replace: true}, backup.ErrForeignGroup},
		"store does not answer":   {down(t), file, backup.Options{}, engine.ErrUnavailable},
		"store fails at a commit": {full(t), file, backup.Options{}, engine.ErrImpossible},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := headOf(t, test.store, "s")
			_, err := backup.Import(t.Context(), test.store, "s", bytes.NewReader(test.file), test.opts)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if after := headOf(t, test.store, "s"); after != before {
				t.Errorf("head %+v, was %+v", after, before)
			}
		})
	}
}

// down does not answer for longer than an import tries. full takes no commit.
func down(t testing.TB) engine.Store {
	t.Helper()
	store := storetest.NewFaulty(memory.New())
	store.Next(storetest.MethodSnapshot, storetest.NoFault) // the look before
	for range 8 {
		store.Next(storetest.MethodSnapshot, storetest.NotApplied)
	}
	return store
}

type fullStore struct{ *memory.Store }

func full(testing.TB) engine.Store { return fullStore{memory.New()} }

func (fullStore) Commit(context.Context, protocol.SpaceID, engine.Commit) (engine.Head, error) {
	return engine.Head{}, engine.ErrImpossible
}

// TestInterruptedImport ends the context at each commit, before and after it is
// applied, and runs the import again.
func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	source := memory.New()
	file, _ := filled(t, source)
	const commits = 1 + 3 + 1
	for at := 1; at <= commits; at++ {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("commit %d, applied %t", at, applied), func(t *testing.T) {
				t.Parallel()
				store := &mortal{Store: source.Clone(), at: at, applied: applied}
				before := headOf(t, store, "s")
				ctx, cancel := context.WithCancel(t.Context())
				store.die = cancel
				_, err := backup.Import(ctx, store, "s", bytes.NewReader(file), backup.Options{Replace: true})
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("got %v, want the end", err)
				}
				begun, over := at > 1 || applied, at == commits && applied
				if head := headOf(t, store, "s"); (head.Importing != "") != (begun && !over) || (head == before) == begun {
					t.Errorf("head %+v after the interruption", head)
				}
				storetest.MustFsck(t, store, "s")
				done := mustImport(t, store, file, backup.Options{Replace: over || !begun})
				if done.Resumed != (begun && !over) {
					t.Errorf("resumed %t", done.Resumed)
				}
				want := before.Version + commits
				if over {
					want += commits // it was over already
				}
				if done.Head.Version != want {
					t.Errorf("version %d in the end, want %d: nothing is imported twice", done.Head.Version, want)
				}
				sameAsBackup(t, store, file)
			})
		}
	}
}

func sameAsBackup(t testing.TB, store engine.Store, file []byte) {
	t.Helper()
	entries, clients := contents(t, store, "s")
	sameValues(t, entries, values(t, file))
	if c := clients["c"]; c.LastMutationID != 5 {
		t.Errorf("client %+v, want lastMutationID 5 as it was", c)
	}
}

// mortal is the store of a process that ends at one of its commits.
type mortal struct {
	*memory.Store
	at      int
	applied bool
	die     context.CancelFunc
}

func (m *mortal) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	m.at--
	if m.at != 0 {
		return m.Store.Commit(ctx, id, c)
	}
	if m.applied {
		if _, err := m.Store.Commit(ctx, id, c); err != nil {
			return engine.Head{}, err
		}
	}
	m.die()
	return engine.Head{}, errors.Join(engine.ErrUnknownOutcome, context.Canceled)
}

// TestImportThroughTrouble: what passes does not end an import, and nothing is
// written twice.
func TestImportThroughTrouble(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]storetest.Fault{
		"not applied":         {storetest.NotApplied},
		"unknown, applied":    {storetest.UnknownApplied},
		"unknown, not":        {storetest.UnknownNotApplied, storetest.UnknownNotApplied},
		"conflict of no head": {storetest.Conflict},
	} {
		for at := range 5 {
			t.Run(fmt.Sprintf("%s, commit %d", name, at+1), func(t *testing.T) {
				t.Parallel()
				source := memory.New()
				file, _ := filled(t, source)
				store := storetest.NewFaulty(source)
				for range at {
					store.Next(storetest.MethodCommit, storetest.NoFault)
				}
				store.Next(storetest.MethodCommit, faults...)
				for range 3 {
					store.Next(storetest.MethodSnapshot, storetest.NoFault, storetest.NotApplied)
				}
				done := mustImport(t, store, file, backup.Options{Replace: true})
				if done.Head.Version != 2+5 || store.Pending(storetest.MethodCommit) > 0 {
					t.Errorf("version %d, %d faults left", done.Head.Version, store.Pending(storetest.MethodCommit))
				}
				sameAsBackup(t, store, file)
			})
		}
	}
}

// TestOthersCommitMeanwhile: an import gives up where it is not alone.
func TestOthersCommitMeanwhile(t *testing.T) {
	t.Parallel()
	store := memory.New()
	file, _ := filled(t, store)
	reset := func(backup.Counts) { commit(t, store, "s", storetest.Reset(), storetest.Put("x", `1`)) }
	_, err := backup.Import(t.Context(), store, "s", bytes.NewReader(file), backup.Options{Replace: true, Progress: reset})
	if !errors.Is(err, engine.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	other := memory.New()
	commit(t, other, "s", storetest.Put("other", `1`))
	another := export(t.Context(), t, other, "s")
	mustImport(t, store, another, backup.Options{Replace: true})
	entries, _ := contents(t, store, "s")
	sameValues(t, entries, map[string]string{"other": `1`})
}

// TestOthersCommitBehind: an import was through where others have committed behind its last
// commit before its outcome was known.
func TestOthersCommitBehind(t *testing.T) {
	t.Parallel()
	store := &behind{Store: memory.New()}
	file, _ := filled(t, store.Store)
	store.then = func() { commit(t, store.Store, "s", storetest.Put("late", `1`)) }
	done := mustImport(t, store, file, backup.Options{Replace: true})
	if head := headOf(t, store, "s"); done.Head != head || head.Importing != "" {
		t.Errorf("got head %+v, want %+v, which shows the backup", done.Head, head)
	}
	if entries, _ := contents(t, store, "s"); entries["late"] != `1` {
		t.Errorf("what others have written is not there: %v", entries)
	}
}

// behind does something after an import's last commit, of which it does not tell.
type behind struct {
	engine.Store
	then func()
}

func (b *behind) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	head, err := b.Store.Commit(ctx, id, c)
	if err == nil && c.Prev.Importing != "" && c.Next.Importing == "" {
		b.then()
		return engine.Head{}, engine.ErrUnknownOutcome
	}
	return head, err
}

// TestOthersCommitBefore: an import begins in a space in use, where others may be faster
// a few times, but does not replace what they have written if it was not told to.
func TestOthersCommitBefore(t *testing.T) {
	t.Parallel()
	source := memory.New()
	file, _ := filled(t, source)
	store := &busy{Store: source.Clone(), t: t, left: 5}
	done := mustImport(t, store, file, backup.Options{Replace: true})
	if done.Head.Version != 2+5+5 || store.left > 0 {
		t.Errorf("version %d, %d commits of others left", done.Head.Version, store.left)
	}
	sameAsBackup(t, store, file)

	store = &busy{Store: memory.New(), t: t, left: 1}
	done, err := backup.Import(t.Context(), store, "s", bytes.NewReader(file), backup.Options{})
	if !errors.Is(err, backup.ErrNotEmpty) || done.Begun {
		t.Errorf("got %v, begun %t, want %v", err, done.Begun, backup.ErrNotEmpty)
	}
}

// TestGroupIsTakenMeanwhile: a group that another space has since the import began is not
// given the backup's clients.
func TestGroupIsTakenMeanwhile(t *testing.T) {
	t.Parallel()
	file, _ := filled(t, memory.New())
	store := &taken{Store: memory.New(), t: t}
	done, err := backup.Import(t.Context(), store, "s", bytes.NewReader(file), backup.Options{})
	if !errors.Is(err, backup.ErrForeignGroup) || !done.Begun {
		t.Errorf("got %v, begun %t, want %v", err, done.Begun, backup.ErrForeignGroup)
	}
	snap, err := store.Snapshot(t.Context(), "s", engine.Documents{Clients: []protocol.ClientID{"c"}})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := snap.Client("c"); ok {
		t.Errorf("got client %+v, want none", c)
	}
}

// taken has another space make the backup's group just before the first commit.
type taken struct {
	*memory.Store
	t    *testing.T
	done bool
}

func (s *taken) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	if !s.done {
		s.done = true
		commit(s.t, s.Store, "t", storetest.Group("g", "v", "t"))
	}
	return s.Store.Commit(ctx, id, c)
}

// busy has somebody else commit just before each of the first tries to commit.
type busy struct {
	*memory.Store
	t    *testing.T
	left int
}

func (b *busy) Commit(ctx context.Context, id protocol.SpaceID, c engine.Commit) (engine.Head, error) {
	if b.left > 0 {
		b.left--
		commit(b.t, b.Store, id, storetest.Put("x", `1`))
	}
	return b.Store.Commit(ctx, id, c)
}

// TestFileChangesWhileItIsRead: what is verified is what is imported.
func TestFileChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	store := memory.New()
	file, _ := filled(t, store)
	another := bytes.Replace(file, []byte(`{"n":899}`), []byte(`{"n":111}`), 1)
	r := &replaced{Reader: bytes.NewReader(file), next: another}
	_, err := backup.Import(t.Context(), store, "s", r, backup.Options{Replace: true})
	if !errors.Is(err, backup.ErrInvalid) {
		t.Errorf("got %v, want %v", err, backup.ErrInvalid)
	}
	if headOf(t, store, "s").Importing == "" {
		t.Error("half of it is shown")
	}
	mustImport(t, store, file, backup.Options{})
	sameAsBackup(t, store, file)
}

// replaced is another file from the second reading on.
type replaced struct {
	*bytes.Reader
	next  []byte
	seeks int
}

func (r *replaced) Seek(offset int64, whence int) (int64, error) {
	if r.seeks++; r.seeks == 2 {
		r.Reader = bytes.NewReader(r.next)
	}
	return r.Reader.Seek(offset, whence)
}

// TestImportEndsWhileItVerifies, without asking the store.
func TestImportEndsWhileItVerifies(t *testing.T) {
	t.Parallel()
	store := memory.New()
	file, _ := filled(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := backup.Import(ctx, nil, "s", bytes.NewReader(file), backup.Options{Replace: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end", err)
	}
}

// TestImportIntoAnotherSpace: the entries only.
func TestImportIntoAnotherSpace(t *testing.T) {
	t.Parallel()
	source := memory.New()
	file, _ := filled(t, source)
	store := memory.New()
	commit(t, store, "t", storetest.Put("x", `1`), storetest.Group("own", "u", "t"), storetest.Client("d", "own", 3))
	done, err := backup.Import(t.Context(), store, "t", bytes.NewReader(file), backup.Options{Replace: true})
	if err != nil || !done.EntriesOnly {
		t.Fatalf("did %+v, error %v", done, err)
	}
	entries, clients := contents(t, store, "t")
	sameValues(t, entries, values(t, file))
	if len(clients) != 1 || clients["d"].LastMutationID != 3 || !done.Head.RestoredAt.IsZero() {
		t.Errorf("clients %+v, head %+v, want its own, not restored", clients, done.Head)
	}
	storetest.MustFsck(t, store, "s", "t")
}
