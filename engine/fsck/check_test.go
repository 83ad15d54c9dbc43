package fsck_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/protocol"
)

func TestCheckHealthy(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]*stub{
		"a space":       healthy(),
		"an absent one": {},
		"an empty one":  {head: engine.Head{Version: 1, Epoch: "e", Nonce: "n", Revision: "r"}},
		"names":         {head: engine.Head{Version: 2, Epoch: "e", Nonce: "n", Revision: "r", History: "n m"}},
		"names that another program has left": {
			head: engine.Head{Version: 3, Epoch: "e", Nonce: "o", Revision: "r", History: "n m l k"},
		},
	} {
		report, err := fsck.Check(t.Context(), store, "s")
		if err != nil || !report.OK() {
			t.Errorf("%s: error %v, %v", name, err, report)
		}
	}
}

func TestCheckCounts(t *testing.T) {
	t.Parallel()
	got, err := fsck.Check(t.Context(), healthy(), "s")
	if err != nil {
		t.Fatal(err)
	}
	want := fsck.Report{
		Space: "s", Head: healthy().head, Entries: 4, Tombstones: 1, Clients: 3, Groups: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	text := "space \"s\": version 9, 4 entries, 1 tombstones, 3 clients, 2 groups, 1 commits named: ok"
	if got.String() != text {
		t.Errorf("got  %s\nwant %s", got, text)
	}
}

// corruption is one thing wrong and the invariants that must be reported, no more
// and no fewer.
type corruption struct {
	plant func(*stub)
	want  []fsck.Invariant
}

// documents are corruptions of a document that all ways in show alike.
var documents = map[string]corruption{
	"no epoch":    {func(s *stub) { s.head.Epoch = "" }, one(fsck.HeadFields)},
	"no nonce":    {func(s *stub) { s.head.Nonce = "" }, one(fsck.HeadFields)},
	"no revision": {func(s *stub) { s.head.Revision = "" }, one(fsck.HeadFields)},
	"a name more than commits": {
		func(s *stub) { s.head.History = engine.History(s.head.Nonce + strings.Repeat(" n", 9)) }, one(fsck.HeadHistory),
	},
	"too many names": {
		func(s *stub) { s.head.History = engine.History("n" + strings.Repeat(" n", engine.HistoryLength)) },
		one(fsck.HeadHistory),
	},
	"no name":          {func(s *stub) { s.head.History = engine.History(s.head.Nonce + "  n") }, one(fsck.HeadHistory)},
	"name not a word":  {func(s *stub) { s.head.History = engine.History(s.head.Nonce + " \xff") }, one(fsck.HeadHistory)},
	"base below zero":  {func(s *stub) { s.head.Base = -1 }, one(fsck.HeadBounds)},
	"base above floor": {func(s *stub) { s.head.Base = 4 }, one(fsck.HeadBounds)},
	"floor above version": {
		func(s *stub) { s.head.Floor = 10 }, one(fsck.HeadBounds),
	},
	"version below zero": {
		func(s *stub) { s.head = engine.Head{Version: -1, Epoch: "e", Nonce: "n", Revision: "r"}; s.empty() },
		one(fsck.HeadBounds),
	},
	"version zero with fields": {
		func(s *stub) { s.head = engine.Head{Epoch: "e", Nonce: "n", Revision: "r"}; s.empty() },
		one(fsck.HeadFields),
	},
	"documents without a head": {
		func(s *stub) { s.head = engine.Head{} }, one(fsck.AbsentSpace),
	},
	"key too long":          {key(strings.Repeat("k", engine.MaxKeyBytes+1)), one(fsck.EntryKey)},
	"key not UTF-8":         {key("\xff"), one(fsck.EntryKey)},
	"entry at version 0":    {version(0, 0), one(fsck.EntryVersion)},
	"entry below zero":      {version(0, -5), one(fsck.EntryVersion)},
	"entry of the future":   {version(4, 10), one(fsck.EntryVersion)},
	"versions out of order": {version(1, 8), one(fsck.EntryOrder)},
	"tombstone with value":  {func(s *stub) { s.byVersion[3].Value = []byte(`1`) }, one(fsck.EntryValue)},
	"no value":              {value(``), one(fsck.EntryValue)},
	"value not JSON":        {value(`{`), one(fsck.EntryValue)},
	"half a pair":           {value(`"\ud800"`), one(fsck.EntryValue)},
	"value too deep": {
		value(strings.Repeat("[", protocol.MaxDepth+1) + strings.Repeat("]", protocol.MaxDepth+1)),
		one(fsck.EntryValue),
	},
	"value not canonical": {value(`{"a": 1}`), one(fsck.EntryValue)},
	"value too large":     {value(`"` + strings.Repeat("v", engine.MaxValueBytes-1) + `"`), one(fsck.EntryValue)},
	"client at version 0": {client(func(c *engine.Client) { c.Version, c.Rejections = 0, nil }), one(fsck.ClientVersion)},
	"client of the future": {
		client(func(c *engine.Client) { c.Version = 10 }), one(fsck.ClientVersion),
	},
	"last mutation id 0": {
		client(func(c *engine.Client) { c.LastMutationID, c.Rejections = 0, nil }), one(fsck.ClientMutation),
	},
	"last mutation id too high": {
		client(func(c *engine.Client) { c.LastMutationID = protocol.MaxMutationID + 1 }), one(fsck.ClientMutation),
	},
	"client id too long": {
		client(func(c *engine.Client) { c.ID = protocol.ClientID(strings.Repeat("c", protocol.MaxIDBytes+1)) }),
		one(fsck.ClientID),
	},
	"client id empty":     {client(func(c *engine.Client) { c.ID = "" }), one(fsck.ClientID)},
	"client id not UTF-8": {client(func(c *engine.Client) { c.ID = "\xff" }), one(fsck.ClientID)},
	"group id empty":      {client(func(c *engine.Client) { c.GroupID = "" }), one(fsck.ClientID)},
	"17 rejections": {
		client(func(c *engine.Client) {
			c.LastMutationID, c.Rejections = 99, nil
			for i := range int64(engine.MaxRejections + 1) {
				c.Rejections = append(c.Rejections, engine.Rejection{MutationID: i + 1, Version: 1})
			}
		}), one(fsck.ClientRejections),
	},
	"rejection id 0":       {rejection(0, func(r *engine.Rejection) { r.MutationID = 0 }), one(fsck.ClientRejections)},
	"rejection ids alike":  {rejection(1, func(r *engine.Rejection) { r.MutationID = 2 }), one(fsck.ClientRejections)},
	"rejection id above":   {rejection(1, func(r *engine.Rejection) { r.MutationID = 8 }), one(fsck.ClientRejections)},
	"rejection version 0":  {rejection(0, func(r *engine.Rejection) { r.Version = 0 }), one(fsck.ClientRejections)},
	"rejection above":      {rejection(1, func(r *engine.Rejection) { r.Version = 10 }), one(fsck.ClientRejections)},
	"rejections backwards": {rejection(1, func(r *engine.Rejection) { r.Version = 2 }), one(fsck.ClientRejections)},
	"group missing":        {func(s *stub) { delete(s.groups, "h") }, one(fsck.ClientGroup)},
	"group of another space": {
		func(s *stub) { s.groups["g"] = engine.ClientGroup{ID: "g", Space: "t"} }, one(fsck.ClientGroup),
	},
	"group under another's id": {
		func(s *stub) { s.groups["g"] = engine.ClientGroup{ID: "h", Space: "s"} }, one(fsck.ClientGroup),
	},
}

// ways are corruptions that show only one way in.
var ways = map[string]corruption{
	"key twice": {func(s *stub) {
		s.byVersion = append(s.byVersion, engine.Entry{Key: "b", Version: 9, Value: []byte(`{"a":[1]}`)})
	}, []fsck.Invariant{fsck.EntryAgreement, fsck.EntryOnce}},
	"not by version": {func(s *stub) { s.byVersion = s.byVersion[1:] }, one(fsck.EntryAgreement)},
	"not by key":     {func(s *stub) { s.byKey = s.byKey[1:] }, one(fsck.EntryAgreement)},
	"not the last by key": {
		func(s *stub) { s.byKey = s.byKey[:len(s.byKey)-1] }, one(fsck.EntryAgreement),
	},
	"another value by key": {func(s *stub) { s.byKey[1].Value = []byte(`12`) }, one(fsck.EntryAgreement)},
	"older by key":         {func(s *stub) { s.byKey[1].Version-- }, one(fsck.EntryAgreement)},
	"keys out of order": {
		func(s *stub) { s.byKey[1], s.byKey[2] = s.byKey[2], s.byKey[1] }, one(fsck.EntryOrder),
	},
	"key twice by key": {
		func(s *stub) { s.byKey = slices.Insert(s.byKey, 2, s.byKey[1]) }, one(fsck.EntryOrder),
	},
	"not by id":     {func(s *stub) { delete(s.entryByID, "b") }, one(fsck.EntryAgreement)},
	"another by id": {func(s *stub) { s.entryByID["b"] = s.entryByID[""] }, one(fsck.EntryAgreement)},
	"older by id": {func(s *stub) {
		s.entryByID["b"] = engine.Entry{Key: "b", Version: 3, Value: []byte(`1`)}
	}, one(fsck.EntryAgreement)},
	"client twice": {
		func(s *stub) { s.clients = append(s.clients, s.clients[1]) },
		[]fsck.Invariant{fsck.ClientAgreement, fsck.ClientOnce},
	},
	"client not by id": {func(s *stub) { delete(s.client, "c") }, one(fsck.ClientAgreement)},
	"older client by id": {
		func(s *stub) { s.client["c"] = engine.Client{ID: "c", GroupID: "g", Version: 1} }, one(fsck.ClientAgreement),
	},
	"client not by group": {func(s *stub) { s.byGroup["g"] = s.byGroup["g"][1:] }, one(fsck.ClientAgreement)},
	"client of another group": {
		func(s *stub) { s.byGroup["g"][0] = s.clients[2] }, one(fsck.ClientAgreement),
	},
	"client twice by group": {
		func(s *stub) { s.byGroup["g"][0] = s.byGroup["g"][1] }, one(fsck.ClientAgreement),
	},
	"a client more by group": {func(s *stub) {
		s.byGroup["h"] = append(s.byGroup["h"], engine.Client{ID: "new", GroupID: "h"})
	}, one(fsck.ClientAgreement)},
	"unreadable head":        {breaks("snapshot"), one(fsck.Readable)},
	"unreadable entries":     {breaks("entries"), one(fsck.Readable)},
	"unreadable range":       {breaks("range"), one(fsck.Readable)},
	"unreadable clients":     {breaks("clients"), one(fsck.Readable)},
	"unreadable group query": {breaks("clients by group"), one(fsck.Readable)},
	"unreadable documents":   {breaks("second snapshot"), one(fsck.Readable)},
}

func one(i fsck.Invariant) []fsck.Invariant { return []fsck.Invariant{i} }

func (s *stub) empty() {
	s.byVersion, s.clients = nil, nil
	s.index()
}

func key(k string) func(*stub)   { return func(s *stub) { s.byVersion[1].Key = k } }
func value(v string) func(*stub) { return func(s *stub) { s.byVersion[1].Value = json.RawMessage(v) } }

func version(i int, v int64) func(*stub) {
	return func(s *stub) { s.byVersion[i].Version = v }
}

func client(spoil func(*engine.Client)) func(*stub) {
	return func(s *stub) { spoil(&s.clients[0]) }
}

func rejection(i int, spoil func(*engine.Rejection)) func(*stub) {
	return func(s *stub) { spoil(&s.clients[0].Rejections[i]) }
}

func breaks(way string) func(*stub) {
	return func(s *stub) { s.broken[way] = fmt.Errorf("%w: field gone", engine.ErrCorrupt) }
}

func TestCheckFindsCorruptDocuments(t *testing.T) {
	t.Parallel()
	for name, c := range documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := healthy()
			c.plant(store)
			store.index()
			found(t, store, c.want)
		})
	}
}

