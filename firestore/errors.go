package firestore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/replifire/replifire/engine"
)

// replayed is what Firestore says to a commit of a transaction that is over:
// expired, rolled back, or committed already by this very request, whose reply
// was lost and which the SDK sent again (reliability.md F2). The emulator says
// "Transaction is invalid or closed.", production "The referenced transaction
// has expired or is no longer valid".
var replayed = regexp.MustCompile(
	`(?i)^(the )?(referenced )?transaction (is|has|was) .*` +
		`\b(expired|closed|no longer valid)\b`)

// unavailable is the error of a read, or of anything else that changes nothing.
// Nothing that Firestore says about a missing right, index or moment is the
// caller's to repair, so that too is ErrUnavailable; the text tells the operator
// which it is. It carries the context's error, if that is the reason.
func unavailable(ctx context.Context, what string, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("%s: %w: %w", what, engine.ErrUnavailable, namelessError{err})
}

// named is where Firestore names a document, in quotes that something follows or else to
// the end of its text.
var named = regexp.MustCompile(`(?s)(/documents/|path <).*?('\s|$)`)

// namelessError is an error whose text names no documents. They are named after users,
// clients and keys, which have no place in a log.
type namelessError struct{ error }

func (e namelessError) Error() string { return named.ReplaceAllString(e.error.Error(), "$1-$2") }

func (e namelessError) Unwrap() error { return e.error }

// grpcError is an error that came from gRPC, whatever the SDK has wrapped it in.
type grpcError interface {
	error
	GRPCStatus() *status.Status
}

// commitError sorts what a commit failed with. The SDK sends a commit again
// after UNAVAILABLE and RESOURCE_EXHAUSTED and shows the last reply only, so
// every reply may hide an earlier try that was applied (reliability.md F1–F3):
// an ErrConflict may be our own success, and the caller finds out by reading.
func commitError(err error) error {
	return fmt.Errorf("committing: %w: %w", commitKind(err), namelessError{err})
}

func commitKind(err error) error {
	reply, ok := errors.AsType[grpcError](err)
	if !ok {
		return engine.ErrUnknownOutcome
	}
	switch s := reply.GRPCStatus(); s.Code() {
	case codes.FailedPrecondition, codes.AlreadyExists, codes.NotFound, codes.Aborted:
		// The head or a group is not as the commit wants it, or another
		// transaction was in the way.
		return engine.ErrConflict
	case codes.InvalidArgument:
		if replayed.MatchString(s.Message()) {
			return engine.ErrUnknownOutcome
		}
		// A field, a document or the whole is too large, or not storable.
		return engine.ErrImpossible
	case codes.PermissionDenied, codes.Unauthenticated:
		// The service account lost its role between two calls, or never could
		// write. No commit of ours is under way that could still succeed.
		return engine.ErrUnavailable
	default:
		// UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, INTERNAL and UNKNOWN say that the
		// reply was lost. RESOURCE_EXHAUSTED too: out of quota, the SDK tried
		// again and again, and not each of these tries need have failed.
		return engine.ErrUnknownOutcome
	}
}

// corruptError is engine.ErrCorrupt of a document that is not as this package writes it.
// Its text says where that is, since somebody has to find it, but names no user.
type corruptError struct {
	path   string
	reason error
}

func (e *corruptError) Error() string {
	at := e.path
	if parts := strings.Split(at, "/"); slices.Contains(ofUsers, parts[len(parts)-2]) {
		at = strings.TrimSuffix(at, parts[len(parts)-1]) + "-"
	}
	return fmt.Sprintf("document %s: %v: %v", at, engine.ErrCorrupt, e.reason)
}

// ofUsers are the collections whose documents are named after users.
var ofUsers = []string{membersCollection, creatorsCollection}

func (e *corruptError) Unwrap() []error { return []error{engine.ErrCorrupt, e.reason} }

// Document is the name of the document, for the commands of an operator.
func (e *corruptError) Document() string { return e.path }
