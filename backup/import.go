package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

const (
	// pageRecords is how many documents one commit of an import writes at the most.
	pageRecords = 400
	// pageBytes is about how much of it, as it stands in the file, before the last
	// record. It becomes more in a commit: -1 and its comma are 3 bytes here and 13 there,
	// which is the worst that numbers do, so half a MiB is up to 2.3 MB. The last record
	// is up to 1.6 MB: a value of more than 125,000 numbers is stored as text. Together
	// that is 3.9 MB, and the emulator takes 4.18 MB (production 10 MiB).
	pageBytes = 512 << 10
	// recordBytes is about what a document weighs beside its key and value.
	recordBytes = 300
	// patience is for how long an import tries to begin in a space that others write to.
	patience = 30 * time.Second
)

// Options of an Import. The zero value is good.
type Options struct {
	// Replace allows to replace what the space holds.
	Replace bool
	// Progress, if it is not nil, is called after each commit with what is stored.
	Progress func(Counts)
}

// Result says what an Import has done.
type Result struct {
	Summary
	// Head is the space's when it was over, or the last that is known if the import failed.
	Head engine.Head
	// Begun: what the space held is hidden, or may be, also when the import failed.
	Begun bool
	// Resumed: it went on where an earlier one was broken off.
	Resumed bool
	// EntriesOnly: the backup is of another space, so its groups and clients, which
	// belong to that for ever, were left out.
	EntriesOnly bool
}

// Import puts a backup into a space, which then holds what it held when the backup was
// made, and nothing else. Clients heal by themselves: the space has a new epoch and
// was restored (engine.Head.RestoredAt).
//
// The whole file is read and verified before anything is changed. Then one commit
// hides what the space held; commits of bounded size bring in the backup; and a last
// one shows it. In between, pushes and pulls fail with engine.ErrImporting: nobody ever
// sees half a backup. An import that is broken off, by whatever, leaves the space so;
// running it again with the same file goes on where it was, with another file and
// Replace starts over, and engine.Reset gives it up. Going on needs no Replace: if the
// import was through after all, that would replace what clients have written since, and
// without it ErrNotEmpty says so.
//
// Into a space of another name only the entries are imported. The clients of that
// space go on, with what they have acknowledged, and need no restart.
//
// What the space held is to be removed afterwards with Store.Purge. Fails with
// ErrInvalid, ErrNotEmpty, ErrForeignGroup (nothing is changed in these cases, but where
// a group was taken after the import began), engine.ErrConflict when others have changed
// the space meanwhile, and with the store's errors and the context's.
func Import(
	ctx context.Context, store engine.Store, space protocol.SpaceID, file io.ReadSeeker, o Options,
) (Result, error) {
	var groups []groupLine
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return Result{}, err
	}
	summary, err := verify(stoppable{ctx, file}, func(rec record) {
		if rec.kind == kindGroup {
			groups = append(groups, rec.group)
		}
	})
	if err != nil {
		return Result{}, err
	}
	if o.Progress == nil {
		o.Progress = func(Counts) {}
	}
	i := &importing{
		writer: writer{store: store, space: space},
		result: Result{Summary: summary, EntriesOnly: summary.Space != space},
		opts:   o,
	}
	if err := i.check(ctx, groups); err != nil {
		return Result{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return Result{}, err
	}
	if err = i.begin(ctx); err == nil {
		err = i.run(ctx, newReader(file))
	}
	i.result.Head = i.head
	return i.result, err
}

// importing is one import on its way.
type importing struct {
	writer
	opts   Options
	result Result

	newest time.Time // of the groups
	page   page
	done   int64  // records, pending ones too
	counts Counts // of these
}

// page is what the next commit brings in.
type page struct {
	groups  []engine.ClientGroup
	clients []clientLine
	entries []entryLine
	bytes   int
}

func (p *page) len() int { return len(p.groups) + len(p.clients) + len(p.entries) }