func TestCheckFindsDisagreement(t *testing.T) {
	t.Parallel()
	for name, c := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := healthy()
			c.plant(store)
			found(t, store, c.want)
		})
	}
}

// found checks that just the wanted invariants are reported broken.
func found(t *testing.T, store engine.Store, want []fsck.Invariant) {
	t.Helper()
	report, err := fsck.Check(t.Context(), store, "s")
	if err != nil {
		t.Fatal(err)
	}
	var got []fsck.Invariant
	for _, p := range report.Problems {
		got = append(got, p.Invariant)
		if p.Where == "" || p.What == "" {
			t.Errorf("problem %+v does not say where and what", p)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("invariants (-want +got):\n%s\n%v", diff, report)
	}
	if report.OK() {
		t.Errorf("report is OK: %v", report)
	}
}

// TestCheckPages has more entries than any page or reading by id, and a hole at
// every place where one ends.
func TestCheckPages(t *testing.T) {
	t.Parallel()
	const n = 1_503
	full := func() *stub {
		s := healthy()
		s.empty()
		for i := range n {
			s.byVersion = append(s.byVersion, engine.Entry{
				Key: fmt.Sprintf("%04d", i), Version: 3, Value: json.RawMessage(`1`),
			})
		}
		s.index()
		return s
	}
	report, err := fsck.Check(t.Context(), full(), "s")
	if err != nil || !report.OK() || report.Entries != n {
		t.Errorf("error %v, %v, want %d entries", err, report, n)
	}
	for _, hole := range []int{0, 299, 300, 498, 499, 500, 501, 998, 999, 1_000, n - 1} {
		s := full()
		s.byKey = slices.Delete(s.byKey, hole, hole+1)
		found(t, s, one(fsck.EntryAgreement))
		s = full()
		delete(s.entryByID, fmt.Sprintf("%04d", hole))
		found(t, s, one(fsck.EntryAgreement))
	}
	s := full()
	s.byKey = slices.Repeat(s.byKey[:1], n) // leads nowhere
	found(t, s, one(fsck.EntryOrder))
}

// TestCheckOfLargeValues has some of them in memory at once, and no more.
func TestCheckOfLargeValues(t *testing.T) {
	t.Parallel()
	const n, size = 60, 900_000
	s := healthy()
	s.empty()
	value := json.RawMessage(`"` + strings.Repeat("v", size) + `"`)
	for i := range n {
		s.byVersion = append(s.byVersion, engine.Entry{Key: fmt.Sprintf("%04d", i), Version: 3, Value: value})
	}
	s.index()
	report, err := fsck.Check(t.Context(), s, "s")
	if err != nil || !report.OK() || report.Entries != n {
		t.Errorf("error %v, %v, want %d entries", err, report, n)
	}
	if s.most < 2*size || s.most > 6*size {
		t.Errorf("%d bytes of values in memory at once", s.most)
	}
	delete(s.entryByID, "0059")
	found(t, s, one(fsck.EntryAgreement))
}

func TestReportIsBounded(t *testing.T) {
	t.Parallel()
	s := healthy()
	s.empty()
	long := strings.Repeat("k", 1_000)
	for i := range 250 {
		s.byVersion = append(s.byVersion, engine.Entry{Key: fmt.Sprint(long, i), Version: 1})
	}
	s.index()
	report, err := fsck.Check(t.Context(), s, "s")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) != fsck.MaxProblems || report.Total != 250 {
		t.Errorf("%d problems kept of %d, want %d of 250",
			len(report.Problems), report.Total, fsck.MaxProblems)
	}
	text := report.String()
	for _, want := range []string{
		": 250 problems\n", "and 150 more", "(1001 bytes)", "entry-value: entry \"kkk",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("report does not contain %q:\n%s", want, text)
		}
	}
	if len(text) > 300*fsck.MaxProblems {
		t.Errorf("report of %d bytes", len(text))
	}
}

