package auth

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Account is the one service account that may do something: its email address, or,
// where there is no "@" in it, the sub of its tokens. It MUST NOT be empty.
type Account string

// Check returns nil if the principal is the account, else ErrForbidden. An email
// address has to be that of the claim email, to the letter, and the claim
// email_verified has to be true. It is for principals whose UserID is the claim sub.
func (a Account) Check(p Principal) error {
	if !strings.Contains(string(a), "@") {
		if p.UserID != "" && p.UserID == string(a) {
			return nil
		}
		return fmt.Errorf("%w: the token is another account's", ErrForbidden)
	}
	// Into a map, for encoding/json matches the names of fields without their case.
	var claims map[string]any
	if err := json.Unmarshal(p.Claims, &claims); err != nil {
		return fmt.Errorf("%w: the token has no claims", ErrForbidden)
	}
	if claims["email"] != string(a) {
		return fmt.Errorf("%w: the token is another account's", ErrForbidden)
	}
	if claims["email_verified"] != true {
		return fmt.Errorf("%w: the token's email is not verified", ErrForbidden)
	}
	return nil
}
