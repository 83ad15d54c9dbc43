package handlers

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// trace names the trace that a request is part of, in the form of Cloud Logging;
// zero if there is none.
type trace struct {
	id      string // 32 hex digits
	span    string // 16 hex digits, or ""
	sampled bool
}

// traceOf reads the header of the W3C, or Google's own. Either may come from
// anybody, so what is not well-formed is ignored.
func traceOf(h http.Header) trace {
	if t, ok := parseTraceparent(h.Get("Traceparent")); ok {
		return t
	}
	t, _ := parseCloudTrace(h.Get("X-Cloud-Trace-Context"))
	return t
}

// parseTraceparent reads "00-<trace>-<span>-<flags>".
func parseTraceparent(s string) (trace, bool) {
	parts := strings.Split(s, "-")
	if len(parts) < 4 || !isHex(parts[0], 2) || !isHex(parts[1], 32) || !isHex(parts[2], 16) || !isHex(parts[3], 2) {
		return trace{}, false
	}
	flags, err := strconv.ParseUint(parts[3], 16, 8)
	return trace{id: parts[1], span: parts[2], sampled: flags&1 == 1}, err == nil
}

// parseCloudTrace reads "<trace>/<span>;o=<flags>", with a decimal span; span and
// flags may be missing.
func parseCloudTrace(s string) (trace, bool) {
	s, options, _ := strings.Cut(s, ";")
	id, span, _ := strings.Cut(s, "/")
	if !isHex(id, 32) {
		return trace{}, false
	}
	t := trace{id: strings.ToLower(id), sampled: options == "o=1"}
	if n, err := strconv.ParseUint(span, 10, 64); err == nil {
		t.span = fmt.Sprintf("%016x", n)
	}
	return t, true
}

// isHex reports whether s is n hex digits and not all zeros, unless it is as short
// as a flag.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil && (n == 2 || strings.Trim(s, "0") != "")
}
