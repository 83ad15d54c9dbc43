package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/token"
	"github.com/replifire/replifire/internal/tokentest"
)

// FuzzParseToken sends anything as a token. No text is one that is signed, but for
// the valid seeds, which are alice's. By the emulator's rules anybody may make
// tokens: there it must not panic, and keep to the limits of a user's id.
func FuzzParseToken(f *testing.F) {
	s := tokentest.Start(f)
	signed := newFirebase(f, s, token.FirebaseConfig{})
	unsigned := newFirebase(f, s, token.FirebaseConfig{Emulator: true})
	now := time.Now()
	f.Add(s.Token("alice", now))
	f.Add("Bearer " + tokentest.Unsigned(tokentest.Claims("bob", now)))
	for _, tc := range s.Bad("mallory", now) {
		f.Add(tc.Token)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		p, err := signed.Authenticate(t.Context(), authorization)
		if err == nil && p.UserID != "alice" {
			t.Errorf("a token of nobody's was accepted: %+v", p)
		}
		if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("Authenticate = %v, want ErrUnauthenticated", err)
		}
		p, err = unsigned.Authenticate(t.Context(), authorization)
		odd := func(r rune) bool { return r == '\ufffd' || unicode.IsControl(r) }
		if err == nil && (p.UserID == "" || len([]rune(p.UserID)) > token.MaxUserID ||
			strings.ContainsFunc(p.UserID, odd)) {
			t.Errorf("user id %q was accepted", p.UserID)
		}
		if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("emulator: Authenticate = %v, want ErrUnauthenticated", err)
		}
	})
}
