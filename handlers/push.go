package handlers

import (
	"encoding/json"
	"errors"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/protocol"
)

// push applies a client's mutations.
func (x *exchange) push() error {
	body, err := x.admitted(auth.Write)
	if err != nil {
		return err
	}
	req, err := x.decodePush(body)
	if err == nil {
		x.caller.NewSpace = x.takeSpace
		err = x.h.config.Engine.Push(x.r.Context(), x.caller, req)
	}
	if err != nil {
		return x.answerable(err)
	}
	return x.json([]byte("{}"))
}

// decodePush decodes a push that is not too long, when it is its turn.
func (x *exchange) decodePush(body []byte) (*protocol.PushRequest, error) {
	done, err := x.awaitTurn(len(body))
	if err != nil {
		return nil, err
	}
	defer done()
	return protocol.DecodePushRequestWithin(body, x.h.config.MaxMutations)
}

// admitted is the body of a request that is allowed.
func (x *exchange) admitted(a auth.Action) ([]byte, error) {
	if err := x.checkContent(); err != nil {
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