// TestCheckOfAMovingSpace: what is read later cannot be compared, groups can.
func TestCheckOfAMovingSpace(t *testing.T) {
	t.Parallel()
	s := healthy()
	s.moves = true
	clear(s.entryByID)
	clear(s.client)
	report, err := fsck.Check(t.Context(), s, "s")
	if err != nil || !report.OK() || !report.Moved {
		t.Errorf("error %v, moved %t, %v, want a clean report that moved", err, report.Moved, report)
	}
	if !strings.Contains(report.String(), "changed meanwhile") {
		t.Errorf("report does not say that it moved: %v", report)
	}
	s = healthy()
	s.moves = true
	delete(s.groups, "g")
	found(t, s, one(fsck.ClientGroup))
}

// TestCheckBesideAPurge: documents that nobody needs any more may be deleted while a
// check is under way, which leaves the head as it is.
func TestCheckBesideAPurge(t *testing.T) {
	t.Parallel()
	s := healthy()
	s.head.Floor, s.head.DeletedVersion, s.head.DeletedAt = 5, 2, time.Now()
	delete(s.entryByID, "below base")
	delete(s.entryByID, "gone")
	delete(s.client, "d")
	delete(s.client, "x")
	report, err := fsck.Check(t.Context(), s, "s")
	if err != nil || !report.OK() {
		t.Errorf("error %v, %v", err, report)
	}
}

