package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
)

// MaxDepth bounds how deeply the arguments of a mutation and the values of entries
// may be nested: 0 is a scalar, 1 is [] or {"a":1}. Documents of rich-text editors,
// the deepest that apps keep, have some dozens of levels.
const MaxDepth = 100

// CheckValue reports why raw cannot be the value of an entry, nil if it can: it must
// be one JSON value and nothing else, in UTF-8, without any half of a surrogate
// pair (such text has no UTF-8 form and would come back changed), and nested no
// deeper than MaxDepth. It takes time linear in raw and allocates nothing unless
// it fails. How large a value may be is for stores to say.
func CheckValue(raw json.RawMessage) error {
	var s scanner // on the stack
	s.start(raw)
	v := s.value()
	s.end()
	switch {
	case s.err != nil:
		return fmt.Errorf("value %s", s.err.Reason)
	case v.depth > MaxDepth:
		return fmt.Errorf("value is nested deeper than %d", MaxDepth)
	case v.lone:
		return errors.New("value contains half of a surrogate pair")
	}
	return nil
}

// Depth is how deeply a value that CheckValue accepts is nested: 0 is a scalar, 1 is
// [] or {"a":1}. It takes time linear in raw and allocates nothing.
func Depth(raw json.RawMessage) int {
	var s scanner // on the stack
	s.start(raw)
	return s.value().depth
}
