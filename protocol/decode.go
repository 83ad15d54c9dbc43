package protocol

import (
	"fmt"
	"strconv"
)

// path names a field in a DecodeError.
type path struct {
	// mutation is the index of the mutation the field is in, topLevel outside.
	mutation int
	name     string
}

const topLevel = -1

func (p path) String() string {
	if p.mutation == topLevel {
		return p.name
	}
	element := "mutations[" + strconv.Itoa(p.mutation) + "]"
	if p.name == "" {
		return element
	}
	return element + "." + p.name
}

// fields turns tokens into values and keeps the first thing it finds wrong with
// them. It is kept and not returned at once, since nothing but the syntax may be
// complained about as long as the version is not known.
type fields struct {
	problem *DecodeError
	// seen are the ids and names made last, maxSeen at the most: a push repeats a few of
	// them in each mutation.
	seen map[string]string
}

const maxSeen = 1000

func (f *fields) fail(at path, format string, args ...any) {
	if f.problem == nil {
		f.problem = &DecodeError{Field: at.String(), Reason: fmt.Sprintf(format, args...)}
	}
}

// present demands a value, and only one.
func (f *fields) present(at path, t token) bool {
	switch {
	case t.kind == kindMissing:
		f.fail(at, "is missing")
	case t.repeated:
		f.fail(at, "appears twice")
	default:
		return true
	}
	return false
}

// require demands a value of kind k, whose name is what.
func (f *fields) require(at path, t token, k kind, what string) bool {
	if !f.present(at, t) {
		return false
	}
	switch {
	case t.kind != k:
		f.fail(at, "must be %s", what)
	case t.long:
		f.fail(at, "must not be longer than %d bytes", shortValue)
	default:
		return true
	}
	return false
}

// id demands a non-empty id.
func (f *fields) id(at path, t token) string {
	id := f.idOrEmpty(at, t)
	if id == "" {
		f.fail(at, "must not be empty") // not the first problem if it is no string
	}
	return id
}

// idOrEmpty demands a string that can be kept as an id.
func (f *fields) idOrEmpty(at path, t token) string {
	if !f.require(at, t, kindString, "a string") {
		return ""
	}
	if t.lone {
		f.fail(at, "must not contain half of a surrogate pair")
		return ""
	}
	id := f.intern(t.content())
	if len(id) > MaxIDBytes {
		f.fail(at, "must not be longer than %d bytes", MaxIDBytes)
	}
	return id
}

// profile demands a profileID, which a request of version 0 may lack.
func (f *fields) profile(v int, t token) string {
	if v == 0 && t.kind == kindMissing {
		return ""
	}
	return f.idOrEmpty(path{topLevel, "profileID"}, t)
}

// intern returns b as a string, the same for the same b.
func (f *fields) intern(b []byte) string {
	if s, ok := f.seen[string(b)]; ok {
		return s
	}
	if f.seen == nil || len(f.seen) == maxSeen {
		f.seen = make(map[string]string)
	}
	s := string(b)
	f.seen[s] = s
	return s
}

// text demands a string of any kind.
func (f *fields) text(at path, t token) string {
	if !f.require(at, t, kindString, "a string") {
		return ""
	}
	return t.string()
}

// integer demands an integer of at least least and at most MaxMutationID.
func (f *fields) integer(at path, t token, least int64) int64 {
	if !f.require(at, t, kindNumber, "a number") {
		return 0
	}
	n, ok := t.integer()
	if !ok || n < least || n > MaxMutationID {
		f.fail(at, "must be an integer from %d to %d", least, int64(MaxMutationID))
	}
	return n
}

// version demands an integer and finds out whether it is a version of the protocol
// that is spoken here; unknown is the answer if not. Any other field may have
// changed with the version, so nothing else may be asked for before.
func version(field string, t token, unknown VersionType) (int, error) {
	var f fields
	at := path{topLevel, field}
	if !f.require(at, t, kindNumber, "a number") {
		return 0, f.problem
	}
	n, ok := t.integer()
	if !ok {
		f.fail(at, "must be an integer")
		return 0, f.problem
	}
	if n != 0 && n != 1 {
		return 0, VersionNotSupported(unknown)
	}
	return int(n), nil
}
