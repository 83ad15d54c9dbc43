package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/replifire/replifire/backup"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/storetest"
)

func TestWriteKeepsWhatIsOdd(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			odds(t, store, "s")
			commit(t, store, "s", storetest.Put("gone", `1`))
			commit(t, store, "s", storetest.Del("gone"), storetest.Del("never"))
			sameValues(t, values(t, export(t.Context(), t, store, "s")), odd())
		})
	}
}

// TestWriteOfLargeValues has some of them in memory at once, and no more.
func TestWriteOfLargeValues(t *testing.T) {
	t.Parallel()
	const n, size = 40, 900_000
	store := &measured{Store: memory.New()}
	value := `"` + strings.Repeat("v", size) + `"`
	for i := range n {
		commit(t, store, "s", storetest.Put(fmt.Sprintf("%04d", i), value))
	}
	var file bytes.Buffer
	done, err := backup.Write(t.Context(), store, "s", &file, nil)
	if err != nil || done.Entries != n || len(values(t, file.Bytes())) != n {
		t.Errorf("got %+v, %v, want %d entries", done, err, n)
	}
	if store.most < 2*size || store.most > 6*size {
		t.Errorf("%d bytes of values in memory at once", store.most)
	}
}

// measured knows how many bytes the largest reading by key had.
type measured struct {
	engine.Store
	most int
}

func (m *measured) Snapshot(
	ctx context.Context, id protocol.SpaceID, docs engine.Documents,
) (engine.Snapshot, error) {
	snap, err := m.Store.Snapshot(ctx, id, docs)
	return &measuredSnapshot{snap, m}, err
}

type measuredSnapshot struct {
	engine.Snapshot
	of *measured
}

func (m *measuredSnapshot) Range(ctx context.Context, r engine.Range) ([]engine.Entry, error) {
	page, err := m.Snapshot.Range(ctx, r)
	size := 0
	for _, e := range page {
		size += e.Bytes()
	}
	m.of.most = max(m.of.most, size)
	return page, err
}

// TestWriteIsOfOneVersion: each commit writes one more of a row of keys and raises a
// number to how many there are. Whatever version a backup is of, both agree.
func TestWriteIsOfOneVersion(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			commit(t, store, "s", puts(0, 400), storetest.Put("z", `0`))
			written := writeMeanwhile(t, store)
			for range 5 {
				var file bytes.Buffer
				done, err := backup.Write(t.Context(), store, "s", &file, nil)
				if err != nil {
					t.Error(err)
				}
				found := values(t, file.Bytes())
				n := int(done.Version) - 1
				if found["z"] != strconv.Itoa(n) || len(found) != 401+2*n {
					t.Errorf("at version %d: z is %s, %d entries", done.Version, found["z"], len(found))
				}
			}
			if written() == 0 {
				t.Error("nothing was written meanwhile: the test tests nothing")
			}
		})
	}
}

// writeMeanwhile commits on and on, until the function it returns is called, which
// says how often.
func writeMeanwhile(t *testing.T, store engine.Store) (stop func() int) {
	t.Helper()
	head := headOf(t, store, "s")
	first, over, written := make(chan struct{}), make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				written <- n
				return
			default:
			}
			var err error
			head, err = store.Commit(context.WithoutCancel(t.Context()), "s", storetest.Step(head,
				storetest.Put(fmt.Sprintf("a/%05d", n), `1`),
				storetest.Put(fmt.Sprintf("y/%05d", n), `1`), storetest.Put("z", strconv.Itoa(n+1))))
			if err != nil {
				t.Error(err)
			}
			if n == 0 {
				close(first)
			}
		}
	}()
	<-first // five backups can be over before a goroutine gets its turn
	return func() int {
		close(over)
		return <-written
	}
}

