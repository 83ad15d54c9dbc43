package token

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
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
	// events: tokens of events are told by their claim events.
	events bool
	// tenants: it is Firebase's claim that names a tenant, which must be this one, or none.
	tenants bool
	tenant  string
	now     func() time.Time
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
	if err := r.checkKind(all); err != nil {
		return auth.Principal{}, err
	}
	user, err := r.userID(all)
	if err != nil {
		return auth.Principal{}, err
	}
	// When the token stops being accepted: a stream that is opened with what is left of
	// it must not end, and be opened again, at once.
	expires := c.Expiry.Time().Add(Skew).UTC()
	return auth.Principal{UserID: user, Claims: payload, Expires: expires}, nil
}

// userID is the user's, who is nobody else: the parser makes U+FFFD of what is no
// character, such as half a surrogate pair, so that two subjects would be one user.
func (r rules) userID(all map[string]any) (string, error) {
	user, ok := all[r.userClaim].(string)
	if n := utf8.RuneCountInString(user); !ok || n == 0 || n > MaxUserID {
		return "", refused("its user id is not a text of 1 to 128 characters")
	}
	if strings.ContainsFunc(user, func(c rune) bool { return c == utf8.RuneError || unicode.IsControl(c) }) {
		return "", refused("its user id has what is no character, or a control character")
	}
	return user, nil
}

// checkKind refuses a token that is not for signing in, or of another tenant's users,
// whose ids may be those of others here.
func (r rules) checkKind(all map[string]any) error {
	if _, ok := all["events"]; ok && r.events {
		return refused("it tells of an event, as a logout token does, and signs nobody in")
	}
	if !r.tenants {
		return nil
	}
	firebase, ok := all["firebase"].(map[string]any)
	if !ok && all["firebase"] != nil {
		return refused("one of its claims is not of the right type")
	}
	switch tenant := firebase["tenant"]; {
	case tenant == nil && r.tenant == "", r.tenant != "" && tenant == r.tenant:
		return nil
	case r.tenant == "":
		return refused("it is of a tenant: REPLIFIRE_FIREBASE_TENANT names the one whose tokens count")
	default:
		return refused("it is not of the tenant that REPLIFIRE_FIREBASE_TENANT names")
	}
}

// parseClaims parses a payload into all claims and those of known types. It fails
// for two members of one name at any depth.
func parseClaims(payload []byte) (map[string]any, claims, error) {
	if !utf8.Valid(payload) {
		return nil, claims{}, refused("its payload is not UTF-8")
	}
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
