package ticket_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/ticket"
	"github.com/replifire/replifire/protocol"
)

const (
	space   = protocol.SpaceID("s1")
	purpose = "poke"
)

var (
	oldKey = bytes.Repeat([]byte{1}, ticket.MinKey)
	newKey = bytes.Repeat([]byte{2}, ticket.MinKey)
	start  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// at is a clock that stands still.
func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func newTickets(t testing.TB, now time.Time, keys ...[]byte) *ticket.Tickets {
	t.Helper()
	tickets, err := ticket.New(keys, at(now))
	if err != nil {
		t.Fatal(err)
	}
	return tickets
}

func issue(t testing.TB, tickets *ticket.Tickets, p auth.Principal) string {
	t.Helper()
	text, _, err := tickets.Issue(p, space, purpose)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTicketBringsPrincipalBack(t *testing.T) {
	t.Parallel()
	tickets := newTickets(t, start, newKey)
	for name, p := range map[string]auth.Principal{
		"a user":               {UserID: "alice"},
		"nobody":               {},
		"a long id":            {UserID: strings.Repeat("🔥", 128)},
		"an id with anything":  {UserID: "a/\x00\xff b"},
		"a token that expires": {UserID: "alice", Expires: start.Add(time.Hour)},
		"one that has expired": {UserID: "alice", Expires: time.Unix(-5, 0)},
	} {
		text, expires, err := tickets.Issue(p, space, purpose)
		if err != nil {
			t.Errorf("%s: Issue: %v", name, err)
			continue
		}
		if want := start.Add(time.Minute); !expires.Equal(want) {
			t.Errorf("%s: the ticket expires at %v, want %v", name, expires, want)
		}
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%s: ticket %q is not safe in an address", name, text)
		}
		if p.Expires.Before(start) && !p.Expires.IsZero() {
			p.Expires = time.Unix(1, 0).UTC()
		}
		got, err := tickets.Verify(text, space, purpose)
		if err != nil || !cmp.Equal(got, p) {
			t.Errorf("%s: Verify = %+v, %v; want %+v", name, got, err, p)
		}
	}
}

func TestTicketLeavesClaimsOut(t *testing.T) {
	t.Parallel()
	tickets := newTickets(t, start, newKey)
	text := issue(t, tickets, auth.Principal{UserID: "alice", Claims: []byte(`{"email":"a@example.com"}`)})
	got, err := tickets.Verify(text, space, purpose)
	if err != nil || got.Claims != nil {
		t.Errorf("Verify = %+v, %v; want no claims", got, err)
	}
}

func TestTicketsDiffer(t *testing.T) {
	t.Parallel()
	tickets := newTickets(t, start, newKey)
	a, b := issue(t, tickets, auth.Principal{UserID: "alice"}), issue(t, tickets, auth.Principal{UserID: "alice"})
	if a == b {
		t.Errorf("two tickets are the same: %s", a)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	good := issue(t, newTickets(t, start, newKey), auth.Principal{UserID: "alice"})
	for _, tc := range []struct {
		name    string
		ticket  string
		space   protocol.SpaceID
		purpose string
		now     time.Time
		key     []byte
	}{
		{"another space", good, "s2", purpose, start, newKey},
		{"no space", good, "", purpose, start, newKey},
		{"another purpose", good, space, "push", start, newKey},
		{"space and purpose moved", good, space + "p", "oke", start, newKey},
		{"at its end", good, space, purpose, start.Add(ticket.Life), newKey},
		{"a day later", good, space, purpose, start.Add(24 * time.Hour), newKey},
		{"another key", good, space, purpose, start, oldKey},
		{"empty", "", space, purpose, start, newKey},
		{"garbage", "garbage", space, purpose, start, newKey},
		{"not base64", good[:len(good)-1] + "!", space, purpose, start, newKey},
		{"padded", good + "=", space, purpose, start, newKey},
		{"with a line break", good[:20] + "\n" + good[20:], space, purpose, start, newKey},
		{"cut", good[:len(good)-4], space, purpose, start, newKey},
		{"longer", good + "AAAA", space, purpose, start, newKey},
		{"huge", strings.Repeat("A", 1<<20), space, purpose, start, newKey},
		{"without a MAC", good[:40], space, purpose, start, newKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := newTickets(t, tc.now, tc.key).Verify(tc.ticket, tc.space, tc.purpose)
			if !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("Verify = %+v, %v; want ErrUnauthenticated", p, err)
			}
		})
	}
}

