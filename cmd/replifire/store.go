package main

import (
	"fmt"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/server"
)

// maxPings is how often the database is asked whether it is there: a network may lose
// one question, and each has 5 seconds.
const maxPings = 3

// store is what the commands need of a store.
type store interface {
	engine.Store
	Members() members.Directory
}

// openStore makes the store, and finds out whether it answers: what the commands do
// with it is tried for minutes. The memory store is of no use here: it is another
// process's.
func openStore(p *program, settings server.FirestoreSettings) (store, func(), error) {
	s, err := settings.Open(p.ctx)
	if err != nil {
		return nil, nil, unreachable(settings, err)
	}
	closeStore := func() { _ = s.Close() } // nothing is written on close
	if err := ping(p, s, settings); err != nil {
		closeStore()
		return nil, nil, err
	}
	return s, closeStore, nil
}

// ping fails unless the store answers. An emulator that is not there is found out at once.
func ping(p *program, s store, settings server.FirestoreSettings) error {
	if settings.EmulatorHost != "" {
		if err := checkDial(p.ctx, settings.EmulatorHost); err != nil {
			return p.cause(err)
		}
	}
	var err error
	for range maxPings {
		if err = s.Ping(p.ctx); err == nil {
			return nil
		}
		if p.ctx.Err() != nil {
			return p.cause(err)
		}
	}
	return unreachable(settings, err)
}

// unreachable says what was asked, and what may be wrong with it.
func unreachable(s server.FirestoreSettings, err error) error {
	if s.EmulatorHost != "" {
		return noEmulator(s.EmulatorHost, err)
	}
	return fmt.Errorf("database %q of project %q cannot be read; look at --project, --database and the credentials,"+
		" or set FIRESTORE_EMULATOR_HOST if an emulator is meant: %w", s.Database, s.ProjectID, err)
}