func TestCheckFails(t *testing.T) {
	t.Parallel()
	for _, way := range []string{
		"snapshot", "entries", "range", "clients", "clients by group", "second snapshot",
	} {
		s := healthy()
		s.broken[way] = engine.ErrUnavailable
		if _, err := fsck.Check(t.Context(), s, "s"); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("%s: error %v, want %v", way, err, engine.ErrUnavailable)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fsck.Check(ctx, healthy(), "s"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestManyGroups(t *testing.T) {
	t.Parallel()
	s := healthy()
	s.clients, s.groups = nil, map[protocol.ClientGroupID]engine.ClientGroup{}
	for i := range 700 {
		id := protocol.ClientGroupID(fmt.Sprintf("%03d", i))
		s.groups[id] = engine.ClientGroup{ID: id, Space: "s"}
		s.clients = append(s.clients, engine.Client{
			ID: protocol.ClientID(id), GroupID: id, LastMutationID: 1, Version: 1,
		})
	}
	s.index()
	report, err := fsck.Check(t.Context(), s, "s")
	if err != nil || !report.OK() || report.Groups != 700 {
		t.Errorf("error %v, %v, want 700 groups", err, report)
	}
	delete(s.groups, "699")
	s.snapshots = 0
	found(t, s, one(fsck.ClientGroup))
}
