package auth_test

import (
	"errors"
	"testing"

	"github.com/replifire/replifire/auth"
)

func TestNone(t *testing.T) {
	t.Parallel()
	for _, authorization := range []string{"", "Bearer abc", "abc", "\x00"} {
		p, err := auth.None{}.Authenticate(t.Context(), authorization)
		if err != nil || p.UserID != "" || p.Claims != nil {
			t.Errorf("Authenticate(%q) = %+v, %v; want the zero Principal", authorization, p, err)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		action auth.Action
		name   string
		want   error
	}{
		{auth.Read, "read", nil},
		{auth.Write, "write", nil},
		{auth.Admin, "admin", auth.ErrForbidden},
		{0, "Action(0)", auth.ErrForbidden},
		{99, "Action(99)", auth.ErrForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := tc.action.String(); got != tc.name {
				t.Errorf("String() = %q, want %q", got, tc.name)
			}
			err := auth.Open{}.Allow(t.Context(), auth.Principal{}, "default", tc.action)
			if !errors.Is(err, tc.want) {
				t.Errorf("Allow = %v, want %v", err, tc.want)
			}
		})
	}
}
