package firestore_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/replifire/replifire/firestore"
)

func TestEscapeID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, id, want string }{
		{"uuid", "f3f1b6ab-5be9-4d59-9dbb-6f4b2a3a5a3e", "f3f1b6ab-5be9-4d59-9dbb-6f4b2a3a5a3e"},
		{"key", "message/3x7", "message%2F3x7"},
		{"punctuation", "a-b_c.d~e:f@g h!$&'()*+,;=?#[]", "a-b_c.d~e:f@g h!$&'()*+,;=?#[]"},
		{"other scripts", "größe-大きさ-🔥", "größe-大きさ-🔥"},
		{"empty", "", "%"},
		{"percent", "%", "%25"},
		{"escape sequence", "%2F", "%252F"},
		{"hash", "%h00", "%25h00"},
		{"slash", "/", "%2F"},
		{"dot", ".", "%2E"},
		{"two dots", "..", "%2E."},
		{"three dots", "...", "..."},
		{"reserved", "__x__", "%5F_x__"},
		{"shortest reserved", "____", "%5F___"},
		{"one side only", "__proto", "__proto"},
		{"NUL", "a\x00b", "a%00b"},
		{"control characters", "\t\n\x7f\u0085", "%09%0A%7F%C2%85"},
		{"not UTF-8", "\xff\xc3(", "%FF%C3("},
		{"replacement character", "\uFFFD", "\uFFFD"},
		{"as long as can be", strings.Repeat("a", 1500), strings.Repeat("a", 1500)},
		{
			"longer", strings.Repeat("a", 1501),
			"%h6d5a15b9b8d5d3f1",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := firestore.EscapeID(tt.id)
			if tt.name == "longer" {
				if len(got) != len("%h")+64 || !strings.HasPrefix(got, "%h") {
					t.Errorf("EscapeID = %q, want %%h and 64 hex digits", got)
				}
				return
			}
			if got != tt.want {
				t.Errorf("EscapeID(%q) = %q, want %q", tt.id, got, tt.want)
			}
			if back, ok := firestore.UnescapeID(got); !ok || back != tt.id {
				t.Errorf("UnescapeID(%q) = %q, %v, want %q", got, back, ok, tt.id)
			}
		})
	}
}

func TestUnescapeIDRefuses(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"", ".", "..", "__x__", "a/b", "%2", "%zz", "a%", "%41", "%2f", "%5Fx",
		"%h" + strings.Repeat("0", 64), strings.Repeat("a", 1501), "a\x00",
	} {
		if got, ok := firestore.UnescapeID(id); ok {
			t.Errorf("UnescapeID(%q) = %q, want a refusal", id, got)
		}
	}
}

// hostile ids are made of the pieces that matter to the escaping.
func hostile() *rapid.Generator[string] {
	pieces := rapid.SampledFrom([]string{
		"", "%", "%h", "%2F", "/", ".", "..", "_", "__", "a", "2F", "\x00", "\xff", "é", "🔥",
		"\uFFFD", "5F", "2E", strings.Repeat("x", 749), strings.Repeat("%", 501),
	})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(pieces, 0, 6).Draw(t, "pieces"), "")
	})
}

func TestEscapeIDIsInjective(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.OneOf(hostile(), rapid.String())
		a, b := ids.Draw(t, "a"), ids.Draw(t, "b")
		checkID(t, a)
		if a != b && firestore.EscapeID(a) == firestore.EscapeID(b) {
			t.Fatalf("%q and %q are both %q", a, b, firestore.EscapeID(a))
		}
	})
}

func FuzzEscapeID(f *testing.F) {
	for _, id := range []string{"", "a/b", "%", "..", "__x__", "\xff", strings.Repeat("%", 501)} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) { checkID(t, id) })
}

var reservedID = regexp.MustCompile(`(?s)^(\.|\.\.|__.*__)$`)

// checkID checks an escaped id against what Firestore says of document ids, and
// that it leads back.
func checkID(t interface{ Errorf(string, ...any) }, id string) {
	escaped := firestore.EscapeID(id)
	if escaped == "" || len(escaped) > 1500 || !utf8.ValidString(escaped) ||
		strings.ContainsAny(escaped, "/\x00") || reservedID.MatchString(escaped) {
		t.Errorf("EscapeID(%q) = %q is no document id", id, escaped)
	}
	if strings.HasPrefix(escaped, "%h") {
		return
	}
	if got, ok := firestore.UnescapeID(escaped); !ok || got != id {
		t.Errorf("UnescapeID(EscapeID(%q)) = %q, %v", id, got, ok)
	}
}
