package engine

import (
	"context"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/replifire/replifire/protocol"
)

// Pull answers with what has changed since the request's cookie, or with
// everything where the cookie cannot be diffed from. All of it is of one
// snapshot, and nothing is written. The answer's Clients and Patch read on from the store
// until ctx ends, so they are to be consumed before, and within the hour for which stores
// keep the moment.
//
// The errors are ErrForbidden, ErrImporting, *protocol.ErrorResponse, *protocol.DecodeError
// for a cookie with no room above it, those of Store.Snapshot, and that of Caller.BeforeReading.
func (e *Engine) Pull(ctx context.Context, c Caller, req *protocol.PullRequest) (*protocol.PullResponse, error) {
	if err := e.checkSchema(req.SchemaVersion); err != nil {
		return nil, err
	}
	p := &pull{engine: e, reader: e.reader(c.Space), caller: c, req: req}
	if err := p.open(ctx); err != nil {
		return nil, err
	}
	if p.head.Importing != "" {
		return nil, ErrImporting
	}
	if p.known && p.head.outlived(p.group) {
		return nil, protocol.ClientStateNotFound() // whatever it has seen: it starts afresh
	}
	if err := p.checkClient(); err != nil {
		return nil, err
	}
	if p.unchanged() {
		return p.response(req.Cookie.Raw, nil, emptyPatch), nil
	}
	if p.inMemory { // of a head that may be later than the one for which memory was allowed
		return p.changes(ctx)
	}
	if p.lostState() {
		return nil, protocol.ClientStateNotFound()
	}
	if !p.diffable() {
		return p.everything(ctx)
	}
	return p.changes(ctx)
}

// pull is one pull on its way.
type pull struct {
	engine *Engine
	reader *reader
	caller Caller
	req    *protocol.PullRequest
	head   Head     // of what is answered
	snap   Snapshot // of head; nil if memory is answer enough
	group  ClientGroup
	known  bool // the group exists

	// What changed since the cookie, if memory knows it.
	inMemory bool
	recalled recalled
}

// open finds the head, and reads the group unless its owner is remembered: a pull
// with nothing new reads one document at the most.
func (p *pull) open(ctx context.Context) error {
	docs := Documents{Head: true}
	if p.req.Version == 0 {
		docs.Clients = []protocol.ClientID{p.req.ClientID}
	}
	owner, remembered := p.engine.groups.Get(p.req.ClientGroupID)
	if remembered && p.req.Cookie.Ours {
		p.group, p.known = owner.ClientGroup, true
		// Memory allows what is usual and decides nothing else.
		usual := func() bool {
			return p.engine.remembers(owner) && owner.epoch == p.head.Epoch && p.owns() &&
				!p.wasAnother() && (p.unchanged() || p.diffable())
		}
		if head, ok := p.reader.recent(); ok && p.req.Version != 0 {
			p.head = head
			if usual() && (p.unchanged() || p.recall()) {
				return nil
			}
		}
		if err := p.read(ctx, docs); err != nil {
			return err
		}
		if usual() {
			return nil
		}
	}
	docs.Groups = []protocol.ClientGroupID{p.req.ClientGroupID}
	if err := p.read(ctx, docs); err != nil {
		return err
	}
	p.group, p.known = p.snap.Group(p.req.ClientGroupID)
	if p.known && !p.owns() {
		return ErrForbidden
	}
	if p.known {
		p.engine.remember(p.group, p.head.Epoch)
	}
	return nil
}

func (p *pull) read(ctx context.Context, docs Documents) error {
	snap, err := p.reader.look(ctx, docs, p.req.Cookie)
	if err != nil {
		return err
	}
	p.snap, p.head = snap, snap.Head()
	return nil
}

func (p *pull) owns() bool {
	return p.group.UserID == p.caller.UserID && p.group.Space == p.caller.Space
}

// checkClient is for version 0, where the request names its client: it must be
// its own group's, and known here if it has ever pushed. A lower lastMutationID
// than it has seen would stop it for good.
func (p *pull) checkClient() error {
	if p.req.Version != 0 {
		return nil
	}
	c, ok := p.snap.Client(p.req.ClientID)
	if ok && c.GroupID != p.req.ClientGroupID {
		return ErrForbidden
	}
	if c.LastMutationID < p.req.LastMutationID {
		return protocol.ClientStateNotFound()
	}
	return nil
}

// unchanged reports whether the cookie is that of the space as it is.
func (p *pull) unchanged() bool {
	return p.ofEpoch() && p.req.Cookie.Version == p.head.Version && !p.stray()
}

