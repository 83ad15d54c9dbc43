package rollout_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/replifire/replifire/protocol"
)

// testBackups brings backups of each program into the other.
func testBackups(t *testing.T, p programs) {
	t.Helper()
	d := newDatabase(t)
	before, now := d.start(p.before, "of before"), d.start(p.now, "of now")
	s := &stage{database: d, tabs: []*tab{newTab("ann", "s", "ann"), newTab("bob", "s", "bob")}}
	s.play(4, before, now)

	for name, c := range map[string]struct{ from, to program }{
		"of before into now": {p.before, p.now},
		"of now into before": {p.now, p.before},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			copied := newDatabase(t)
			copied.operate(c.to, "import", "s", d.export(c.from, "s"))
			copied.checkStored(p, "s")
			before, now := copied.start(p.before, "of before"), copied.start(p.now, "of now")
			view := same(t, []*tab{s.tabs[0]}, before, now)
			if len(view) == 0 {
				t.Error("the backup is empty")
			}
			later := &stage{database: copied, tabs: []*tab{newTab("cid", "s", "cid"), newTab("dora", "s", "dora")}, rounds: 100}
			later.play(4, before, now)
			copied.checkStored(p, "s")
		})
	}
	t.Run("values in many texts", func(t *testing.T) {
		t.Parallel()
		testTexts(t, p)
	})
}

// export writes a backup to a file.
func (d *database) export(p program, space string) (file string) {
	d.Helper()
	file = filepath.Join(d.TempDir(), "backup.jsonl")
	d.operate(p, "export", space, "-o", file)
	return file
}

// texts are values as only an import could bring them in: the earlier program has kept
// the text of those that Firestore cannot hold as maps.
var texts = []string{
	`[[{"b":1.0,"a":"\u0041"}],[1e3,-0,1E21]]`,
	`{"a":1,"b":2,"a":[3]}`,
	`{"__x__":{"d":1,"c":2.50},"__a__":"\/"}`,
	`{"z":[{"b":"\u2028","a":1}],"y":1.50}`,
	`[9007199254740993,0.10000000000000000001,1e400]`,
	strings.Repeat(`{"b":0,"a":`, 30) + `1.0` + strings.Repeat(`}`, 30),
}

// testTexts has the earlier program store them, which this one then reads in the one
// text that each has.
func testTexts(t *testing.T, p programs) {
	t.Helper()
	d := newDatabase(t)
	d.operate(p.before, "import", "s", backupOf(t, texts))
	d.checkStored(p, "s")
	ann := newTab("ann", "s", "ann")
	now := d.start(p.now, "of now")
	if err := ann.pull(balance(now)); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		want, err := protocol.Canonical(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := ann.View()[strconv.Itoa(i)]; string(got) != string(want) {
			t.Errorf("stored as %s, the answer is %s, want %s", text, got, want)
		}
	}
	same(t, []*tab{ann}, now, d.start(p.before, "of before"))
	d.operate(p.now, "import", "copy", d.export(p.now, "s"))
	d.operate(p.before, "import", "copy", d.export(p.now, "copy"), "--replace")
	d.checkStored(p, "copy")
}

// backupOf writes a backup of a space that holds values at the keys "0", "1" and so on.
func backupOf(t *testing.T, values []string) (file string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"type":"header","format":"replifire-backup","formatVersion":1,` +
		`"space":"s","version":1,"epoch":"e","exportedAt":"2026-01-02T03:04:05Z"}` + "\n")
	for i, value := range values {
		fmt.Fprintf(&b, `{"type":"entry","key":"%d","value":%s}`+"\n", i, value)
	}
	fmt.Fprintf(&b, `{"type":"end","groups":0,"clients":0,"entries":%d,"sha256":"%x"}`+"\n",
		len(values), sha256.Sum256([]byte(b.String())))
	file = filepath.Join(t.TempDir(), "made.jsonl")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
