package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/replifire/replifire/protocol"
)

// maxPushClients bounds the clients of one push, each of which is a document to
// read, and maxPushClientBytes their ids, which are asked for in one request. A real
// client group has a few, the tabs of a browser, and ids of 20 or 36 bytes.
const maxPushClients, maxPushClientBytes = 1000, 64 << 10

// Push applies a push's mutations, each once, in order, or rejects them. It
// returns nil when every one of them is acknowledged by a commit that is durable;
// otherwise an error of this package, a *protocol.ErrorResponse, Caller.NewSpace's or the context's,
// and what came before the trouble may have been applied: the client sends
// everything again and what is done is skipped (protocol.md §3).
func (e *Engine) Push(ctx context.Context, c Caller, req *protocol.PushRequest) error {
	if err := e.checkSchema(req.SchemaVersion); err != nil {
		return err
	}
	if len(req.Mutations) == 0 {
		return nil
	}
	j := e.newJob(ctx, c)
	j.group, j.mutations, j.reader = req.ClientGroupID, req.Mutations, c.Reader
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
	if len(j.clients) > maxPushClients || bytes > maxPushClientBytes {
		return &protocol.DecodeError{
			Field: "mutations",
			Reason: fmt.Sprintf("more than %d clients, or %d bytes of their ids, in one push",
				maxPushClients, maxPushClientBytes),
		}
	}
	j.names = nameBytes*(1+len(j.clients)) + len(j.group) + bytes
	return e.do(j)
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