// check finds reasons in the backup not to begin.
func (i *importing) check(ctx context.Context, groups []groupLine) error {
	if i.result.EntriesOnly {
		return nil
	}
	for chunk := range slices.Chunk(groups, pageGroups) {
		if err := i.checkGroups(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// begin hides what the space holds, unless an earlier import has. Others may write to
// the space all the time, so it takes a moment in which none of them is faster: one
// look, one commit, and no pause before the next try.
func (i *importing) begin(ctx context.Context) error {
	for until := time.Now().Add(patience); ; {
		if err := i.look(ctx); err != nil || i.result.Resumed {
			return err
		}
		err := i.commit(ctx, engine.Commit{Prev: i.head, Next: i.begun()})
		if errors.Is(err, engine.ErrConflict) && time.Now().Before(until) {
			continue
		}
		i.result.Begun = err == nil || errors.Is(err, engine.ErrUnknownOutcome)
		return err
	}
}

// look reads the head, and finds reasons in the space not to begin.
func (i *importing) look(ctx context.Context) error {
	snap, err := i.read(ctx, engine.Documents{})
	if err != nil {
		return err
	}
	i.head = snap.Head()
	i.result.Resumed = i.head.Importing == i.result.SHA256
	i.result.Begun = i.result.Resumed
	if i.result.Resumed || i.opts.Replace {
		return nil
	}
	return isEmpty(ctx, snap)
}

// isEmpty fails with ErrNotEmpty if there is anything in the space to be seen.
func isEmpty(ctx context.Context, snap engine.Snapshot) error {
	if snap.Head().Importing != "" {
		return fmt.Errorf("%w: the import of another backup was broken off", ErrNotEmpty)
	}
	for e, err := range snap.Entries(ctx, snap.Head().Base) {
		if err != nil {
			return err
		}
		if !e.Deleted {
			return ErrNotEmpty
		}
	}
	return nil
}

func (i *importing) checkGroups(ctx context.Context, groups []groupLine) error {
	var ids []protocol.ClientGroupID
	for _, g := range groups {
		ids = append(ids, g.ID)
		if g.CreatedAt.After(i.newest) {
			i.newest = g.CreatedAt
		}
	}
	snap, err := i.read(ctx, engine.Documents{Groups: ids})
	if err != nil {
		return err
	}
	for _, want := range groups {
		g, ok := snap.Group(want.ID)
		if ok && i.foreign(g, want.UserID) {
			return fmt.Errorf("%w: %q", ErrForeignGroup, want.ID)
		}
	}
	return nil
}

// run brings in what is not stored yet, and shows it.
func (i *importing) run(ctx context.Context, lines *reader) error {
	for {
		rec, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		i.add(rec)
		if i.page.len() < pageRecords && i.page.bytes < pageBytes {
			continue
		}
		if err := i.flush(ctx); err != nil {
			return err
		}
	}
	if lines.summary.SHA256 != i.result.SHA256 {
		return fmt.Errorf("%w: the file has changed while it was read", ErrInvalid)
	}
	if err := i.flush(ctx); err != nil {
		return err
	}
	return i.show(ctx)
}

// show makes the backup what the space holds. As soon as it is, others may commit, also
// while the outcome of this commit is not known yet: then they are in the import's epoch,
// which a reset or another import would have ended.
func (i *importing) show(ctx context.Context) error {
	err := i.commit(ctx, engine.Commit{Prev: i.head, Next: i.ended()})
	if !errors.Is(err, engine.ErrConflict) {
		return err
	}
	snap, readErr := i.read(ctx, engine.Documents{})
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	head := snap.Head()
	if head.Epoch != i.head.Epoch || head.Importing != "" {
		return err
	}
	i.head = head
	return nil
}

// add takes a record into the page, unless it is stored already or not wanted.
func (i *importing) add(rec record) {
	i.done++
	switch rec.kind {
	case kindGroup:
		i.counts.Groups++
	case kindClient:
		i.counts.Clients++
	default:
		i.counts.Entries++
	}
	if i.done <= i.head.Imported || i.result.EntriesOnly && rec.kind != kindEntry {
		return
	}
	switch rec.kind {
	case kindGroup:
		g := rec.group
		i.page.groups = append(i.page.groups, engine.ClientGroup{
			ID: g.ID, UserID: g.UserID, Space: i.space, CreatedAt: g.CreatedAt,
		})
	case kindClient:
		i.page.clients = append(i.page.clients, rec.client)
	default:
		i.page.entries = append(i.page.entries, rec.entry)
	}
	i.page.bytes += rec.bytes()
}

// flush commits the page.
func (i *importing) flush(ctx context.Context) error {
	if i.page.len() == 0 {
		return nil
	}
	groups, err := i.newGroups(ctx)
	if err != nil {
		return err
	}
	next := i.successor()
	next.Imported = i.done
	c := engine.Commit{Prev: i.head, Next: next, Groups: groups}
	for _, l := range i.page.clients {
		c.Clients = append(c.Clients, l.client(next.Version))
	}
	for _, l := range i.page.entries {
		c.Entries = append(c.Entries, engine.Entry{Key: l.Key, Value: l.Value, Version: next.Version})
	}
	if err := i.commit(ctx, c); err != nil {
		return err
	}
	i.page = page{}
	i.opts.Progress(i.counts)
	return nil
}

// newGroups are those of the page that do not exist yet: groups are for ever, so
// a space that is put back where it was has most of them.
func (i *importing) newGroups(ctx context.Context) ([]engine.ClientGroup, error) {
	if len(i.page.groups) == 0 {
		return nil, nil
	}
	var ids []protocol.ClientGroupID
	for _, g := range i.page.groups {
		ids = append(ids, g.ID)
	}
	snap, err := i.read(ctx, engine.Documents{Groups: ids})
	if err != nil {
		return nil, err
	}
	var fresh []engine.ClientGroup
	for _, want := range i.page.groups {
		g, ok := snap.Group(want.ID)
		if ok && i.foreign(g, want.UserID) {
			return nil, fmt.Errorf("%w since the import began: %q", ErrForeignGroup, want.ID)
		}
		if !ok {
			fresh = append(fresh, want)
		}
	}
	return fresh, nil
}

// foreign reports whether a group is not the one of the backup, which is that user's.
func (i *importing) foreign(g engine.ClientGroup, user string) bool {
	return g.UserID != user || g.Space != i.space
}

// begun is the head that hides everything. From here on clients may be set back, but
// for those of a space that only entries are imported into; so the space counts as
// restored already, for the case that the import is given up in the middle. All groups
// there are, and those that come in, must be older than that, whatever the clocks say.
func (i *importing) begun() engine.Head {
	next := i.successor()
	next.Epoch = rand.Text()
	next.Base, next.Floor = next.Version, next.Version
	next.Importing, next.Imported = i.result.SHA256, 0
	if i.result.EntriesOnly {
		return next
	}
	if !next.UpdatedAt.After(i.newest) {
		next.UpdatedAt = after(i.newest)
	}
	next.RestoredAt = next.UpdatedAt
	return next
}

// ended is the head that shows the backup.
func (i *importing) ended() engine.Head {
	next := i.successor()
	next.Importing, next.Imported = "", 0
	return next
}

// bytes is about what the record weighs in a commit.
func (r record) bytes() int {
	n := recordBytes + 2*len(r.entry.Key) + len(r.entry.Value)
	for _, j := range r.client.Rejections {
		n += len(j.Name) + len(j.Reason) + recordBytes/3
	}
	return n
}
