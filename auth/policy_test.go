package auth_test

import (
	"errors"
	"testing"

	"github.com/replifire/replifire/auth"
)

func TestAuthenticated(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		user   string
		action auth.Action
		want   error
	}{
		{"u", auth.Read, nil},
		{"u", auth.Write, nil},
		{"u", auth.Admin, auth.ErrForbidden},
		{"", auth.Read, auth.ErrForbidden},
		{"", auth.Write, auth.ErrForbidden},
		{"", auth.Admin, auth.ErrForbidden},
		{"u", 0, auth.ErrForbidden},
	} {
		t.Run(tc.user+" "+tc.action.String(), func(t *testing.T) {
			t.Parallel()
			p := auth.Principal{UserID: tc.user}
			if err := (auth.Authenticated{}).Allow(t.Context(), p, "s", tc.action); !errors.Is(err, tc.want) {
				t.Errorf("Allow = %v, want %v", err, tc.want)
			}
		})
	}
}
