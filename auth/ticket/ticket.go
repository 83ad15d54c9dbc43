package ticket

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/protocol"
)

const (
	// Life is how long a ticket is good for: a client uses it at once.
	Life = time.Minute
	// MaxUserID bounds the user's id in a ticket, in bytes: 128 characters of any
	// kind.
	MaxUserID = 512

	version = 1
	// A ticket is its head, the user's id and the MAC. The head is the version, when
	// the ticket ends and when the principal ends (Unix seconds, 0 for never), and a
	// nonce.
	endsAt      = 1
	principalAt = endsAt + 8
	nonceAt     = principalAt + 8
	nonceSize   = 16
	userAt      = nonceAt + nonceSize
	minTicket   = userAt + sha256.Size
	maxTicket   = minTicket + MaxUserID

	// label keeps the MACs of tickets apart from those that others make with the
	// same key.
	label = "replifire ticket"
)

// encoding has one text for each ticket.
var encoding = base64.RawURLEncoding.Strict()

// Tickets issues and verifies tickets. It is safe for concurrent use.
type Tickets struct {
	keys func() keyring
	now  func() time.Time
}

// keyring has the key that signs first. All of its keys verify.
type keyring [][]byte

// New returns Tickets with keys, of which the first signs and all verify. There
// must be 1 to MaxKeys, of MinKey bytes or more each. A nil now is time.Now.
func New(keys [][]byte, now func() time.Time) (*Tickets, error) {
	ring, err := newKeyring(keys)
	if err != nil {
		return nil, err
	}
	return &Tickets{keys: func() keyring { return ring }, now: clock(now)}, nil
}

// Issue makes a ticket for a principal, that is good for one purpose in one space.
// It returns when the ticket ends. It fails for a user id above MaxUserID.
func (t *Tickets) Issue(
	p auth.Principal, space protocol.SpaceID, purpose string,
) (ticket string, expires time.Time, err error) {
	if len(p.UserID) > MaxUserID {
		return "", time.Time{}, fmt.Errorf("a ticket's user id has at most %d bytes", MaxUserID)
	}
	expires = t.now().Add(Life).Truncate(time.Second).UTC()
	body := make([]byte, userAt, maxTicket)
	body[0] = version
	binary.BigEndian.PutUint64(body[endsAt:], seconds(expires))
	binary.BigEndian.PutUint64(body[principalAt:], seconds(p.Expires))
	_, _ = rand.Read(body[nonceAt:userAt]) // never fails
	body = append(body, p.UserID...)
	mac := sum(t.keys()[0], body, space, purpose)
	return encoding.EncodeToString(append(body, mac...)), expires, nil
}

// Verify returns the principal that a ticket was issued to, with its id and its
// Expires only. It fails with ErrUnauthenticated for everything but an unchanged
// ticket for this space and this purpose, within its life.
func (t *Tickets) Verify(ticket string, space protocol.SpaceID, purpose string) (auth.Principal, error) {
	// The decoder skips line breaks.
	if len(ticket) > encoding.EncodedLen(maxTicket) || strings.ContainsAny(ticket, "\r\n") {
		return auth.Principal{}, refused("it is too long, or has a line break")
	}
	raw, err := encoding.DecodeString(ticket)
	if err != nil || len(raw) < minTicket || raw[0] != version {
		return auth.Principal{}, refused("it is not one")
	}
	body, mac := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	if !t.keys().signed(mac, body, space, purpose) {
		return auth.Principal{}, refused("it was changed, or is for something else, or its key is gone")
	}
	if !t.now().Before(moment(body[endsAt:])) {
		return auth.Principal{}, refused("it has expired")
	}
	return auth.Principal{UserID: string(body[userAt:]), Expires: moment(body[principalAt:])}, nil
}

// signed reports whether one of the keys made a MAC. It tries all of them, so that
// how long it takes says nothing.
func (r keyring) signed(mac, body []byte, space protocol.SpaceID, purpose string) bool {
	found := false
	for _, key := range r {
		if hmac.Equal(mac, sum(key, body, space, purpose)) {
			found = true
		}
	}
	return found
}

// sum is the MAC of a ticket's body, of space and of purpose, each with its length
// before it, so that no two different triples have the same input.
func sum(key, body []byte, space protocol.SpaceID, purpose string) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range []string{label, string(body), string(space), purpose} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// seconds is a time as a ticket has it. Times before 1970 have long passed: 1.
func seconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix(), 1))
}

// moment is the time in a ticket.
func moment(b []byte) time.Time {
	s := binary.BigEndian.Uint64(b)
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC() //nolint:gosec // its MAC was right, so seconds made it
}

// refused is why a ticket is not accepted. The text must have nothing of it.
func refused(why string) error {
	return fmt.Errorf("%w: the ticket is refused: %s", auth.ErrUnauthenticated, why)
}

func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}
