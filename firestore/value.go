package firestore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
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

// encodeValue is the field and the content that keep raw, a value that
// protocol.CheckValue accepts. A native map, so that others can read its
// fields, if Firestore can hold the value exactly, and its JSON text if not.
// The order of an object's members is not kept: to JSON it means nothing.
func encodeValue(raw json.RawMessage) (field string, content any) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var parsed any
	if err := decoder.Decode(&parsed); err != nil {
		return fieldJSON, string(raw)
	}
	var n nativeMaker
	native, ok := n.value(parsed, place{})
	// A name that occurs twice in an object is in the text and not in the map.
	if !ok || n.size > maxNativeBytes || n.members != countMembers(raw) {
		return fieldJSON, string(raw)
	}
	return fieldValue, native
}

// countMembers is the number of members of all objects in a JSON text.
func countMembers(raw json.RawMessage) int {
	count, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			inString = !inString
		case '\\':
			i++ // It escapes one character that could be mistaken, if any.
		case ':':
			if !inString {
				count++
			}
		}
	}
	return count
}

// nativeMaker makes a native value of a parsed JSON text, in place. Its methods
// return false for what Firestore cannot hold, or would give back changed.
type nativeMaker struct {
	size    int // as Firestore counts (firebase.google.com/docs/firestore/storage-size)
	members int // of all maps
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
	n.members += len(fields)
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

// exactNumber is the native number that is written like token in JSON.
func exactNumber(token string) (any, bool) {
	i, err := strconv.ParseInt(token, 10, 64)
	if err == nil && strconv.FormatInt(i, 10) == token &&
		-maxExactInteger <= i && i <= maxExactInteger {
		return i, true
	}
	f, err := strconv.ParseFloat(token, 64)
	if err != nil || f == 0 { // -0 equals 0 to Firestore, and is written otherwise.
		return nil, false
	}
	text, err := json.Marshal(f)
	return f, err == nil && string(text) == token
}

// decodeValue undoes encodeValue. present says which of the fields there are.
func decodeValue(fields map[string]any) (json.RawMessage, error) {
	text, isText := fields[fieldJSON]
	native, isNative := fields[fieldValue]
	switch {
	case isText == isNative:
		return nil, fmt.Errorf("neither or both of %s and %s", fieldValue, fieldJSON)
	case isNative:
		return marshalNative(native)
	}
	s, ok := text.(string)
	if !ok || !json.Valid([]byte(s)) {
		return nil, fmt.Errorf("field %s is no JSON text", fieldJSON)
	}
	return json.RawMessage(s), nil
}

func marshalNative(native any) (json.RawMessage, error) {
	if err := checkNative(native); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // It would only make the text longer.
	if err := encoder.Encode(native); err != nil {
		return nil, fmt.Errorf("field %s: %w", fieldValue, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// checkNative refuses what JSON has no word for: it was not written by us.
func checkNative(v any) error {
	switch v := v.(type) {
	case nil, bool, string, int64:
		return nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("field %s holds %v", fieldValue, v)
		}
		return nil
	case []any:
		for _, element := range v {
			if err := checkNative(element); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		for _, value := range v {
			if err := checkNative(value); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("field %s holds a %T", fieldValue, v)
}
