package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/replifire/replifire/protocol"
)

// Push applies a push's mutations, each once, in order, or rejects them. It
// returns nil when every one of them is acknowledged by a commit that is durable;
// otherwise an error of this package, a *protocol.ErrorResponse, Caller.NewSpace's or the context's,
// and what came before the trouble may have been applied: the client sends
// everything again and what is done is skipped (protocol.md §3). A push without mutations
// is judged like any other: all that it had may have been left out (Applied).
func (e *Engine) Push(ctx context.Context, c Caller, req *protocol.PushRequest) error {
	if err := e.checkSchema(req.SchemaVersion); err != nil {
		return err
	}
	j := e.newJob(ctx, c)
	j.group, j.mutations, j.skipped, j.reader = req.ClientGroupID, req.Mutations, req.Skipped, c.Reader
	seen, bytes := map[protocol.ClientID]bool{}, 0
	for i, m := range req.Mutations {
		j.bytes += len(m.Args) + len(m.Name) + 200
		if i > 0 && m.ClientID == req.Mutations[i-1].ClientID || seen[m.ClientID] {
			continue
		}
		seen[m.ClientID] = true
		j.clients = append(j.clients, m.ClientID)
		bytes += len(m.ClientID)
	}
	if len(j.clients) > protocol.MaxPushClients || bytes > protocol.MaxPushClientBytes {
		return &protocol.DecodeError{
			Field: "mutations",
			Reason: fmt.Sprintf("more than %d clients, or %d bytes of their ids, in one push",
				protocol.MaxPushClients, protocol.MaxPushClientBytes),
		}
	}
	j.names = nameBytes*(1+len(j.clients)) + len(j.group) + bytes
	return e.do(j)
}

// Applied says how far the mutations of clients are applied: the lastMutationIDs of those of
// them that belong to the group. It is a read that begins now, and never from memory: what
// was applied once is not for sure, since data can go back in time. The errors are those of
// Store.Snapshot, and those with which Push would refuse the group.
func (e *Engine) Applied(
	ctx context.Context, c Caller, group protocol.ClientGroupID, clients []protocol.ClientID,
) (map[protocol.ClientID]int64, error) {
	snap, err := e.snapshot(ctx, c.Space, Documents{
		Head: true, Groups: []protocol.ClientGroupID{group}, Clients: clients,
	})
	if err != nil {
		return nil, err
	}
	if snap.Head().Importing != "" {
		return nil, ErrImporting
	}
	if g, ok := snap.Group(group); ok {
		if err := snap.Head().admits(c, g); err != nil {
			return nil, err
		}
	}
	applied := map[protocol.ClientID]int64{}
	for _, id := range clients {
		if found, ok := snap.Client(id); ok && found.GroupID == group {
			applied[id] = found.LastMutationID
		}
	}
	return applied, nil
}

// admits reports why a client group that exists may not push, nil if it may: it is another
// user's or space's, or of before the space was deleted, whose clients start afresh.
func (h Head) admits(c Caller, g ClientGroup) error {
	switch {
	case g.UserID != c.UserID || g.Space != c.Space:
		return ErrForbidden
	case h.outlived(g): // its clients' ids may be others' by now
		return protocol.ClientStateNotFound()
	}
	return nil
}

func (e *Engine) newJob(ctx context.Context, c Caller) *job {
	deadline := time.Now().Add(e.opts.PushTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	return &job{caller: c, ctx: ctx, deadline: deadline, done: make(chan error, 1)}
}

// do waits for a job's end, or for its request's.
func (e *Engine) do(j *job) error {
	if err := e.enqueue(j.caller.Space, j); err != nil {
		return err
	}
	select {
	case err := <-j.done:
		return err
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}
