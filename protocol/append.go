package protocol

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// AppendValue appends the canonical text of a value that is made of nil, bool, string,
// int64, float64, []any and map[string]any. It fails for what JSON has no word for. In a
// string, U+FFFD stands for what is not UTF-8.
func AppendValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return appendString(dst, v), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return dst, fmt.Errorf("JSON has no %v", v)
		}
		return append(dst, formatNumber(v)...), nil
	case []any:
		return appendArray(dst, v)
	case map[string]any:
		return appendObject(dst, v)
	}
	return dst, fmt.Errorf("JSON has no %T", v)
}

func appendArray(dst []byte, elements []any) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, v := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = AppendValue(dst, v); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendObject(dst []byte, members map[string]any) (_ []byte, err error) {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		if dst, err = AppendValue(dst, members[name]); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
