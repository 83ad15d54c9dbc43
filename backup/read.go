package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

const (
	// noKey is no key, since it is no UTF-8: what an entry line without one leaves, for
	// the empty text is a key.
	noKey = "\xff"
	// maxAhead is how far the clocks of those who wrote may have been ahead of the one here.
	maxAhead = 24 * time.Hour
)

// Verify reads a backup to its end and says what is in it. It fails with ErrInvalid
// unless the file is whole and unchanged, and each line of it can be stored; with
// r's errors otherwise. It reads line by line: memory holds the ids of groups and
// clients only.
func Verify(r io.Reader) (Summary, error) { return verify(r, func(record) {}) }

// verify is Verify that shows each record.
func verify(r io.Reader, each func(record)) (Summary, error) {
	o := order{groups: map[protocol.ClientGroupID]bool{}, clients: map[protocol.ClientID]bool{}}
	lines := newReader(r)
	for {
		rec, err := lines.next()
		if errors.Is(err, io.EOF) {
			return lines.summary, nil
		}
		if err != nil {
			return Summary{}, err
		}
		if err := o.add(rec); err != nil {
			return Summary{}, lines.invalid("%v", err)
		}
		each(rec)
	}
}

// order is what the lines before say of the next one: a store takes no document twice
// in a commit, and no client without its group.
type order struct {
	groups  map[protocol.ClientGroupID]bool
	clients map[protocol.ClientID]bool
	entries bool // have begun
	lastKey string
}

func (o *order) add(rec record) error {
	if rec.kind != kindEntry && o.entries {
		return fmt.Errorf("a %s behind an entry", rec.kind)
	}
	switch rec.kind {
	case kindGroup:
		if o.groups[rec.group.ID] {
			return fmt.Errorf("client group %q is there twice", rec.group.ID)
		}
		o.groups[rec.group.ID] = true
	case kindClient:
		if !o.groups[rec.client.Group] {
			return fmt.Errorf("client %q is not behind its group", rec.client.ID)
		}
		if o.clients[rec.client.ID] {
			return fmt.Errorf("client %q is there twice", rec.client.ID)
		}
		o.clients[rec.client.ID] = true
	default:
		if o.entries && rec.entry.Key <= o.lastKey {
			return fmt.Errorf("key %.80q is not behind the one before", rec.entry.Key)
		}
		o.entries, o.lastKey = true, rec.entry.Key
	}
	return nil
}

// stoppable is a reader that fails when ctx has ended: a large backup takes minutes.
type stoppable struct {
	ctx context.Context //nolint:containedctx // of this one reading
	io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// record is one line between the first and the last.
type record struct {
	kind   kind
	group  groupLine
	client clientLine
	entry  entryLine
}

// reader reads the lines of a backup and checks each.
type reader struct {
	in      *bufio.Reader
	hash    hash.Hash
	line    int
	summary Summary // of what was read; whole after io.EOF
	over    bool
}

func newReader(r io.Reader) *reader {
	return &reader{in: bufio.NewReaderSize(r, maxLine), hash: sha256.New()}
}

func (r *reader) invalid(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrInvalid, r.line, fmt.Sprintf(format, args...))
}

// next is the next record, io.EOF behind the last one of a whole backup.
func (r *reader) next() (record, error) {
	if r.over {
		return record{}, io.EOF
	}
	text, err := r.text()
	if err != nil {
		return record{}, err
	}
	if r.line == 1 {
		if err := r.header(text); err != nil {
			return record{}, err
		}
		r.hash.Write(text)
		return r.next()
	}
	var l struct {
		Type kind `json:"type"`
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return record{}, r.invalid("%v", err)
	}
	if l.Type == kindEnd {
		return record{}, r.end(text)
	}
	r.hash.Write(text)
	return r.record(l.Type, text)
}

// text is the next line, with its end.
func (r *reader) text() ([]byte, error) {
	r.line++
	text, err := r.in.ReadSlice('\n')
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, r.invalid("longer than %d bytes", maxLine)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, r.invalid("the file ends here, without its last line")
	default:
		return nil, fmt.Errorf("reading line %d: %w", r.line, err)
	}
}