// diffable reports whether the changes since the cookie are still known.
func (p *pull) diffable() bool {
	return p.ofEpoch() && p.req.Cookie.Version >= p.head.Floor && !p.stray()
}

// ofEpoch reports whether the cookie is of the space's epoch.
func (p *pull) ofEpoch() bool { return p.req.Cookie.Ours && p.req.Cookie.Epoch == p.head.Epoch }

// stray reports whether the cookie is of a history that the space has left, as far as that can
// be told: of a version that it has not reached, or that another commit has made. Versions that
// are not named are those of their epoch only.
func (p *pull) stray() bool {
	c := p.req.Cookie
	return c.Ours && (p.ofEpoch() || c.Commit != "") && p.head.contradicts(c.Version, c.Commit)
}

// smallAnswer is how many bytes of an answer from memory need no leave: the buffers of a
// connection take about as much.
const smallAnswer = 64 << 10

// changes is the incremental answer.
func (p *pull) changes(ctx context.Context) (*protocol.PullResponse, error) {
	since := p.req.Cookie.Version
	told := func(*Client) int64 { return since }
	inMemory := p.recall()
	cookie, err := p.req.Cookie.Next(p.head.Version, p.head.Epoch)
	if err != nil {
		return nil, err
	}
	cookie = p.named(cookie)
	if !inMemory {
		return p.answer(ctx, cookie, since, since, told, operationOf)
	}
	if p.recalled.bytes > smallAnswer {
		if err := p.caller.beforeReading(ctx); err != nil {
			return nil, err
		}
	}
	entries := p.recalled.entries
	resp := p.response(cookie.Raw, inMemoryClients(p.recalled.clients, told), inMemoryPatch(entries))
	resp.Encoded = encodedPatch(entries)
	return resp, nil
}

// recall finds the changes in the space's tail. The tail may be ahead of what was
// read, then the answer is too.
func (p *pull) recall() bool {
	if p.req.Version == 0 {
		return false // its client was read at the moment of the snapshot
	}
	if p.inMemory {
		return true
	}
	found, ok := p.reader.since(p.head, p.req.Cookie.Version, p.req.ClientGroupID)
	if !p.known && len(found.clients) > 0 {
		return false // the group was made after it was looked for
	}
	if ok {
		p.head, p.recalled, p.inMemory = found.head, found, true
	}
	return ok
}

// operationOf is a change as the client applies it.
func operationOf(e Entry) (protocol.PatchOperation, bool) {
	if e.Deleted {
		return protocol.PatchOperation{Op: protocol.OpDel, Key: e.Key}, true
	}
	return protocol.PatchOperation{Op: protocol.OpPut, Key: e.Key, Value: e.Value}, true
}

// everything is the full resync: clear, every entry, every lastMutationID.
func (p *pull) everything(ctx context.Context) (*protocol.PullResponse, error) {
	head := p.head
	cookie, err := p.req.Cookie.Reset(head.Version, head.Epoch)
	if err != nil {
		return nil, err
	}
	cookie = p.named(cookie)
	if !head.Exists() {
		return p.response(cookie.Raw, nil, clearFirst(emptyPatch)), nil
	}
	resp, err := p.answer(ctx, cookie, head.Base, 0, p.told, func(e Entry) (protocol.PatchOperation, bool) {
		return protocol.PatchOperation{Op: protocol.OpPut, Key: e.Key, Value: e.Value},
			!e.Deleted
	})
	if err != nil {
		return nil, err
	}
	resp.Patch = clearFirst(resp.Patch)
	return resp, nil
}

// RejectionLife is how long after a client was last seen its rejections are told to who
// begins anew: a client that pushes before it has ever pulled is to learn what was refused,
// and nobody what was refused long ago.
const RejectionLife = time.Hour

// told is the version up to which who begins anew has been told of a client's rejections, as
// far as that can be known. Times in a space grow with its versions, so no clock matters.
func (p *pull) told(c *Client) int64 {
	switch cookie, head := p.req.Cookie, p.head; {
	case cookie.Ours && cookie.Epoch == head.Epoch && cookie.Version < head.Floor:
		return cookie.Version // it begins anew for the sake of old tombstones
	case head.UpdatedAt.Sub(c.LastSeen) < RejectionLife:
		return 0
	default:
		return c.Version
	}
}

