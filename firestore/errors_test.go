package firestore_test

import (
	"context"
	"errors"
	"fmt"
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
