package protocol_test

import (
	"testing"

	"github.com/replifire/replifire/protocol"
)

// TestCookieOf: the word comes back with the cookie, and not with the ones after it.
func TestCookieOf(t *testing.T) {
	t.Parallel()
	next, err := parse(t, `{"order":"zz/0000000000000007","version":3,"epoch":"e"}`).Next(5, "e")
	if err != nil {
		t.Fatal(err)
	}
	const word = "a.b\"\u2028é"
	got := parse(t, string(next.Of(word).Raw))
	if got.Group != word || !got.Ours || got.Version != 5 || got.Epoch != "e" || got.Compare(next) != 0 {
		t.Errorf("%s is %+v", got.Raw, got)
	}
	if same := next.Of(""); string(same.Raw) != string(next.Raw) {
		t.Errorf("of nothing: %s, want %s", same.Raw, next.Raw)
	}
	if null := (protocol.Cookie{}).Of(word); null.Raw != nil {
		t.Errorf("of no cookie: %s", null.Raw)
	}
	if later, err := got.Next(6, "e"); err != nil || later.Group != "" {
		t.Errorf("the next one is %+v, %v", later, err)
	}
	if later, err := got.Reset(6, "f"); err != nil || later.Group != "" {
		t.Errorf("the one after a reset is %+v, %v", later, err)
	}
	for _, raw := range []string{
		`{"order":1,"version":1,"epoch":"e"}`,
		`{"order":1,"version":1,"epoch":"e","group":7}`,
		`{"order":1,"version":1,"epoch":"e","group":"\ud800"}`,
		`{"order":1,"version":1,"epoch":"e","group":"a","group":"b"}`,
	} {
		if c := parse(t, raw); c.Group != "" || !c.Ours {
			t.Errorf("%s is %+v", raw, c)
		}
	}
}

// TestCookieAt: the name of the commit comes back with the cookie, beside the word for the
// group, and not with the ones after it.
func TestCookieAt(t *testing.T) {
	t.Parallel()
	next, err := parse(t, `{"order":9,"version":3,"epoch":"e","commit":"OLD","group":"g"}`).Next(5, "e")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(next.At("ABCDEFGH").Of("g").Raw),
		`{"order":11,"version":5,"epoch":"e","commit":"ABCDEFGH","group":"g"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got := parse(t, string(next.At("ABCDEFGH").Of("g").Raw))
	if got.Commit != "ABCDEFGH" || got.Group != "g" || !got.Ours || got.Compare(next) != 0 {
		t.Errorf("%s is %+v", got.Raw, got)
	}
	if same, err := got.Next(5, "e"); err != nil || string(same.Raw) != string(got.Raw) || same.Commit != got.Commit {
		t.Errorf("the same version is %+v, %v", same, err)
	}
	if plain := next.At(""); string(plain.Raw) != string(next.Raw) || plain.Commit != "" {
		t.Errorf("at nothing: %s, want %s", plain.Raw, next.Raw)
	}
	one, other := next.At("A"), next.At("B")
	if string(one.Raw) == string(other.Raw) || one.Commit != "A" {
		t.Errorf("two cookies share their text: %s and %s", one.Raw, other.Raw)
	}
	for _, raw := range []string{
		`{"order":1,"version":1,"epoch":"e"}`,
		`{"order":1,"version":1,"epoch":"e","commit":7}`,
		`{"order":1,"version":1,"epoch":"e","commit":"\ud800"}`,
		`{"order":1,"version":1,"epoch":"e","commit":"a","commit":"b"}`,
	} {
		if c := parse(t, raw); c.Commit != "" || !c.Ours {
			t.Errorf("%s is %+v", raw, c)
		}
	}
}

// TestCookieOfALaterServer: a member that this version does not know, as those before it did not
// know the commit, leaves the cookie ours, and comes back as it was where nothing has changed.
func TestCookieOfALaterServer(t *testing.T) {
	t.Parallel()
	const raw = `{"order":4,"version":3,"epoch":"e","commit":"A","group":"g","later":{"a":[1]},"later":"b"}`
	c := parse(t, raw)
	if !c.Ours || c.Version != 3 || c.Epoch != "e" || c.Commit != "A" || c.Group != "g" {
		t.Errorf("%s is %+v", raw, c)
	}
	if same, err := c.Next(3, "e"); err != nil || string(same.Raw) != raw {
		t.Errorf("the same version is %s, %v", same.Raw, err)
	}
}
