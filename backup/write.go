package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

const (
	// pageEntries and pageSize bound what is in memory at once, values and all.
	pageEntries = 200
	pageSize    = 4 << 20
	// pageGroups is how many clients are read before their groups are looked up.
	pageGroups = 300
)

// What this package fails with, besides the errors of stores, readers and writers.
var (
	// ErrNoSpace: nobody has ever written to the space, so there is nothing to keep.
	ErrNoSpace = errors.New("space does not exist")
	// ErrInvalid: what is read is not a whole backup. The error says which line is
	// wrong, and how.
	ErrInvalid = errors.New("not a whole backup")
	// ErrNotEmpty: there is something in the space, or an import that was broken off,
	// and Options.Replace was not set.
	ErrNotEmpty = errors.New("space is not empty")
	// ErrForeignGroup: a client group of the backup belongs to another user or space.
	ErrForeignGroup = errors.New("client group belongs to somebody else")
)

// Summary says what is in a backup.
type Summary struct {
	Header
	Counts
	// SHA256 is of all lines but the last, in hexadecimal. It names the backup.
	SHA256 string
}

// Write writes a backup of the space as it is when Write is called; what is committed
// later is not in it. progress, if it is not nil, is called between the pieces.
// Stores keep an old moment for an hour, so a backup that takes longer fails, as it
// does with the store's errors, the context's and w's: what was written until then is
// no backup, and Verify says so. ErrNoSpace is for a space that does not exist,
// engine.ErrImporting for one that a backup is being put into.
func Write(
	ctx context.Context, store engine.Store, space protocol.SpaceID, w io.Writer,
	progress func(Counts),
) (Summary, error) {
	snap, err := store.Snapshot(ctx, space, engine.Documents{Head: true})
	if err != nil {
		return Summary{}, err
	}
	head := snap.Head()
	if !head.Exists() {
		return Summary{}, ErrNoSpace
	}
	if head.Importing != "" {
		return Summary{}, engine.ErrImporting
	}
	if progress == nil {
		progress = func(Counts) {}
	}
	hash := sha256.New()
	x := &export{
		store: store, snap: snap, hash: hash,
		out: bufio.NewWriter(io.MultiWriter(w, hash)), progress: progress,
		groups: map[protocol.ClientGroupID]bool{},
		done: Summary{Header: Header{
			Space: space, Version: head.Version, Epoch: head.Epoch,
			ExportedAt: time.Now().UTC().Truncate(time.Microsecond),
		}},
	}
	x.enc = json.NewEncoder(x.out)
	x.enc.SetEscapeHTML(false)
	err = x.run(ctx, w)
	return x.done, err
}

// export is one backup on its way.
type export struct {
	store    engine.Store
	snap     engine.Snapshot
	hash     hash.Hash
	out      *bufio.Writer
	enc      *json.Encoder
	progress func(Counts)
	groups   map[protocol.ClientGroupID]bool // written already
	done     Summary
}

func (x *export) run(ctx context.Context, w io.Writer) error {
	header := headerLine{
		Type: kindHeader, Format: formatName, FormatVersion: formatVersion, Header: x.done.Header,
	}
	if err := x.enc.Encode(header); err != nil {
		return err
	}
	if err := x.clients(ctx); err != nil {
		return err
	}
	if err := x.entries(ctx); err != nil {
		return err
	}
	if err := x.out.Flush(); err != nil {
		return err
	}
	x.done.SHA256 = hex.EncodeToString(x.hash.Sum(nil))
	return json.NewEncoder(w).Encode(endLine{Type: kindEnd, Counts: x.done.Counts, SHA256: x.done.SHA256})
}

// clients writes the clients, each behind its group.
func (x *export) clients(ctx context.Context) error {
	page := make([]engine.Client, 0, pageGroups)
	for c, err := range x.snap.Clients(ctx, "", x.snap.Head().DeletedVersion) {
		if err != nil {
			return fmt.Errorf("reading clients: %w", err)
		}
		if page = append(page, c); len(page) < pageGroups {
			continue
		}
		if err := x.clientPage(ctx, page); err != nil {
			return err
		}
		page = page[:0]
	}
	return x.clientPage(ctx, page)
}

func (x *export) clientPage(ctx context.Context, page []engine.Client) error {
	if err := x.groupsOf(ctx, page); err != nil {
		return err
	}
	for _, c := range page {
		if err := x.enc.Encode(lineOfClient(c)); err != nil {
			return err
		}
		x.done.Clients++
	}
	x.progress(x.done.Counts)
	return nil
}

// groupsOf writes the groups of clients that have not been written yet. They are
// read at a later moment, which matters not: groups never change.
func (x *export) groupsOf(ctx context.Context, page []engine.Client) error {
	var ids []protocol.ClientGroupID
	for _, c := range page {
		if !x.groups[c.GroupID] {
			x.groups[c.GroupID] = true
			ids = append(ids, c.GroupID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	snap, err := x.store.Snapshot(ctx, x.done.Space, engine.Documents{Groups: ids})
	if err != nil {
		return fmt.Errorf("reading client groups: %w", err)
	}
	for _, id := range ids {
		g, ok := snap.Group(id)
		if !ok {
			return fmt.Errorf("%w: client group %q has clients and does not exist", engine.ErrCorrupt, id)
		}
		line := groupLine{Type: kindGroup, ID: g.ID, UserID: g.UserID, CreatedAt: g.CreatedAt.UTC()}
		if err := x.enc.Encode(line); err != nil {
			return err
		}
		x.done.Groups++
	}
	return nil
}

// entries writes what can be seen.
func (x *export) entries(ctx context.Context) error {
	base := x.snap.Head().Base
	for page, err := range engine.Pages(ctx, x.snap, engine.Range{Limit: pageEntries, MaxBytes: pageSize}) {
		if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		for _, e := range page {
			if e.Deleted || e.Version <= base {
				continue
			}
			if err := x.enc.Encode(entryLine{Type: kindEntry, Key: e.Key, Value: e.Value}); err != nil {
				return err
			}
			x.done.Entries++
		}
		x.progress(x.done.Counts)
	}
	return nil
}
