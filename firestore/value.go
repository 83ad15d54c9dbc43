package firestore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/replifire/replifire/protocol"
)

const (
	// maxNativeDepth bounds the nesting of a native value. Firestore's limit is 20
	// for the whole document (firestore.md §3.1).
	maxNativeDepth = 16
	// maxNativeBytes bounds the estimated size of a native value. A document holds
	// 1,048,576 bytes; the rest is for its name, its key and the other fields.
	maxNativeBytes = 1_000_000
	// maxPathBytes bounds the names of the fields that lead to a value, together.
	// Firestore's limit for a name is 1,500 bytes (firestore.md §3.1); the
	// emulator has it for the whole path, in which a name may be quoted and up to
	// twice as long.
	maxPathBytes = 700
	// maxExactInteger is the largest integer of a JSON number that every reader
	// takes for the same number.
	maxExactInteger = 1 << 53
	// mapBytes is what Firestore counts for a map besides its contents.
	mapBytes = 32
)

// encodeValue is the field and the content that keep raw, the canonical text of a value
// (protocol.Canonical). A native map, so that others can read its fields, if Firestore
// can hold the value exactly, and its text if not. In a map the members have no order;
// the text says the one that they are given when they are read.
func encodeValue(raw json.RawMessage) (field string, content any) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var parsed any
	if err := decoder.Decode(&parsed); err != nil {
		return fieldJSON, string(raw)
	}
	var n nativeMaker
	native, ok := n.value(parsed, place{})
	if !ok || n.size > maxNativeBytes {
		return fieldJSON, string(raw)
	}
	return fieldValue, native
}

// nativeMaker makes a native value of a parsed JSON text, in place. Its methods
// return false for what Firestore cannot hold, or would give back changed.
type nativeMaker struct {
	size int // as Firestore counts (firebase.google.com/docs/firestore/storage-size)
}

// place is where a value is in the whole.
type place struct {
	depth   int  // how many maps and arrays it is in
	path    int  // bytes of the names that lead to it
	inArray bool // whether the innermost of them is an array
}

func (n *nativeMaker) value(v any, at place) (any, bool) {
	switch v := v.(type) {
	case string:
		n.size += len(v) + 1
		return v, true
	case json.Number:
		n.size += 8
		return exactNumber(v.String())
	case map[string]any:
		at.depth, at.inArray = at.depth+1, false
		return v, at.depth <= maxNativeDepth && n.object(v, at)
	case []any:
		if at.inArray {
			return nil, false // Firestore has no arrays in arrays.
		}
		at.depth, at.inArray = at.depth+1, true
		return v, at.depth <= maxNativeDepth && n.array(v, at)
	default: // true, false, null
		n.size++
		return v, true
	}
}

func (n *nativeMaker) object(fields map[string]any, at place) bool {
	n.size += mapBytes
	for name, v := range fields {
		inner := at
		inner.path += len(name)
		if inner.path > maxPathBytes || !storableName(name) {
			return false
		}
		native, ok := n.value(v, inner)
		if !ok {
			return false
		}
		n.size += len(name) + 1
		fields[name] = native
	}
	return true
}

func (n *nativeMaker) array(elements []any, at place) bool {
	for i, v := range elements {
		native, ok := n.value(v, at)
		if !ok {
			return false
		}
		elements[i] = native
	}
	return true
}

// storableName reports whether a member of an object can be a field of a map.
func storableName(name string) bool {
	reserved := strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__")
	return name != "" && !reserved
}

// exactNumber is the native number whose canonical text is token.
func exactNumber(token string) (any, bool) {
	i, err := strconv.ParseInt(token, 10, 64)
	if err == nil && -maxExactInteger <= i && i <= maxExactInteger {
		return i, true
	}
	f, err := strconv.ParseFloat(token, 64)
	if err != nil {
		return nil, false
	}
	text, err := protocol.AppendValue(nil, f)
	return f, err == nil && string(text) == token
}

// decodeValue undoes encodeValue. Whoever wrote the document, the value has its canonical
// text: replifire has stored other texts before it had that one, and others write maps.
func decodeValue(fields map[string]any) (json.RawMessage, error) {
	text, isText := fields[fieldJSON]
	native, isNative := fields[fieldValue]
	if isText == isNative {
		return nil, fmt.Errorf("neither or both of %s and %s", fieldValue, fieldJSON)
	}
	if isNative {
		value, err := protocol.AppendValue(nil, native)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", fieldValue, err)
		}
		return value, nil
	}
	s, _ := text.(string)
	value, err := protocol.Canonical(json.RawMessage(s))
	switch {
	case err == nil:
		return value, nil
	case json.Valid([]byte(s)):
		return json.RawMessage(s), nil // fsck says what is wrong with it
	}
	return nil, fmt.Errorf("field %s is no JSON text", fieldJSON)
}
