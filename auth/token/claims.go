package token

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/replifire/replifire/auth"
)

const (
	// Skew is how far a token's times may be off: an expired token is accepted that
	// long, and one from the future that early.
	Skew = time.Minute
	// MaxUserID is how many characters a user's id may have, which is Firebase's limit.
	MaxUserID = 128

	subject = "sub"
)

// checked are the claims that rules look at, besides the one of the user's id.
var checked = []string{"iss", subject, "aud", "exp", "nbf", "iat", "auth_time"}

// rules say what a token's claims must be.
type rules struct {
	issuer    string
	audience  string
	userClaim string
	// soleAudience: there must be no other audience.
	soleAudience bool
	// issuedAt and authTime: these claims must be there.
	issuedAt, authTime bool
	now                func() time.Time
}

// claims are the registered claims and Firebase's. The parser matches names with
// their case, and fails for two members of one name.
type claims struct {
	jwt.Claims
	AuthTime *jwt.NumericDate `json:"auth_time"`
}

// principal is the one that a payload is about.
func (r rules) principal(payload []byte) (auth.Principal, error) {
	all, c, err := parseClaims(payload)
	if err != nil {
		return auth.Principal{}, err
	}
	if err := r.noLookalikes(all); err != nil {
		return auth.Principal{}, err
	}
	if err := r.check(c); err != nil {
		return auth.Principal{}, err
	}
	user, ok := all[r.userClaim].(string)
	if n := utf8.RuneCountInString(user); !ok || n == 0 || n > MaxUserID {
		return auth.Principal{}, refused("its user id is not a text of 1 to 128 characters")
	}
	// When the token stops being accepted: a stream that is opened with what is left of
	// it must not end, and be opened again, at once.
	expires := c.Expiry.Time().Add(Skew).UTC()
	return auth.Principal{UserID: user, Claims: payload, Expires: expires}, nil
}

// parseClaims parses a payload into all claims and those of known types. It fails
// for two members of one name at any depth.
func parseClaims(payload []byte) (map[string]any, claims, error) {
	var all map[string]any
	if json.Unmarshal(payload, &all) != nil || all == nil {
		return nil, claims{}, refused("its payload is not a JSON object, or has two members of one name")
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return nil, claims{}, refused("one of its claims is not of the right type")
	}
	return all, c, nil
}

// noLookalikes refuses claims whose name is that of a checked one but for case: a
// policy that parses the claims again might take them for it.
func (r rules) noLookalikes(all map[string]any) error {
	for name := range all {
		for _, c := range append([]string{r.userClaim}, checked...) {
			if name != c && strings.EqualFold(name, c) {
				return refused("it has a claim whose name differs from a standard one by case")
			}
		}
	}
	return nil
}

func (r rules) check(c claims) error {
	now := r.now()
	err := c.ValidateWithLeeway(jwt.Expected{
		Issuer: r.issuer, AnyAudience: jwt.Audience{r.audience}, Time: now,
	}, Skew)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return refused("another issuer made it")
	case errors.Is(err, jwt.ErrInvalidAudience), r.soleAudience && len(c.Audience) != 1:
		return refused("it is for another audience")
	case errors.Is(err, jwt.ErrExpired):
		return refused("it has expired")
	case err != nil:
		return refused("it is from the future")
	case c.Expiry == nil:
		return refused("it has no exp")
	case r.issuedAt && c.IssuedAt == nil:
		return refused("it has no iat")
	case r.authTime && c.AuthTime == nil:
		return refused("it has no auth_time")
	case c.AuthTime != nil && c.AuthTime.Time().After(now.Add(Skew)):
		return refused("its auth_time is in the future")
	}
	return nil
}

// refused is why a token is not accepted. The text must have nothing of the token.
func refused(why string) error {
	return fmt.Errorf("%w: the token is refused: %s", auth.ErrUnauthenticated, why)
}
