package protocol

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxInteger is the largest integer that a JavaScript number counts to by one.
const maxInteger = 1<<53 - 1

// MaxCookieStringBytes bounds a cookie, or the order of one, that is a string. This
// server gives out strings only to answer one from another server, whose text it
// keeps (see Cookie.Reset).
const MaxCookieStringBytes = 1024

// Cookie is what a client shows to say which state it has (design: an object
// {"order", "version", "epoch", "commit", "group"}; clients compare only the order). The zero Cookie
// is that of a client which has no state: null.
type Cookie struct {
	// Raw is the cookie's JSON as it was sent; "null" at first.
	Raw json.RawMessage
	// Version and Epoch are of the state the cookie stands for; of a cookie of
	// ours only.
	Version int64
	Epoch   string
	// Commit is what At was given, "" if it was not called: it names the commit that made
	// Version.
	Commit string
	// Group is what Of was given, "" if it was not called. It is the server's own word
	// for the client group that the cookie was for.
	Group string
	// Ours: the cookie has the form this server gives out, so it can be diffed from.
	Ours bool
}

// ParseCookie reads a cookie of protocol version 1: null, a string, a number, or an
// object whose order is a string or a number. Anything else is a *DecodeError: a
// client cannot have it, as it would not have accepted it from a server
// (protocol.md §2.4). So is a string longer than MaxCookieStringBytes, and a number
// that leaves no room for a larger integer (2^53−1 and above).
//
// A cookie that is not ours is no error: the client has synced with another
// server, or with an earlier life of this one, and needs a full resync.
func ParseCookie(raw json.RawMessage) (Cookie, error) {
	c, problem := parseCookie(raw)
	if problem != nil {
		return Cookie{}, problem
	}
	return c, nil
}

func parseCookie(raw []byte) (Cookie, *DecodeError) {
	t, problem := readCookie(raw)
	if problem != nil {
		return Cookie{}, problem
	}
	at, problem := t.position()
	if problem != nil {
		return Cookie{}, problem
	}
	c := Cookie{Raw: raw}
	if !t.object || !at.ours || t.epoch.kind != kindString || t.epoch.lone ||
		t.version.kind != kindNumber {
		return c, nil
	}
	version, ok := t.version.integer()
	if !ok || version < 0 || version > maxInteger {
		return c, nil
	}
	c.Version, c.Epoch, c.Ours = version, t.epoch.string(), true
	c.Commit, c.Group = t.commit.word(), t.group.word()
	return c, nil
}

// At returns c with the name of the commit that made its version, which comes back with it;
// c itself if commit is "". It is for a new cookie, made by Next or Reset: clients compare
// cookies whole.
func (c Cookie) At(commit string) Cookie {
	c = c.with(`,"commit":`, commit)
	c.Commit = commit
	return c
}

// Of returns c with a word for the client group it is given to, which comes back with
// it; c itself if group is "". Like At it is for a new cookie. A client that starts afresh
// keeps its cookie, so a group's first pulls may show that of another one.
func (c Cookie) Of(group string) Cookie {
	c = c.with(`,"group":`, group)
	c.Group = group
	return c
}

// with is c with another member. Servers that do not know it leave it alone.
func (c Cookie) with(name, word string) Cookie {
	if word == "" || len(c.Raw) == 0 {
		return c
	}
	raw := make([]byte, 0, len(c.Raw)+len(name)+len(word)+len(`""`))
	raw = append(raw, c.Raw[:len(c.Raw)-1]...)
	c.Raw = append(appendString(append(raw, name...), word), '}')
	return c
}

// Next returns the cookie for version of the same epoch, to go with what has changed
// since c. Its order is as far above c's as its version; c itself is returned if the
// version is the same, since only an equal cookie says that nothing has changed.
//
// c MUST be Ours, of that epoch and not of a later version; anything else is an
// error of the caller. It fails with a *DecodeError when there is no room left
// above c.
func (c Cookie) Next(version int64, epoch string) (Cookie, error) {
	if !c.Ours || c.Epoch != epoch || c.Version > version {
		return Cookie{}, fmt.Errorf("cookie (version %d, epoch %q) has no successor of version %d, epoch %q",
			c.Version, c.Epoch, version, epoch)
	}
	if c.Version == version {
		return c, nil
	}
	at := c.position()
	at.n += version - c.Version
	return at.cookie(version, epoch)
}

// Reset returns a cookie for version and epoch to go with a full resync: clients
// take it for newer than c, whatever c is and whoever gave it. Where c's order is
// a number, or c is null, the order is a number, at least as large as the version;
// where it is a string, which compares with numbers as a string, it is that string
// followed by a slash and a counter of 16 digits. It fails with a *DecodeError when
// there is no room left above c.
func (c Cookie) Reset(version int64, epoch string) (Cookie, error) {
	at := c.position()
	at.n = max(at.n+1, version)
	return at.cookie(version, epoch)
}

