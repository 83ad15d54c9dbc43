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
