package firestore

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The ids of spaces, clients and groups and the keys of entries come from
// clients. The SDK does not check them: Doc("a/b/c") is another document in
// another collection, and "", ".", "..", "__x__" and long ids fail at commit
// (reliability.md F5). This file makes document ids of them, and nothing else
// does. What is ordinary stays readable in the console:
//
//	message/3x7      message%2F3x7
//	100%             100%25
//	tab<TAB>         tab%09
//	.                %2E
//	..               %2E.
//	__name__         %5F_name__
//	(empty)          %
//	(long)           %h followed by the SHA-256 of the id in hex
//
// No two ids have the same document id:
//   - An escape sequence is % and two upper-case hex digits, and every % of the id
//     itself is escaped. So reading from left to right undoes the escaping.
//   - % alone at the end, and %h, are no escape sequences: they stand for the
//     empty id and for a hash and for nothing else.
//   - Two long ids with the same hash would be a collision of SHA-256.
//
// A hash cannot be undone, so every document holds its id in a field too, and a
// reader verifies that the one is made of the other.

// maxDocumentIDBytes is Firestore's limit (firestore.md §3.1).
const maxDocumentIDBytes = 1500

const hexDigits = "0123456789ABCDEF"

// escapeID is the document id for id: valid in Firestore, and of this id only.
func escapeID(id string) string {
	escaped := escape(id)
	if len(escaped) > maxDocumentIDBytes {
		sum := sha256.Sum256([]byte(id))
		return "%h" + hex.EncodeToString(sum[:])
	}
	return escaped
}

func escape(id string) string {
	if id == "" {
		return "%"
	}
	var b strings.Builder
	b.Grow(len(id))
	rest := id
	if reserved(id) {
		// One character more makes an ordinary id of it.
		escapeBytes(&b, id[:1])
		rest = id[1:]
	}
	for len(rest) > 0 {
		r, size := utf8.DecodeRuneInString(rest)
		if plain(r, size) {
			b.WriteString(rest[:size])
		} else {
			escapeBytes(&b, rest[:size])
		}
		rest = rest[size:]
	}
	return b.String()
}

// reserved reports whether Firestore refuses id although each of its characters
// is allowed.
func reserved(id string) bool {
	return id == "." || id == ".." ||
		strings.HasPrefix(id, "__") && strings.HasSuffix(id, "__")
}

// plain reports whether a character stays as it is. A byte that is no UTF-8
// does not: Firestore takes no other strings.
func plain(r rune, size int) bool {
	if r == utf8.RuneError && size == 1 {
		return false
	}
	return r != '/' && r != '%' && !unicode.IsControl(r)
}

func escapeBytes(b *strings.Builder, s string) {
	for i := range len(s) {
		b.WriteByte('%')
		b.WriteByte(hexDigits[s[i]>>4])
		b.WriteByte(hexDigits[s[i]&0xF])
	}
}

// unescapeID undoes escapeID; false where that cannot be done: the hash of a
// long id, or something escapeID does not make.
func unescapeID(documentID string) (string, bool) {
	id := ""
	if documentID != "%" {
		var ok bool
		if id, ok = unescape(documentID); !ok {
			return "", false
		}
	}
	// The same id may be written in other ways, such as %41 for A; only one is ours.
	return id, escapeID(id) == documentID
}

func unescape(s string) (string, bool) {
	var b strings.Builder
	for len(s) > 0 {
		if s[0] != '%' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		if len(s) < 3 {
			return "", false
		}
		decoded, err := hex.DecodeString(s[1:3])
		if err != nil {
			return "", false
		}
		b.Write(decoded)
		s = s[3:]
	}
	return b.String(), true
}