func TestWriteAfterReset(t *testing.T) {
	t.Parallel()
	store := memory.New()
	commit(t, store, "s", puts(0, 10), storetest.Group("g", "u", "s"), storetest.Client("c", "g", 3))
	commit(t, store, "s", storetest.Reset(), storetest.Put("new", `1`))
	// What is at the reset's own version is below its base.
	commit(t, store, "s", storetest.Put("k/00001", `2`))
	file := export(t.Context(), t, store, "s")
	sameValues(t, values(t, file), map[string]string{"k/00001": `2`})
	if n := bytes.Count(file, []byte(`"type":"client"`)); n != 1 {
		t.Errorf("%d clients, want 1: they survive a reset", n)
	}
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	store := storetest.NewFaulty(memory.New())
	if _, err := backup.Write(t.Context(), store, "s", io.Discard, nil); !errors.Is(err, backup.ErrNoSpace) {
		t.Errorf("a space that does not exist: %v", err)
	}
	commit(t, store, "s", puts(0, 500), storetest.Group("g", "u", "s"),
		storetest.Client("c", "g", 3), storetest.Client("d", "g", 3))
	for _, m := range []storetest.Method{
		storetest.MethodSnapshot, storetest.MethodClients, storetest.MethodRange,
	} {
		store.Next(m, storetest.NotApplied)
		var file bytes.Buffer
		if _, err := backup.Write(t.Context(), store, "s", &file, nil); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s fails: %v", m, err)
		}
		if _, err := backup.Verify(&file); !errors.Is(err, backup.ErrInvalid) {
			t.Errorf("%s fails: Verify says %v", m, err)
		}
	}
	half := memory.New()
	commit(t, half, "s", func(c *engine.Commit) { c.Next.Importing = "another" })
	if _, err := backup.Write(t.Context(), half, "s", io.Discard, nil); !errors.Is(err, engine.ErrImporting) {
		t.Errorf("half a backup: %v", err)
	}
	full := errors.New("disk is full")
	broken := writer(func([]byte) (int, error) { return 0, full })
	if _, err := backup.Write(t.Context(), store, "s", broken, nil); !errors.Is(err, full) {
		t.Errorf("writer fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := func(backup.Counts) { cancel() }
	if _, err := backup.Write(ctx, store, "s", io.Discard, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("context ends: %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestVerifyRefusesWhatIsChanged(t *testing.T) {
	t.Parallel()
	store := memory.New()
	commit(t, store, "s", puts(0, 3), storetest.Group("g", "u", "s"),
		storetest.Client("c", "g", 3, engine.Rejection{MutationID: 2, Name: "n", Reason: "r", Version: 1}))
	file := string(export(t.Context(), t, store, "s"))
	lines := strings.SplitAfter(file, "\n")
	without := func(i int) string { return strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "") }
	swap := func(old, next string) string { return strings.Replace(file, old, next, 1) }
	set := func(field, to string) string {
		return regexp.MustCompile(`"`+field+`":"[^"]*"`).ReplaceAllString(file, `"`+field+`":"`+to+`"`)
	}
	created := func(at string) string { return set("createdAt", at) }
	seen := func(at string) string { return set("lastSeen", at) }
	for name, test := range map[string]struct{ file, want string }{
		"empty":               {"", "line 1: the file ends here"},
		"something else":      {"{}\n", "line 1: not the first line of a backup"},
		"a later format":      {swap(`"formatVersion":1`, `"formatVersion":2`), "line 1: format version 2"},
		"no space":            {swap(`"space":"s"`, `"space":""`), "line 1: space"},
		"without header":      {without(0), "line 1: not the first line"},
		"without its group":   {without(1), `line 2: client "c" is not behind its group`},
		"without a line":      {without(4), "line 6: the lines before are not those"},
		"without the end":     {without(6), "line 7: the file ends here"},
		"cut in a line":       {file[:len(file)-20], "line 7: the file ends here"},
		"another value":       {swap(`{"n":1}`, `{"n":7}`), "line 7: the lines before are not those"},
		"another count":       {swap(`"entries":3`, `"entries":4`), "line 7: the lines before are not those"},
		"a bad value":         {swap(`{"n":1}`, `"\ud800"`), "line 5: value contains half"},
		"no value":            {swap(`,"value":{"n":1}`, ``), "line 5: value"},
		"not JSON":            {swap(`{"n":1}`, `{n:1}`), "line 5: invalid character"},
		"an unknown type":     {swap(`"type":"entry"`, `"type":"x"`), `line 4: unknown type "x"`},
		"an unknown field":    {swap(`"type":"entry"`, `"type":"entry","x":1`), "line 4: json: unknown field"},
		"a second header":     {lines[0] + file, "line 2: a second header"},
		"a group twice":       {swap(lines[1], lines[1]+lines[1]), `line 3: client group "g" is there twice`},
		"a client twice":      {swap(lines[2], lines[2]+lines[2]), `line 4: client "c" is there twice`},
		"a key twice":         {swap(lines[4], lines[4]+lines[4]), `line 6: key "k/00001" is not behind`},
		"a client between":    {swap(lines[4], lines[4]+lines[2]), "line 6: a client behind an entry"},
		"a group between":     {swap(lines[4], lines[4]+lines[1]), "line 6: a group behind an entry"},
		"no key":              {swap(`"key":"k/00001",`, ``), "line 5: no key"},
		"a key that is null":  {swap(`"key":"k/00001"`, `"key":null`), "line 5: no key"},
		"a group of year 0":   {created("0000-01-01T00:00:00Z"), "line 2: createdAt is 0000-01-01T00:00:00Z"},
		"a group of no time":  {created("0001-01-01T00:00:00Z"), "line 2: createdAt is 0001-01-01T00:00:00Z"},
		"a group to come":     {created("9999-12-31T23:59:59Z"), "line 2: createdAt is 9999-12-31T23:59:59Z"},
		"a client of year 0":  {seen("0000-01-01T00:00:00Z"), "line 3: lastSeen is 0000-01-01T00:00:00Z"},
		"keys out of order":   {swap("k/00002", "k/00000"), `line 6: key "k/00000" is not behind`},
		"mutation id 0":       {swap(`"lastMutationID":3`, `"lastMutationID":0`), "line 3: last mutation id is 0"},
		"rejection too high":  {swap(`"rejections":[{"id":2`, `"rejections":[{"id":9`), "line 3: rejection of mutation 9"},
		"more behind the end": {file + "\n", "line 8: something comes behind"},
		"a long line":         {swap(`{"n":1}`, `"`+strings.Repeat("x", 2<<20)+`"`), "line 5: longer than"},
		"a long value":        {swap(`{"n":1}`, `"`+strings.Repeat("x", 1_000_000)+`"`), "line 5: value of 1000002 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := backup.Verify(strings.NewReader(test.file))
			if !errors.Is(err, backup.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestManyClients: more than are read at once, of many groups.
func TestManyClients(t *testing.T) {
	t.Parallel()
	store := memory.New()
	const groups, each = 350, 3
	for g := range groups {
		id := protocol.ClientGroupID(fmt.Sprintf("g%d", g))
		changes := []storetest.Change{storetest.Group(id, "u", "s")}
		for c := range each {
			changes = append(changes, storetest.Client(protocol.ClientID(fmt.Sprintf("c%d-%d", g, c)), id, 1))
		}
		commit(t, store, "s", changes...)
	}
	done, err := backup.Verify(bytes.NewReader(export(t.Context(), t, store, "s")))
	if err != nil || done.Groups != groups || done.Clients != groups*each {
		t.Errorf("%+v, error %v, want %d groups and %d clients", done, err, groups, groups*each)
	}
}
