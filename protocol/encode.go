package protocol

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"unicode/utf8"
)

const (
	// encodeBuffer is how many bytes of a response are gathered before they are written.
	encodeBuffer = 16 << 10
	// maxKept is about how many bytes of rejections are kept until their turn comes.
	maxKept = 64 << 10
)

// Encode writes the response as JSON to w, in pieces and while it reads the clients and the
// patch: memory grows with neither. It returns their error or w's. What
// was written before an error is never a complete JSON text, so no client takes it
// for an answer; and as long as the response is smaller than 16 KiB nothing is
// written, so that an early error can still be answered as one.
//
// Cookie and values are written as they are and MUST be valid JSON (see
// CheckValue). Equal responses are written as equal bytes.
func (r *PullResponse) Encode(w io.Writer) error {
	e := encoder{w: w, buf: make([]byte, 0, 512)}
	if err := e.response(r); err != nil {
		return err
	}
	e.flush()
	return e.err
}

// encoder gathers JSON text and writes it. Its first error stops the writing; whoever
// gives it much to write looks at err from time to time. Without w it gathers all.
type encoder struct {
	w       io.Writer
	buf     []byte
	written int64
	err     error
}

func (e *encoder) response(r *PullResponse) error {
	if len(r.Cookie) == 0 {
		return errors.New("pull response has no cookie")
	}
	e.text(`{"cookie":`)
	e.verbatim(r.Cookie)
	if r.Version == 0 {
		e.text(`,"lastMutationID":`)
		e.integer(r.LastMutationID)
	}
	if err := e.clients(r); err != nil {
		return err
	}
	e.text(`,"patch":[`)
	r.BeforePatch = e.written + int64(len(e.buf))
	if err := e.operations(r); err != nil {
		return err
	}
	e.text(`]}`)
	return nil
}

// clients writes what has changed of the group's clients. Version 0 has no
// lastMutationIDChanges.
func (e *encoder) clients(r *PullResponse) error {
	if r.Version != 0 {
		e.text(`,"lastMutationIDChanges":{`)
	}
	if r.Clients == nil {
		if r.Version != 0 {
			e.text("}")
		}
		return nil
	}
	c := clients{encoder: e}
	if r.Version != 0 {
		r.Clients(c.acknowledge)
		e.text("}")
		e.verbatim(c.later.buf)
	}
	if c.err == nil && (r.Version == 0 || c.kept < c.read) {
		c.read = 0
		r.Clients(c.reject)
	}
	if c.told > 0 {
		e.text("}")
	}
	return c.err
}

// clients writes two objects from one sequence: the lastMutationIDChanges while it reads, and
// the rejections, which it keeps meanwhile. If these are too many to be kept, the sequence is
// read again for the rest of them.
type clients struct {
	*encoder

	read  int     // clients of the sequence
	later encoder // keeps the rejections of the first of them
	kept  int     // how many these are
	told  int     // how many clients have rejections
	err   error   // of the sequence, or of who is written to
}

// acknowledge writes the lastMutationID of the next client, and keeps its rejections.
func (c *clients) acknowledge(change ClientChange, err error) bool {
	if !c.goesOn(err) {
		return false
	}
	c.comma(c.read)
	c.string(string(change.ID))
	c.text(":")
	c.integer(change.LastMutationID)
	if c.read++; len(c.later.buf) < maxKept {
		c.rejections(&c.later, change)
		c.kept = c.read
	}
	return true
}

// reject writes the rejections of the next client, if they were not kept.
func (c *clients) reject(change ClientChange, err error) bool {
	if !c.goesOn(err) {
		return false
	}
	if c.read++; c.read > c.kept {
		c.rejections(c.encoder, change)
	}
	return true
}

func (c *clients) goesOn(err error) bool {
	if c.err = c.encoder.err; err != nil {
		c.err = fmt.Errorf("read clients: %w", err)
	}
	return c.err == nil
}

// rejections writes those of a client, behind those of the clients before.
func (c *clients) rejections(e *encoder, change ClientChange) {
	if len(change.Rejections) == 0 {
		return
	}
	if c.told == 0 {
		e.text(`,"rejections":{`)
	}
	e.comma(c.told)
	c.told++
	e.string(string(change.ID))
	e.text(":[")
	for i, r := range change.Rejections {
		e.comma(i)
		e.text(`{"id":`)
		e.integer(r.ID)
		e.text(`,"name":`)
		e.string(r.Name)
		e.text(`,"reason":`)
		e.string(r.Reason)
		e.text("}")
	}
	e.text("]")
}

// operations writes those that are encoded already, or encodes them.
func (e *encoder) operations(r *PullResponse) error {
	if r.Encoded == nil {
		return e.patch(r.Patch)
	}
	i := 0
	for text := range r.Encoded {
		e.comma(i)
		i++
		e.verbatim(text)
		if e.err != nil {
			return e.err // nobody reads any more
		}
	}
	return nil
}

func (e *encoder) patch(operations iter.Seq2[PatchOperation, error]) error {
	if operations == nil {
		return nil
	}
	i := 0
	for op, err := range operations {
		if err != nil {
			return fmt.Errorf("read patch: %w", err)
		}
		e.comma(i)
		i++
		if err := e.operation(op); err != nil {
			return err
		}
		if e.err != nil {
			return e.err // nobody reads any more
		}
	}
	return nil
}

func (e *encoder) operation(op PatchOperation) error {
	switch op.Op {
	case OpPut:
		if len(op.Value) == 0 {
			return errors.New("put in patch has no value")
		}
		e.text(`{"op":"put","key":`)
		e.string(op.Key)
		e.text(`,"value":`)
		e.verbatim(op.Value)
		e.text("}")
	case OpDel:
		e.text(`{"op":"del","key":`)
		e.string(op.Key)
		e.text("}")
	case OpClear:
		e.text(`{"op":"clear"}`)
	default:
		return fmt.Errorf("patch has unknown operation %q", op.Op)
	}
	return nil
}

// comma separates an element of index i from the one before it. It is where the
// buffer is emptied too, which is thus not much larger than its threshold.
func (e *encoder) comma(i int) {
	if i > 0 {
		e.text(",")
	}
	if len(e.buf) >= encodeBuffer && e.w != nil {
		e.flush()
	}
}

func (e *encoder) flush() {
	e.write(e.buf)
	e.buf = e.buf[:0]
}

func (e *encoder) write(text []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(text)
	}
	e.written += int64(len(text))
}

func (e *encoder) text(s string)   { e.buf = append(e.buf, s...) }
func (e *encoder) integer(n int64) { e.buf = strconv.AppendInt(e.buf, n, 10) }
func (e *encoder) string(s string) { e.buf = appendString(e.buf, s) }

// verbatim writes JSON as it is; what is large is not copied.
func (e *encoder) verbatim(raw []byte) {
	if len(raw) < encodeBuffer {
		e.buf = append(e.buf, raw...)
		return
	}
	e.flush()
	e.write(raw)
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		plain := plainPrefix(s)
		dst = append(dst, s[:plain]...)
		s = s[plain:]
		if len(s) > 0 {
			dst = appendEscaped(dst, s[0])
			s = s[1:]
		}
	}
	return append(dst, '"')
}

// plainPrefix is how many bytes of s need no escape.
func plainPrefix(s string) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c < ' ' || c == '"' || c == '\\' {
			return i
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
				return i
			}
		}
		i += size
	}
	return len(s)
}

// appendEscaped appends a byte that cannot stand in a string as it is.
func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if c >= utf8.RuneSelf {
		return append(dst, `\ufffd`...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
