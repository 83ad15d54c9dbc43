package mutate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/replifire/replifire/protocol"
)

// Limits of what a space can hold, the same for every store. What breaks one is
// an error of Set, which makes a rejection of the mutation.
const (
	// MaxKeyBytes bounds a key: Firestore takes no longer value in a query than
	// about 1,500 bytes, and the bound of a range can be longer than its key.
	MaxKeyBytes = 1024
	// MaxValueBytes bounds the canonical text of a value: a Firestore document holds
	// 1 MiB with its names (firestore.md §3.1).
	MaxValueBytes = 1_000_000
)

// CheckKey says why a key can never have a value, nil if it can.
func CheckKey(key string) error {
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("key is longer than %d bytes", MaxKeyBytes)
	}
	if !utf8.ValidString(key) {
		return errors.New("key is not valid UTF-8")
	}
	return nil
}

// EncodeValue makes the canonical JSON (protocol.Canonical) of a value that a space can
// hold; the error says why it cannot.
func EncodeValue(v any) (json.RawMessage, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("value is not JSON: %w", err)
	}
	raw, err := protocol.Canonical(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxValueBytes {
		return nil, fmt.Errorf("value is larger than %d bytes", MaxValueBytes)
	}
	return raw, nil
}
