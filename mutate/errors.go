package mutate

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode/utf8"
)

// maxReasonBytes bounds what a client is told of a rejection.
const maxReasonBytes = 200

// retryError marks an error as temporary.
type retryError struct{ err error }

func (e *retryError) Error() string { return "try again later: " + e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// Retry says that err will pass: the mutation is not acknowledged and is tried
// again, within the push's time and then when the client sends it again. Until it
// succeeds, no later mutation of the client can; so use it only for what will
// surely pass, such as a dependency that is down. Retry(nil) is nil.
func Retry(err error) error {
	if err == nil {
		return nil
	}
	return &retryError{err: err}
}

// IsRetry reports whether err, or what it wraps, was made by Retry.
func IsRetry(err error) bool {
	_, ok := errors.AsType[*retryError](err)
	return ok
}

// decodeError says which part of a JSON text does not decode, and not what it held:
// the error goes to the client and into the log. What encoding/json said is wrapped.
type decodeError struct{ err error }

func (e *decodeError) Error() string {
	t, ok := errors.AsType[*json.UnmarshalTypeError](e.err)
	if !ok {
		return "JSON does not decode"
	}
	kind, _, _ := strings.Cut(t.Value, " ") // of a number, the digits follow
	reason := "JSON " + kind + " does not fit"
	if t.Field != "" {
		reason = t.Field + ": " + reason
	}
	return reason
}

func (e *decodeError) Unwrap() error { return e.err }

// PanicError is a mutator's panic: a rejection for its client, a bug for the
// operator, who finds the stack in the log.
type PanicError struct {
	// Value is what the mutator panicked with.
	Value any
	// Stack is the text of debug.Stack at that place.
	Stack []byte
}

// Error is for the operator: the value may hold anything.
func (e *PanicError) Error() string { return fmt.Sprintf("mutator panicked: %v", e.Value) }

// Protect calls fn and turns a panic of its into a *PanicError. Whatever else it
// returns can be printed and unwrapped without a panic, which an error that is a
// nil pointer in an interface could not.
func Protect(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	if err = fn(); err != nil {
		_, _ = err.Error(), IsRetry(err)
	}
	return err
}

// Reason is what a client is told of a mutation rejected with err: the error's
// text, at most 200 bytes of it, and nothing of a panic. It is stored and logged,
// so an error of a mutator must hold no secrets and no user content.
func Reason(err error) string {
	if _, ok := errors.AsType[*PanicError](err); ok {
		return "internal error in the mutator"
	}
	return Truncate(err.Error(), maxReasonBytes)
}

// Truncate makes s valid UTF-8 and cuts it to at most n bytes, never in the
// middle of a rune.
func Truncate(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