func (r *reader) header(text []byte) error {
	var h headerLine
	if err := decode(text, &h); err != nil || h.Type != kindHeader || h.Format != formatName {
		return r.invalid("not the first line of a backup made by replifire")
	}
	if h.FormatVersion != formatVersion {
		return r.invalid("format version %d: this program reads %d", h.FormatVersion, formatVersion)
	}
	if err := protocol.CheckID(h.Space); err != nil {
		return r.invalid("space %v", err)
	}
	r.summary.Header = h.Header
	return nil
}

func (r *reader) record(k kind, text []byte) (rec record, err error) {
	rec.kind = k
	switch k {
	case kindGroup:
		if err = decode(text, &rec.group); err == nil {
			err = rec.group.check()
		}
		r.summary.Groups++
	case kindClient:
		if err = decode(text, &rec.client); err == nil {
			err = rec.client.check()
		}
		r.summary.Clients++
	case kindEntry:
		rec.entry.Key = noKey
		if err = decode(text, &rec.entry); err == nil {
			err = rec.entry.canonicalize()
		}
		r.summary.Entries++
	case kindHeader, kindEnd:
		err = errors.New("a second header")
	default:
		err = fmt.Errorf("unknown type %.40q", k)
	}
	if err != nil {
		return record{}, r.invalid("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return rec, nil
}

// decode accepts exactly the fields of into, since an unknown one would be lost.
func decode(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func (l groupLine) check() error {
	return errors.Join(protocol.CheckID(l.ID), checkTime("createdAt", l.CreatedAt))
}

// checkTime refuses a time that no service can have written: all times of a space
// would have to be later than that for ever.
func checkTime(name string, t time.Time) error {
	if t.Before(time.Unix(0, 0)) || t.After(time.Now().Add(maxAhead)) {
		return fmt.Errorf("%s is %v, before 1970 or, if the clock here is right, in the future",
			name, t.Format(time.RFC3339))
	}
	return nil
}

func (l clientLine) check() error {
	if l.LastMutationID < 1 || l.LastMutationID > protocol.MaxMutationID {
		return fmt.Errorf("last mutation id is %d", l.LastMutationID)
	}
	if len(l.Rejections) > engine.MaxRejections {
		return fmt.Errorf("%d rejections", len(l.Rejections))
	}
	last := int64(0)
	for _, r := range l.Rejections {
		if r.ID <= last || r.ID > l.LastMutationID {
			return fmt.Errorf("rejection of mutation %d behind %d", r.ID, last)
		}
		last = r.ID
	}
	if !l.LastSeen.IsZero() {
		if err := checkTime("lastSeen", l.LastSeen); err != nil {
			return err
		}
	}
	return errors.Join(protocol.CheckID(l.ID), protocol.CheckID(l.Group))
}

// canonicalize checks the entry and gives its value the text in which values are stored: a
// person, or a program of before, may have written it otherwise.
func (l *entryLine) canonicalize() error {
	if l.Key == noKey {
		return errors.New("no key")
	}
	value, err := protocol.Canonical(l.Value)
	if err := errors.Join(mutate.CheckKey(l.Key), err); err != nil {
		return err
	}
	if len(value) > engine.MaxValueBytes {
		return fmt.Errorf("value of %d bytes", len(value))
	}
	l.Value = value
	return nil
}

// end compares the last line with what was read. Nothing may come behind it.
func (r *reader) end(text []byte) error {
	var e endLine
	if err := decode(text, &e); err != nil {
		return r.invalid("%v", err)
	}
	sum := hex.EncodeToString(r.hash.Sum(nil))
	if e.Counts != r.summary.Counts || e.SHA256 != sum {
		return r.invalid("the lines before are not those that were written:"+
			" %+v with SHA-256 %s, written were %+v with %s", r.summary.Counts, sum, e.Counts, e.SHA256)
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		r.line++
		return r.invalid("something comes behind the last line")
	}
	r.summary.SHA256, r.over = sum, true
	return io.EOF
}
