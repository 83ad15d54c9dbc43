package tokentest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"
)

// Claims are those of a valid token of a user of Project, signed in a minute
// before now and valid for an hour.
func Claims(user string, now time.Time) map[string]any {
	signedIn := now.Add(-time.Minute).Unix()
	return map[string]any{
		"iss":       Issuer,
		"aud":       Project,
		"sub":       user,
		"user_id":   user,
		"auth_time": signedIn,
		"iat":       signedIn,
		"exp":       now.Add(time.Hour).Unix(),
		"firebase":  map[string]any{"sign_in_provider": "password"},
	}
}

// With is a copy of members with one changed, or left out where the value is nil.
func With(members map[string]any, name string, value any) map[string]any {
	c := maps.Clone(members)
	c[name] = value
	if value == nil {
		delete(c, name)
	}
	return c
}

// Token is a valid token of a user: what a signed-in browser sends.
func (s *Server) Token(user string, now time.Time) string {
	return s.Mint(nil, Claims(user, now))
}

// Header is the header of a token that is signed with the current key.
func (s *Server) Header() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]any{"alg": "RS256", "typ": "JWT", "kid": KeyID(s.key)}
}

// Mint signs claims by RS256 with the current key. The header's members change
// those of Header; one that is nil leaves a member out.
func (s *Server) Mint(header, claims map[string]any) string {
	s.mu.Lock()
	i := s.key
	s.mu.Unlock()
	return s.mint(i, header, claims)
}

// MintByStranger is Mint with a key that the server does not publish, under the
// id of the one that it does.
func (s *Server) MintByStranger(header, claims map[string]any) string {
	return s.mint(stranger, header, claims)
}

func (s *Server) mint(i int, header, claims map[string]any) string {
	h := s.Header()
	for name, value := range header {
		h = With(h, name, value)
	}
	return signRS256(key(i), encode(h), encode(claims))
}

// MintRaw signs the bytes of a header and a payload, whatever they are.
func (s *Server) MintRaw(header, payload string) string {
	s.mu.Lock()
	i := s.key
	s.mu.Unlock()
	return signRS256(key(i), []byte(header), []byte(payload))
}

// Unsigned is a token with alg "none" and no signature, as the Firebase Auth
// emulator makes.
func Unsigned(claims map[string]any) string {
	return segment([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + segment(encode(claims)) + "."
}

func signRS256(k *rsa.PrivateKey, header, payload []byte) string {
	input := segment(header) + "." + segment(payload)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // cannot be: the key is long enough
	}
	return input + "." + segment(signature)
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encode(members map[string]any) []byte {
	b, err := json.Marshal(members)
	if err != nil {
		panic(err) // a test's mistake: no JSON
	}
	return b
}
