package ticket_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/ticket"
)

func text(key []byte) string { return base64.StdEncoding.EncodeToString(key) }

func TestParseKeys(t *testing.T) {
	t.Parallel()
	odd := bytes.Repeat([]byte{0xfb, 0xff}, 20)
	for name, in := range map[string]string{
		"a line each":         text(newKey) + "\n" + text(odd) + "\n",
		"Windows lines":       text(newKey) + "\r\n" + text(odd) + "\r\n",
		"commas":              text(newKey) + "," + text(odd),
		"comments and blanks": "# new\n\n  " + text(newKey) + " # 2026\n#" + text(oldKey) + "\n" + text(odd),
		"no padding":          strings.TrimRight(text(newKey), "=") + "\n" + strings.TrimRight(text(odd), "="),
		"the other alphabet":  text(newKey) + "\n" + base64.URLEncoding.EncodeToString(odd),
	} {
		got, err := ticket.ParseKeys(in)
		if diff := cmp.Diff([][]byte{newKey, odd}, got); err != nil || diff != "" {
			t.Errorf("%s: ParseKeys: %v, (-want +got)\n%s", name, err, diff)
		}
	}
}

func TestParseKeysRefuses(t *testing.T) {
	t.Parallel()
	secret := text(newKey)
	for _, tc := range []struct{ name, in, want string }{
		{"nothing", "", "no ticket key"},
		{"comments only", "# " + secret + "\n", "no ticket key"},
		{"not base64", "\n*" + secret, "line 2"},
		{"one bad of two", secret + "\n" + secret + "*", "line 2"},
		{"too short", text(newKey[1:]), "31 bytes"},
		{"too many", strings.Repeat(secret+"\n", ticket.MaxKeys+1), "9 ticket keys"},
	} {
		keys, err := ticket.ParseKeys(tc.in)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: ParseKeys = %d keys, %v; want an error with %q", tc.name, len(keys), err, tc.want)
			continue
		}
		if strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%s: error %q quotes the key", tc.name, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][][]byte{
		"no key":       nil,
		"a short key":  {newKey, newKey[:31]},
		"nine of them": {newKey, newKey, newKey, newKey, newKey, newKey, newKey, newKey, newKey},
	} {
		if _, err := ticket.New(keys, nil); err == nil {
			t.Errorf("%s: New succeeded", name)
		}
	}
}

func TestNewCopiesKeys(t *testing.T) {
	t.Parallel()
	key := bytes.Clone(newKey)
	tickets := newTickets(t, start, key)
	good := issue(t, tickets, auth.Principal{UserID: "alice"})
	clear(key)
	if _, err := tickets.Verify(good, space, purpose); err != nil {
		t.Error(err)
	}
}

func TestRandomKey(t *testing.T) {
	t.Parallel()
	a, b := ticket.RandomKey(), ticket.RandomKey()
	if len(a) != ticket.MinKey || bytes.Equal(a, b) {
		t.Errorf("RandomKey = %x and %x", a, b)
	}
}

// rig is Tickets from a file, with a clock that the test moves.
type rig struct {
	path    string
	now     time.Time
	log     bytes.Buffer
	tickets *ticket.Tickets
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{path: filepath.Join(t.TempDir(), "keys"), now: start}
	r.write(t, text(oldKey))
	tickets, err := ticket.FromFile(r.path, func() time.Time { return r.now }, slog.New(slog.NewTextHandler(&r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r.tickets = tickets
	return r
}

func (r *rig) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(r.path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// signs reports whether the tickets are signed with a key now.
func (r *rig) signs(t *testing.T, key []byte) bool {
	t.Helper()
	_, err := newTickets(t, r.now, key).Verify(issue(t, r.tickets, auth.Principal{}), space, purpose)
	return err == nil
}

func TestFileIsReadAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	oldTicket := issue(t, r.tickets, auth.Principal{UserID: "alice"})
	r.write(t, text(newKey)+"\n"+text(oldKey))
	r.now = r.now.Add(9 * time.Second)
	if !r.signs(t, oldKey) {
		t.Error("the file was read again after 9 s")
	}
	r.now = r.now.Add(time.Second)
	if !r.signs(t, newKey) {
		t.Error("the file was not read again after 10 s")
	}
	if _, err := r.tickets.Verify(oldTicket, space, purpose); err != nil {
		t.Errorf("Verify of a ticket from before: %v", err)
	}
	r.write(t, text(newKey))
	r.now = r.now.Add(10 * time.Second)
	if _, err := r.tickets.Verify(oldTicket, space, purpose); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("Verify of a ticket whose key is gone = %v, want ErrUnauthenticated", err)
	}
}

func TestBrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]string{
		"not base64": text(newKey) + "*",
		"empty":      "",
		"huge":       strings.Repeat(text(newKey)+"\n", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write(t, broken)
			r.now = r.now.Add(10 * time.Second)
			if !r.signs(t, oldKey) {
				t.Error("the old key does not sign any more")
			}
			if log := r.log.String(); strings.Count(log, "\n") != 1 || strings.Contains(log, text(newKey)[:8]) {
				t.Errorf("log = %q, want one line without the key", log)
			}
			r.write(t, text(newKey))
			r.now = r.now.Add(10 * time.Second)
			if !r.signs(t, newKey) {
				t.Error("the file was not read again after it was mended")
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	if _, err := ticket.FromFile(filepath.Join(t.TempDir(), "none"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("FromFile = %v, want ErrNotExist", err)
	}
	r := newRig(t)
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Minute)
	if !r.signs(t, oldKey) {
		t.Error("the key does not sign any more after the file was removed")
	}
}
