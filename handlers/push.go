package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// push applies a client's mutations.
func (x *exchange) push() error {
	if err := x.checkContent(); err != nil {
		return err
	}
	if err := x.identify(); err != nil {
		return err
	}
	if err := x.allowPush(); err != nil {
		return err
	}
	req, err := x.readPush()
	if err == nil {
		err = x.mayStillPush()
	}
	if err == nil {
		x.caller.NewSpace, x.caller.NewClient = x.takeSpace, x.newClients(req.ClientGroupID)
		err = x.h.config.Engine.Push(x.r.Context(), x.caller, req)
	}
	switch {
	case err != nil:
		return x.answerable(err)
	case req.More:
		return x.partlyApplied()
	}
	return x.json([]byte("{}"))
}

// allowPush lets those push who may write, and those who may read: the engine acknowledges
// their mutations as rejected, since a client that is refused sends them for ever and shows
// them as saved.
func (x *exchange) allowPush() error {
	x.caller.Reader = nil
	err := x.allowed(auth.Write)
	if !errors.Is(err, auth.ErrForbidden) {
		return err
	}
	if err := x.allowed(auth.Read); err != nil {
		return err
	}
	x.caller.Reader = &engine.Reader{MayWrite: x.mayWrite, Take: x.takeRejection}
	return nil
}

// mayStillPush is stillAllowed for a push: whose right to write was taken away meanwhile, and who
// may still read, is a reader.
func (x *exchange) mayStillPush() error {
	if err := ended(x.principal); err != nil {
		return err
	}
	return x.allowPush()
}

// mayWrite asks the policy, which does not answer from memory, whether a reader of a moment
// ago may write, and fails with auth.ErrForbidden if they may not even read any more.
func (x *exchange) mayWrite(ctx context.Context) (bool, error) {
	policy, space := x.h.config.Policy, x.caller.Space
	err := auth.AllowAnew(ctx, policy, x.principal, space, auth.Write)
	forbidden := errors.Is(err, auth.ErrForbidden)
	if forbidden {
		err = policy.Allow(ctx, x.principal, space, auth.Read)
	}
	if err != nil && !errors.Is(err, auth.ErrForbidden) {
		err = fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	return !forbidden, err
}

// partlyApplied makes the client send everything again: what is applied by then is left out of
// it, and does not count.
func (x *exchange) partlyApplied() error {
	most := ""
	if n := x.h.config.MaxMutations; n > 0 {
		most = fmt.Sprintf("%d mutations, ", n)
	}
	return refusal{http.StatusTooManyRequests, "partly_applied", fmt.Sprintf(
		"Of a push %s%d bytes of them, of %d clients, are applied at once. The first ones are. Send all again to go on.",
		most, x.h.config.MaxBodyBytes, protocol.MaxPushClients,
	)}
}

// readPush reads the body of a push, however long it is, and decodes it meanwhile.
func (x *exchange) readPush() (*protocol.PushRequest, error) {
	b, err := x.openBody()
	if err != nil {
		return nil, err
	}
	from := &inTurn{body: b}
	defer from.end()
	return protocol.ReadPushRequest(from, protocol.PushBounds{
		MaxBytes:     int(x.h.config.MaxBodyBytes),
		MaxMutations: x.h.config.MaxMutations,
		Length:       x.r.ContentLength,
		Hold:         b.hold,
		Applied: func(g protocol.ClientGroupID, clients []protocol.ClientID) (map[protocol.ClientID]int64, error) {
			from.end()
			return x.h.config.Engine.Applied(x.r.Context(), x.caller, g, clients)
		},
	})
}

// admitted is the body of a request that is allowed.
func (x *exchange) admitted(a auth.Action) ([]byte, error) {
	if err := x.checkContent(); err != nil {
		return nil, err
	}
	if err := x.checkLength(); err != nil {
		return nil, err
	}
	if err := x.admit(a); err != nil {
		return nil, err
	}
	return x.readBody()
}

// answerable answers with an error that Replicache understands, which it does only
// in an answer of 200. Other errors it returns.
func (x *exchange) answerable(err error) error {
	e, ok := errors.AsType[*protocol.ErrorResponse](err)
	if !ok {
		return err
	}
	x.err = e // for the log: the status says nothing
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return x.json(body)
}
