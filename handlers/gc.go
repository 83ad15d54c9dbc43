package handlers

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/gc"
)

// GC is what answers POST /api/gc. All fields MUST be set.
type GC struct {
	// Authenticator tells whose token it is; that of the service's users has no say.
	Authenticator auth.Authenticator
	// Account is who may have it done.
	Account auth.Account
	// Run is *gc.Collector's. It has to end before what is in front of the service
	// gives up the request.
	Run func(context.Context) (gc.Result, error)
}

func (g *GC) valid() error {
	if g != nil && (g.Authenticator == nil || g.Account == "" || g.Run == nil) {
		return errors.New("handlers: GC must be nil or complete")
	}
	return nil
}

// gc collects in all spaces. A body says nothing; it is read, since only then the
// server notices that the caller has gone.
func (x *exchange) gc() error {
	g := x.h.config.GC
	caller, err := x.authenticateBy(g.Authenticator)
	if err != nil {
		return err
	}
	if err := g.Account.Check(caller); err != nil {
		return err
	}
	if _, err := x.readBody(); err != nil {
		return err
	}
	if err := ended(caller); err != nil {
		return err
	}
	done, err := g.Run(x.r.Context())
	if err != nil {
		return err
	}
	body, err := json.Marshal(done)
	if err != nil {
		return err
	}
	return x.json(body)
}
