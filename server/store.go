package server

import (
	"context"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/memory"
)

// Open makes the store of these settings, without any network: the first call of
// the store connects. The caller closes it.
func (f *FirestoreSettings) Open(ctx context.Context) (*firestore.Store, error) {
	if err := f.CheckDatabase(); err != nil {
		return nil, err
	}
	return firestore.Open(ctx, firestore.Config{
		ProjectID:    f.ProjectID,
		DatabaseID:   f.Database,
		EmulatorHost: f.EmulatorHost,
	})
}

// store is what both stores are.
type store interface {
	engine.Store
	Members() members.Directory
}

// openStore makes the store of the settings, and what closes it.
func (s *Settings) openStore(ctx context.Context) (store, func() error, error) {
	if s.Store == StoreMemory {
		return memory.New(), func() error { return nil }, nil
	}
	f, err := s.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}
