package ticket

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	// MinKey is how many bytes a key must have: as many as its MACs.
	MinKey = 32
	// MaxKeys bounds the keys at one time. A rotation needs two.
	MaxKeys = 8
)

var (
	errNoKeys    = errors.New("there is no ticket key")
	errNotBase64 = errors.New("the key is not base64")
)

// RandomKey is a new key. Tickets that are signed with it are good on this
// instance only.
func RandomKey() []byte {
	key := make([]byte, MinKey)
	_, _ = rand.Read(key) // never fails
	return key
}

// ParseKeys reads keys from a setting or a file: base64, one a line or with commas
// between them. Empty lines and what follows a # are left out. Errors name the
// line and never quote it.
func ParseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		for field := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
			key, err := decodeKey(field)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			keys = append(keys, key)
		}
	}
	return newKeyring(keys)
}

// decodeKey accepts both alphabets of base64, with or without padding.
func decodeKey(text string) ([]byte, error) {
	text = strings.TrimRight(text, "=")
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errNotBase64 // the library's error says where, which is too much
	}
	if len(key) < MinKey {
		return nil, fmt.Errorf("the key has %d bytes, and needs %d", len(key), MinKey)
	}
	return key, nil
}

// newKeyring checks and copies keys.
func newKeyring(keys [][]byte) (keyring, error) {
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	if len(keys) > MaxKeys {
		return nil, fmt.Errorf("there are %d ticket keys, more than %d", len(keys), MaxKeys)
	}
	var ring keyring
	for i, key := range keys {
		if len(key) < MinKey {
			return nil, fmt.Errorf("ticket key %d has %d bytes, and needs %d", i+1, len(key), MinKey)
		}
		ring = append(ring, bytes.Clone(key))
	}
	return ring, nil
}
