package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/replifire/replifire/protocol"
)

// What an Authenticator and a Policy refuse with. Implementations wrap them, with
// a text that is for operators: clients are shown the kind only.
var (
	// ErrUnauthenticated: no token, or one that is not valid now; another one may
	// be. It MUST NOT stand for anything a new token cannot cure.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: the principal is known and may not do this. It MUST say the
	// same of a space that does not exist as of one that is somebody else's.
	ErrForbidden = errors.New("not allowed")
	// ErrUnavailable: whether the token is valid cannot be told now, for example
	// because the issuer's keys cannot be had. The same token may be valid later.
	ErrUnavailable = errors.New("cannot tell now who this is")
)

// Principal is who makes a request.
type Principal struct {
	// UserID is stable and unique, "" for everybody who is not signed in.
	UserID string
	// Claims is the JSON object of the token's claims, nil where there is none. No
	// object in it has two members of one name, but names differ by case: who reads
	// it with a parser that does not look at case may read another claim.
	Claims json.RawMessage
	// Expires is when the token stops being accepted: then a stream that was opened
	// with it must end too. Zero: never.
	Expires time.Time
}

// Authenticator tells principals by what they show. Implementations MUST be safe
// for concurrent use.
type Authenticator interface {
	// Authenticate is given the Authorization header's value as it was sent: with
	// or without a scheme ("Bearer "), since Replicache adds none, and empty when
	// there is none. It fails with ErrUnauthenticated, or when it cannot tell with
	// ErrUnavailable or any other error, which is no fault of the client's.
	Authenticate(ctx context.Context, authorization string) (Principal, error)
}

// Action is a kind of right to a space.
type Action int

// The actions, each of which is allowed by itself: none includes another.
const (
	// Read is to pull, and to be poked.
	Read Action = iota + 1
	// Write is to push.
	Write
	// Admin is to empty a space.
	Admin
)

// String is the action's name, for logs.
func (a Action) String() string {
	switch a {
	case Read:
		return "read"
	case Write:
		return "write"
	case Admin:
		return "admin"
	default:
		return fmt.Sprintf("Action(%d)", int(a))
	}
}

// Policy decides who may do what. Implementations MUST be safe for concurrent
// use.
type Policy interface {
	// Allow returns nil, or ErrForbidden, or any other error when it cannot tell:
	// then the request fails too, as a fault of the server's. It is asked before a
	// request's body is read, and again when the body is there.
	Allow(ctx context.Context, p Principal, space protocol.SpaceID, a Action) error
}

// Rereader is a Policy that remembers what it has read.
type Rereader interface {
	Policy
	// AllowAnew is Allow by a read that begins now.
	AllowAnew(ctx context.Context, p Principal, space protocol.SpaceID, a Action) error
}

// AllowAnew asks a policy, which does not answer from memory.
func AllowAnew(ctx context.Context, policy Policy, p Principal, space protocol.SpaceID, a Action) error {
	if r, ok := policy.(Rereader); ok {
		return r.AllowAnew(ctx, p, space, a)
	}
	return policy.Allow(ctx, p, space, a)
}

// None is the Authenticator that looks at nothing: everybody is the anonymous
// Principal, whatever was sent.
type None struct{}

var _ Authenticator = None{}

// Authenticate returns the zero Principal.
func (None) Authenticate(context.Context, string) (Principal, error) {
	return Principal{}, nil
}

// Open is the Policy that lets everybody read and write every space. Admin it
// gives to nobody: emptying a space is for development mode or a real policy.
type Open struct{}

var _ Policy = Open{}

// Allow returns nil for Read and Write, ErrForbidden for everything else.
func (Open) Allow(_ context.Context, _ Principal, _ protocol.SpaceID, a Action) error {
	if a == Read || a == Write {
		return nil
	}
	return fmt.Errorf("the open policy gives nobody the right to %v: %w", a, ErrForbidden)
}
