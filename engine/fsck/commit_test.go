package fsck_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/protocol"
)

// fine is a commit with all sorts of documents and nothing wrong.
func fine() engine.Commit {
	return engine.Commit{
		Prev: engine.Head{Version: 4, Epoch: "e", Nonce: "m", Revision: "r", History: "m l"},
		Next: engine.Head{Version: 5, Epoch: "e", Nonce: "n", Base: 5, Floor: 5, History: "n m l"},
		Entries: []engine.Entry{
			{Key: "", Value: json.RawMessage(`1`), Version: 5},
			{Key: "gone", Deleted: true, Version: 5},
		},
		Absent:  []string{""},
		Clients: []engine.Client{{ID: "c", GroupID: "g", LastMutationID: 1, Version: 5}},
		Groups:  []engine.ClientGroup{{ID: "g", Space: "s"}},
	}
}

func TestCheckCommit(t *testing.T) {
	t.Parallel()
	if err := fsck.CheckCommit("s", fine()); err != nil {
		t.Errorf("a fine commit: %v", err)
	}
	unnamed := fine()
	unnamed.Next.History = "" // as a version of this program that knows none leaves it
	if err := fsck.CheckCommit("s", unnamed); err != nil {
		t.Errorf("a commit without names: %v", err)
	}
	for name, c := range map[string]struct {
		spoil func(*engine.Commit)
		want  fsck.Invariant
	}{
		"version left out":   {func(c *engine.Commit) { c.Prev.Version = 3 }, fsck.HeadBounds},
		"version again":      {func(c *engine.Commit) { c.Prev.Version = 5 }, fsck.HeadBounds},
		"floor below base":   {func(c *engine.Commit) { c.Next.Floor = 4 }, fsck.HeadBounds},
		"base above version": {func(c *engine.Commit) { c.Next.Base, c.Next.Floor = 6, 6 }, fsck.HeadBounds},
		"no epoch":           {func(c *engine.Commit) { c.Next.Epoch = "" }, fsck.HeadFields},
		"no nonce":           {func(c *engine.Commit) { c.Next.Nonce = "" }, fsck.HeadFields},
		"names of before":    {func(c *engine.Commit) { c.Next.History = "m l" }, fsck.HeadHistory},
		"other names":        {func(c *engine.Commit) { c.Next.History = "n o l" }, fsck.HeadHistory},
		"names of the deleted": {func(c *engine.Commit) {
			c.Next.DeletedVersion, c.Next.DeletedAt = 5, time.Now()
		}, fsck.HeadHistory},
		"key not UTF-8":         {func(c *engine.Commit) { c.Entries[1].Key = "\xc0" }, fsck.EntryKey},
		"older entry":           {func(c *engine.Commit) { c.Entries[1].Version = 4 }, fsck.EntryVersion},
		"key twice":             {func(c *engine.Commit) { c.Entries[1].Key = "" }, fsck.EntryOnce},
		"absent, and not to be": {func(c *engine.Commit) { c.Absent = []string{"x"} }, fsck.EntryOnce},
		"no value":              {func(c *engine.Commit) { c.Entries[0].Value = nil }, fsck.EntryValue},
		"tombstone's value":     {func(c *engine.Commit) { c.Entries[0].Deleted = true }, fsck.EntryValue},
		"older client":          {func(c *engine.Commit) { c.Clients[0].Version = 4 }, fsck.ClientVersion},
		"client twice":          {func(c *engine.Commit) { c.Clients = append(c.Clients, c.Clients[0]) }, fsck.ClientOnce},
		"client without id":     {func(c *engine.Commit) { c.Clients[0].ID = "" }, fsck.ClientID},
		"client at 0":           {func(c *engine.Commit) { c.Clients[0].LastMutationID = 0 }, fsck.ClientMutation},
		"group without id":      {func(c *engine.Commit) { c.Groups[0].ID = "" }, fsck.ClientID},
		"group of another":      {func(c *engine.Commit) { c.Groups[0].Space = "t" }, fsck.ClientGroup},
		"group twice":           {func(c *engine.Commit) { c.Groups = append(c.Groups, c.Groups[0]) }, fsck.ClientOnce},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			commit := fine()
			c.spoil(&commit)
			err := fsck.CheckCommit("s", commit)
			if !errors.Is(err, engine.ErrImpossible) || !strings.Contains(err.Error(), string(c.want)) {
				t.Errorf("got %v, want %v that says %q", err, engine.ErrImpossible, c.want)
			}
		})
	}
}

func TestCheckCommitOfSpace(t *testing.T) {
	t.Parallel()
	empty := fine()
	empty.Groups = nil
	for _, space := range []protocol.SpaceID{"", "\xff", protocol.SpaceID(strings.Repeat("s", protocol.MaxIDBytes+1))} {
		if err := fsck.CheckCommit(space, empty); !errors.Is(err, engine.ErrImpossible) {
			t.Errorf("space %.20q: got %v, want %v", space, err, engine.ErrImpossible)
		}
	}
}
