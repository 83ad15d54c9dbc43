package auth

import (
	"context"
	"fmt"

	"github.com/replifire/replifire/protocol"
)

// Authenticated is the Policy that lets everybody who is signed in read and write
// every space. Admin it gives to nobody, as Open does.
type Authenticated struct{}

var _ Policy = Authenticated{}

// Allow returns nil for a principal with a user id that wants to Read or Write,
// ErrForbidden for everything else.
func (Authenticated) Allow(_ context.Context, p Principal, _ protocol.SpaceID, a Action) error {
	if p.UserID != "" && (a == Read || a == Write) {
		return nil
	}
	return fmt.Errorf("the authenticated policy does not give the right to %v: %w", a, ErrForbidden)
}
