package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
)

func TestCommitKind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		code codes.Code
		text string
		want error
	}{
		{"head has changed", codes.FailedPrecondition, "", engine.ErrConflict},
		{"head or group exists", codes.AlreadyExists, "", engine.ErrConflict},
		{"head is gone", codes.NotFound, "", engine.ErrConflict},
		{"lock", codes.Aborted, "Transaction lock timeout.", engine.ErrConflict},

		{
			"replayed, emulator", codes.InvalidArgument,
			"Transaction is invalid or closed.", engine.ErrUnknownOutcome,
		},
		{
			"replayed, production", codes.InvalidArgument,
			"The referenced transaction has expired or is no longer valid.",
			engine.ErrUnknownOutcome,
		},
		{"document too large", codes.InvalidArgument, "maximum entity size", engine.ErrImpossible},
		{
			"a name that pretends", codes.InvalidArgument,
			"Document name \"transaction is closed\" is invalid.", engine.ErrImpossible,
		},

		{"reply lost", codes.Unavailable, "", engine.ErrUnknownOutcome},
		{"too late", codes.DeadlineExceeded, "", engine.ErrUnknownOutcome},
		{"cancelled", codes.Canceled, "", engine.ErrUnknownOutcome},
		{"their bug", codes.Internal, "", engine.ErrUnknownOutcome},
		{"no idea", codes.Unknown, "", engine.ErrUnknownOutcome},
		{"quota", codes.ResourceExhausted, "", engine.ErrUnknownOutcome},
		{"data loss", codes.DataLoss, "", engine.ErrUnknownOutcome},

		{"role lost", codes.PermissionDenied, "", engine.ErrUnavailable},
		{"token lost", codes.Unauthenticated, "", engine.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := status.Error(tt.code, tt.text)
			if got := firestore.CommitKind(err); !errors.Is(got, tt.want) {
				t.Errorf("%v is %v, want %v", err, got, tt.want)
			}
			wrapped, _ := apierror.FromError(err)
			if got := firestore.CommitKind(fmt.Errorf("wrapped: %w", wrapped)); !errors.Is(got, tt.want) {
				t.Errorf("wrapped by the SDK, %v is %v, want %v", err, got, tt.want)
			}
		})
	}
	for _, err := range []error{context.Canceled, errors.New("no status")} {
		if got := firestore.CommitKind(err); !errors.Is(got, engine.ErrUnknownOutcome) {
			t.Errorf("%v is %v, want %v", err, got, engine.ErrUnknownOutcome)
		}
	}
}

// TestErrorsNameNoDocuments: what Firestore says of one ends up in the log.
func TestErrorsNameNoDocuments(t *testing.T) {
	t.Parallel()
	const in = "projects/p/databases/d/documents/spaces/s/members/ann o'neil\n|x"
	for _, tt := range []struct{ text, want string }{
		{"Document already exists: " + in, "Document already exists: projects/p/databases/d/documents/-"},
		{"Document '" + in + "' has 2 bytes", "Document 'projects/p/databases/d/documents/-' has 2 bytes"},
		{`Document "` + in + `" is bad`, `Document "projects/p/databases/d/documents/-`},
		{`app: "p" path < Element { type: "members" name: "ann" } >`, `app: "p" path <-`},
		{"Missing or insufficient permissions.", "Missing or insufficient permissions."},
	} {
		for kind, err := range map[string]error{
			"read":   firestore.Unavailable(t.Context(), "reading", status.Error(codes.Internal, tt.text)),
			"commit": firestore.CommitError(status.Error(codes.Internal, tt.text)),
		} {
			if got := err.Error(); !strings.HasSuffix(got, "desc = "+tt.want) {
				t.Errorf("%s: %q, want %q at its end", kind, got, tt.want)
			}
			if got := status.Code(err); got != codes.Internal {
				t.Errorf("%s: the code is %v, want that of the reply", kind, got)
			}
		}
	}
}