// answer reads the first of the clients and of the entries at the same time, each after a
// version of its own. told is the version up to which a client's rejections are known.
func (p *pull) answer(
	ctx context.Context, cookie protocol.Cookie, entriesAfter, clientsAfter int64,
	told func(*Client) int64, op func(Entry) (protocol.PatchOperation, bool),
) (*protocol.PullResponse, error) {
	if err := p.caller.beforeReading(ctx); err != nil {
		return nil, err
	}
	readClients := func() iter.Seq2[Client, error] {
		return p.snap.Clients(ctx, p.req.ClientGroupID, clientsAfter)
	}
	var clients *page[Client]
	var entries *page[Entry]
	var group errgroup.Group
	group.Go(func() (err error) {
		clients, err = readPage(ctx, readClients())
		return err
	})
	group.Go(func() (err error) {
		entries, err = readPage(ctx, p.snap.Entries(ctx, entriesAfter))
		return err
	})
	if err := group.Wait(); err != nil {
		clients.close()
		entries.close()
		return nil, err
	}
	return p.response(cookie.Raw, clientChanges(clients, readClients, told), patchOf(entries, op)), nil
}

// clientChanges are what is said of the clients of a page and its rest, or for who reads
// them a second time, of those that again reads.
func clientChanges(
	first *page[Client], again func() iter.Seq2[Client, error], told func(*Client) int64,
) iter.Seq2[protocol.ClientChange, error] {
	all := first.all
	return func(yield func(protocol.ClientChange, error) bool) {
		seq := all
		all = func(yield func(Client, error) bool) { again()(yield) }
		for c, err := range seq {
			if !yield(changeOf(&c, told), err) || err != nil {
				return
			}
		}
	}
}

// inMemoryClients is the same of clients that need no reading.
func inMemoryClients(
	clients []*Client, told func(*Client) int64,
) iter.Seq2[protocol.ClientChange, error] {
	return func(yield func(protocol.ClientChange, error) bool) {
		for _, c := range clients {
			if !yield(changeOf(c, told), nil) {
				return
			}
		}
	}
}

// patchOf turns entries into operations; op's second result false leaves one out.
func patchOf(
	entries *page[Entry], op func(Entry) (protocol.PatchOperation, bool),
) iter.Seq2[protocol.PatchOperation, error] {
	return func(yield func(protocol.PatchOperation, error) bool) {
		for e, err := range entries.all {
			if err != nil {
				yield(protocol.PatchOperation{}, err)
				return
			}
			if o, wanted := op(e); wanted && !yield(o, nil) {
				return
			}
		}
	}
}

// response fills the shape that both protocol versions share.
func (p *pull) response(
	cookie []byte, clients iter.Seq2[protocol.ClientChange, error], patch iter.Seq2[protocol.PatchOperation, error],
) *protocol.PullResponse {
	resp := &protocol.PullResponse{
		Version: p.req.Version, Ahead: p.ofEpoch() && p.stray(), Cookie: cookie, Clients: clients, Patch: patch,
	}
	if p.req.Version == 0 {
		c, _ := p.snap.Client(p.req.ClientID)
		resp.LastMutationID = c.LastMutationID
	}
	return resp
}

// changeOf is what an answer says of a client. Of the acknowledgements that it delivers, the
// rejections are those that were not told before.
func changeOf(c *Client, told func(*Client) int64) protocol.ClientChange {
	change := protocol.ClientChange{ID: c.ID, LastMutationID: c.LastMutationID}
	if len(c.Rejections) == 0 {
		return change
	}
	after := told(c)
	for _, r := range c.Rejections {
		if r.Version > after {
			change.Rejections = append(change.Rejections, protocol.Rejection{ID: r.MutationID, Name: r.Name, Reason: r.Reason})
		}
	}
	return change
}

func emptyPatch(func(protocol.PatchOperation, error) bool) {}

func clearFirst(patch iter.Seq2[protocol.PatchOperation, error]) iter.Seq2[protocol.PatchOperation, error] {
	return func(yield func(protocol.PatchOperation, error) bool) {
		if yield(protocol.PatchOperation{Op: protocol.OpClear}, nil) {
			patch(yield)
		}
	}
}

// remember keeps a group's owner for pulls.
func (e *Engine) remember(g ClientGroup, epoch string) {
	e.groups.Add(g.ID, ownership{ClientGroup: g, epoch: epoch})
}

// remembers reports whether an owner that was remembered still is.
func (e *Engine) remembers(o ownership) bool {
	now, ok := e.groups.Peek(o.ID)
	return ok && now == o
}