func TestVerifyRefusesEveryChangedBit(t *testing.T) {
	t.Parallel()
	tickets := newTickets(t, start, newKey)
	raw, err := base64.RawURLEncoding.DecodeString(issue(t, tickets, auth.Principal{UserID: "alice"}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(raw) {
		changed := bytes.Clone(raw)
		changed[i/8] ^= 1 << (i % 8)
		text := base64.RawURLEncoding.EncodeToString(changed)
		if p, err := tickets.Verify(text, space, purpose); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("bit %d changed: Verify = %+v, %v", i, p, err)
		}
	}
}

// TestMACIsOfTheDocumentedInput makes a ticket's MAC by hand.
func TestMACIsOfTheDocumentedInput(t *testing.T) {
	t.Parallel()
	raw, err := base64.RawURLEncoding.DecodeString(issue(t, newTickets(t, start, newKey), auth.Principal{UserID: "u"}))
	if err != nil {
		t.Fatal(err)
	}
	body, got := raw[:len(raw)-32], raw[len(raw)-32:]
	h := hmac.New(sha256.New, newKey)
	for _, part := range []string{"replifire ticket", string(body), string(space), purpose} {
		h.Write([]byte{0, 0, 0, 0, 0, 0, 0, byte(len(part))})
		h.Write([]byte(part))
	}
	if want := h.Sum(nil); !bytes.Equal(got, want) {
		t.Errorf("MAC = %x, want %x", got, want)
	}
}

// TestInstancesClocksDiffer verifies a ticket by a clock that is behind the one
// that it was issued by.
func TestInstancesClocksDiffer(t *testing.T) {
	t.Parallel()
	good := issue(t, newTickets(t, start, newKey), auth.Principal{UserID: "alice"})
	if _, err := newTickets(t, start.Add(-5*time.Second), newKey).Verify(good, space, purpose); err != nil {
		t.Error(err)
	}
}

func TestIssueRefusesLongUserID(t *testing.T) {
	t.Parallel()
	p := auth.Principal{UserID: strings.Repeat("a", ticket.MaxUserID+1)}
	if text, _, err := newTickets(t, start, newKey).Issue(p, space, purpose); err == nil {
		t.Errorf("Issue = %q, want an error", text)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before, after := newTickets(t, start, oldKey), newTickets(t, start, newKey)
	during := newTickets(t, start, newKey, oldKey)
	p := auth.Principal{UserID: "alice"}
	oldTicket, newTicket := issue(t, before, p), issue(t, during, p)
	for _, tc := range []struct {
		name    string
		tickets *ticket.Tickets
		ticket  string
		want    error
	}{
		{"old one during", during, oldTicket, nil},
		{"new one during", during, newTicket, nil},
		{"new one after", after, newTicket, nil},
		{"old one after", after, oldTicket, auth.ErrUnauthenticated},
		{"new one before", before, newTicket, auth.ErrUnauthenticated},
	} {
		if _, err := tc.tickets.Verify(tc.ticket, space, purpose); !errors.Is(err, tc.want) {
			t.Errorf("%s: Verify = %v, want %v", tc.name, err, tc.want)
		}
	}
}

// FuzzVerifyTicket has a valid ticket among its seeds, in testdata and made now:
// nothing but those is accepted, and for their space and purpose only.
func FuzzVerifyTicket(f *testing.F) {
	tickets := newTickets(f, start, newKey)
	f.Add(issue(f, tickets, auth.Principal{UserID: "alice"}), "s1", "poke")
	f.Add("AQ", "s1", "poke")
	f.Fuzz(func(t *testing.T, text, in, purpose string) {
		p, err := tickets.Verify(text, protocol.SpaceID(in), purpose)
		if err == nil && (p.UserID != "alice" || in != "s1" || purpose != "poke") {
			t.Errorf("Verify accepted %q for %q, %q: %+v", text, in, purpose, p)
		}
		if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("Verify(%q) = %v, want ErrUnauthenticated", text, err)
		}
	})
}
