package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/replifire/replifire/server"
)

// TestWithoutDatabase: who has mistyped the emulator's address hears of it at once, from
// the first connection and not from calls that are tried again, and which address that is.
func TestWithoutDatabase(t *testing.T) {
	t.Parallel()
	env := environment("GOOGLE_CLOUD_PROJECT=p", "FIRESTORE_EMULATOR_HOST=127.0.0.1:1")
	for _, args := range []string{
		"fsck s", "reset s --yes", "delete s --yes", "purge s", "gc", "gc s", "restored --all", "export s", "import s f",
		"members list s", "members set s ann --role=owner", "members remove s ann",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := execute(t.Context(), env, strings.Fields(args)...)
			want := `at "127.0.0.1:1", which FIRESTORE_EMULATOR_HOST or a flag says: dial tcp` // not: rpc error
			if code != 1 || stdout != "" || !strings.Contains(stderr, want) {
				t.Errorf("it exits with %d, prints %q, %q", code, stdout, stderr)
			}
		})
	}
}

// pinged is a store that answers the first question after some that are lost.
type pinged struct {
	store
	lost, asked int
}

var errLost = errors.New("lost")

func (s *pinged) Ping(context.Context) error {
	if s.asked++; s.asked <= s.lost {
		return errLost
	}
	return nil
}

// TestPing asks three times, not after a signal, and says what was asked.
func TestPing(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	where := server.FirestoreSettings{ProjectID: "pro", Database: "dat"}
	for name, test := range map[string]struct {
		ctx         context.Context
		lost, asked int
		want        []string // in the error; none: there is none
	}{
		"there":       {ctx: t.Context(), asked: 1},
		"lossy":       {ctx: t.Context(), lost: 2, asked: 3},
		"not there":   {ctx: t.Context(), lost: 9, asked: 3, want: []string{`"pro"`, `"dat"`, "--project", "credentials"}},
		"interrupted": {ctx: ended, lost: 9, asked: 1, want: []string{"interrupted"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &pinged{lost: test.lost}
			err := ping(&program{ctx: test.ctx, stderr: io.Discard}, s, where)
			if s.asked != test.asked || (err == nil) != (len(test.want) == 0) {
				t.Errorf("asked %d times, want %d; got %v", s.asked, test.asked, err)
			}
			for _, text := range test.want {
				if err != nil && !strings.Contains(err.Error(), text) {
					t.Errorf("got %q, want %q in it", err, text)
				}
			}
		})
	}
}