// position is where c is in the order. What ParseCookie refuses is like null: only
// clients of protocol version 0 can have it, and they do not compare.
func (c Cookie) position() position {
	t, problem := readCookie(c.Raw)
	if problem != nil {
		return position{n: -1}
	}
	at, problem := t.position()
	if problem != nil {
		return position{n: -1}
	}
	return at
}

// cookieTokens are the members of a cookie; of one that is no object, its own value
// is the order.
type cookieTokens struct {
	object                bool
	order, version, epoch token
	commit, group         token
}

// word is the text of a member that only this server knows; "" for one that is none.
func (t *token) word() string {
	if t.kind != kindString || t.lone || t.repeated {
		return ""
	}
	return t.string()
}

func (t *cookieTokens) place(name []byte) *token {
	switch string(name) {
	case "order":
		return &t.order
	case "version":
		return &t.version
	case "epoch":
		return &t.epoch
	case "commit":
		return &t.commit
	case "group":
		return &t.group
	}
	return nil
}

// readCookie takes a cookie apart.
func readCookie(raw []byte) (*cookieTokens, *DecodeError) {
	s := newScanner(raw)
	var t cookieTokens
	if t.object = s.peek() == '{'; t.object {
		for name := range s.members() {
			t.place(name).set(s.value())
		}
	} else {
		t.order = s.value()
	}
	s.end()
	if s.err != nil {
		return nil, &DecodeError{Field: "cookie", Reason: s.err.Reason}
	}
	if t.order.repeated || t.version.repeated || t.epoch.repeated {
		return nil, &DecodeError{Field: "cookie", Reason: "has a member twice"}
	}
	return &t, nil
}

// position is a place in the order of cookies: a number n, or a text with n as a
// counter at its end. Null, and text without a counter, come just before n = 0.
type position struct {
	isText bool
	base   string
	n      int64
	// ours: this server gives out such orders.
	ours bool
}

// position finds the place of a cookie's order.
func (t *cookieTokens) position() (position, *DecodeError) {
	field := "cookie"
	if t.object {
		field = "cookie.order"
	}
	switch {
	case t.order.kind == kindNumber:
		return numberPosition(field, t.order.float())
	case t.order.kind == kindString:
		return textPosition(field, t.order.string())
	case t.order.kind == kindNull && !t.object:
		return position{n: -1}, nil
	case t.object:
		return position{}, &DecodeError{Field: field, Reason: "must be a string or a number"}
	}
	return position{}, &DecodeError{
		Field:  field,
		Reason: "must be null, a string, a number, or an object with an order",
	}
}

func numberPosition(field string, order float64) (position, *DecodeError) {
	if math.IsInf(order, 0) || order >= maxInteger {
		return position{}, noRoom(field)
	}
	n := int64(math.Floor(max(order, -1)))
	return position{n: n, ours: float64(n) == order && n >= 0}, nil
}

func textPosition(field, order string) (position, *DecodeError) {
	base, n, ours := cutCounter(order)
	if len(base) > MaxCookieStringBytes {
		return position{}, &DecodeError{
			Field:  field,
			Reason: fmt.Sprintf("must not be longer than %d bytes", MaxCookieStringBytes),
		}
	}
	return position{isText: true, base: base, n: n, ours: ours}, nil
}

func noRoom(field string) *DecodeError {
	return &DecodeError{Field: field, Reason: "must leave room for a larger integer below 2^53"}
}

// counterDigits is the length of a counter: all of them, so that counters compare as
// text like numbers.
const counterDigits = len("9007199254740991")

// cutCounter splits an order into what another server gave out and our counter.
func cutCounter(order string) (base string, n int64, ok bool) {
	slash := len(order) - counterDigits - 1
	if slash < 0 || order[slash] != '/' {
		return order, -1, false
	}
	digits := order[slash+1:]
	if strings.Trim(digits, "0123456789") != "" {
		return order, -1, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n >= maxInteger {
		return order, -1, false
	}
	return order[:slash], n, true
}

// cookie makes the cookie of ours that stands at p. It demands of it what
// ParseCookie will demand when it comes back.
func (p position) cookie(version int64, epoch string) (Cookie, error) {
	if version < 0 || version > maxInteger {
		return Cookie{}, fmt.Errorf("version %d is not from 0 to 2^53-1", version)
	}
	if p.n >= maxInteger {
		return Cookie{}, noRoom("cookie")
	}
	raw := append([]byte(nil), `{"order":`...)
	if p.isText {
		raw = appendString(raw, fmt.Sprintf("%s/%0*d", p.base, counterDigits, p.n))
	} else {
		raw = strconv.AppendInt(raw, p.n, 10)
	}
	raw = append(raw, `,"version":`...)
	raw = strconv.AppendInt(raw, version, 10)
	raw = append(raw, `,"epoch":`...)
	raw = appendString(raw, epoch)
	raw = append(raw, '}')
	return Cookie{Raw: raw, Version: version, Epoch: epoch, Ours: true}, nil
}
