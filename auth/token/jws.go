package token

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/replifire/replifire/auth"
)

// maxToken bounds an Authorization header's value, in bytes. Firebase's tokens
// have about 1 KiB, of which custom claims may be 1,000 bytes.
const maxToken = 16 << 10

// authenticate is what both authenticators do with a header.
func authenticate(
	ctx context.Context, authorization string,
	payload func(context.Context, string) ([]byte, error), r rules,
) (auth.Principal, error) {
	raw, err := bearer(authorization)
	if err != nil {
		return auth.Principal{}, err
	}
	claims, err := payload(ctx, raw)
	if err != nil {
		return auth.Principal{}, err
	}
	return r.principal(claims)
}

// bearer is the token of an Authorization header.
func bearer(authorization string) (string, error) {
	if len(authorization) > maxToken {
		return "", refused("it is longer than 16 KiB")
	}
	text := strings.TrimSpace(authorization)
	if scheme, rest, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
		text = strings.TrimSpace(rest)
	}
	if text == "" || strings.EqualFold(text, "Bearer") {
		return "", refused("there is none")
	}
	return text, nil
}

// signed takes tokens apart that are signed by one of the keys.
type signed struct {
	keys       *keys
	algorithms []jose.SignatureAlgorithm
}

// payload is the payload of a token whose signature is right.
func (s signed) payload(ctx context.Context, token string) ([]byte, error) {
	// The texts of the library's errors quote the token, so they are not passed on.
	jws, err := jose.ParseSignedCompact(token, s.algorithms)
	if err != nil {
		return nil, refused("it is not a JWS of an allowed algorithm")
	}
	header := jws.Signatures[0].Protected
	if err := checkType(header.ExtraHeaders[jose.HeaderType]); err != nil {
		return nil, err
	}
	if header.KeyID == "" {
		return nil, refused("it does not say which key signed it")
	}
	list, err := s.keys.find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	for _, key := range list {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		// Only the bare key: one with an id would make the library look at headers.
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, refused("its signature is wrong")
}

// otherTypes are types, in the header typ, of what issuers sign beside tokens that show
// who somebody is. An ID token has no type of its own.
var otherTypes = []string{"logout+jwt", "secevent+jwt", "token-introspection+jwt"}

// checkType refuses what is not meant to show who somebody is.
func checkType(typ any) error {
	name, ok := typ.(string)
	if typ != nil && !ok {
		return refused("its typ is not a text")
	}
	name = strings.ToLower(name)
	if slices.Contains(otherTypes, strings.TrimPrefix(name, "application/")) {
		return refused("its typ says that it signs nobody in")
	}
	return nil
}

// unsignedPayload is the payload of a token of the Auth emulator, which has an
// empty signature.
func unsignedPayload(_ context.Context, token string) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] != "" {
		return nil, refused("it is not an unsigned one of the emulator")
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return nil, refused("its header is not base64url")
	}
	var h struct {
		Algorithm string `json:"alg"`
		Type      any    `json:"typ"`
	}
	if json.Unmarshal(header, &h) != nil || h.Algorithm != "none" {
		return nil, refused("it is not an unsigned one of the emulator")
	}
	if err := checkType(h.Type); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, refused("its payload is not base64url")
	}
	return payload, nil
}
