package auth_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/replifire/replifire/auth"
)

func TestAccount(t *testing.T) {
	t.Parallel()
	const email, number = "gc@p.iam.gserviceaccount.com", "1234567890"
	for name, tc := range map[string]struct {
		account auth.Account
		user    string
		claims  string
		want    error
	}{
		"email":       {email, number, `{"email":"` + email + `","email_verified":true}`, nil},
		"other email": {email, number, `{"email":"x` + email + `","email_verified":true}`, auth.ErrForbidden},
		"email in capitals": {
			email, number, `{"email":"GC@p.iam.gserviceaccount.com","email_verified":true}`, auth.ErrForbidden,
		},
		"email not verified":    {email, number, `{"email":"` + email + `","email_verified":false}`, auth.ErrForbidden},
		"email verified how":    {email, number, `{"email":"` + email + `"}`, auth.ErrForbidden},
		"verified as a text":    {email, number, `{"email":"` + email + `","email_verified":"true"}`, auth.ErrForbidden},
		"claim by another name": {email, number, `{"Email":"` + email + `","email_verified":true}`, auth.ErrForbidden},
		"verified by another name": {
			email, number, `{"email":"` + email + `","Email_Verified":true}`, auth.ErrForbidden,
		},
		"email is the sub":   {email, email, `{"sub":"` + email + `","email_verified":true}`, auth.ErrForbidden},
		"no claims":          {email, number, ``, auth.ErrForbidden},
		"claims are null":    {email, number, `null`, auth.ErrForbidden},
		"sub":                {number, number, `{}`, nil},
		"other sub":          {number, "123456789", `{}`, auth.ErrForbidden},
		"sub of nobody":      {number, "", `{}`, auth.ErrForbidden},
		"nobody is nobody's": {"", "", `{}`, auth.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := auth.Principal{UserID: tc.user, Claims: json.RawMessage(tc.claims)}
			if err := tc.account.Check(p); !errors.Is(err, tc.want) {
				t.Errorf("Check = %v, want %v", err, tc.want)
			}
		})
	}
}
