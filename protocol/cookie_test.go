package protocol_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/replifire/replifire/protocol"
)

// longest is the longest string that another server's cookie may be.
var longest = strings.Repeat("x", protocol.MaxCookieStringBytes)

func parse(t rapid.TB, raw string) protocol.Cookie {
	t.Helper()
	c, err := protocol.ParseCookie(json.RawMessage(raw))
	if err != nil {
		t.Fatalf("ParseCookie(%s): %v", raw, err)
	}
	return c
}

func TestParseCookieOurs(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]protocol.Cookie{
		`{"order":9,"version":7,"epoch":"e"}`:                      {Version: 7, Epoch: "e"},
		`{"order":0,"version":0,"epoch":""}`:                       {},
		`{"epoch":"\u0065","extra":[1],"order":1e1,"version":1.0}`: {Version: 1, Epoch: "e"},
		`{"order":9007199254740990,"version":9007199254740991,"epoch":"e"}`: {
			Version: 1<<53 - 1, Epoch: "e",
		},
		`{"order":"/0000000000000000","version":3,"epoch":"e"}`:    {Version: 3, Epoch: "e"},
		`{"order":"a/b/0000000000000012","version":3,"epoch":"e"}`: {Version: 3, Epoch: "e"},
		`{"order":"` + longest + `/9007199254740990","version":3,"epoch":"e"}`: {
			Version: 3, Epoch: "e",
		},
	} {
		t.Run(raw[:min(len(raw), 70)], func(t *testing.T) {
			t.Parallel()
			want.Raw, want.Ours = json.RawMessage(raw), true
			if diff := cmp.Diff(want, parse(t, raw)); diff != "" {
				t.Errorf("ParseCookie(%s): -want +got\n%s", raw, diff)
			}
		})
	}
}

// TestParseCookieOthers has cookies that the protocol allows and this server does not
// give out.
func TestParseCookieOthers(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"null", " null ", "0", "-1", "5.5", "-1e308", "1e-400", "9007199254740990", `""`, `"4"`, `"\ud83d"`,
		`"` + longest + `"`,
		`{"order":1}`,
		`{"order":"1"}`,
		`{"order":-1,"version":1,"epoch":"e"}`,
		`{"order":1.5,"version":1,"epoch":"e"}`,
		`{"order":1,"version":1}`,
		`{"order":1,"epoch":"e"}`,
		`{"order":1,"version":-1,"epoch":"e"}`,
		`{"order":1,"version":1.5,"epoch":"e"}`,
		`{"order":1,"version":9007199254740992,"epoch":"e"}`,
		`{"order":1,"version":"1","epoch":"e"}`,
		`{"order":1,"version":1,"epoch":1}`,
		`{"order":1,"version":1,"epoch":null}`,
		`{"order":1,"version":1,"epoch":"\ud83d"}`,
		`{"order":1,"Version":1,"epoch":"e"}`,
		`{"order":"1","version":1,"epoch":"e"}`,
		`{"order":"a/000000000000001","version":1,"epoch":"e"}`,
		`{"order":"a-0000000000000001","version":1,"epoch":"e"}`,
		`{"order":"a/+000000000000001","version":1,"epoch":"e"}`,
		`{"order":"a/0000000x00000001","version":1,"epoch":"e"}`,
		`{"order":"a/9007199254740991","version":1,"epoch":"e"}`,
		`{"order":7,"cvrID":"abc","x":{"order":[true]}}`,
	} {
		t.Run(raw[:min(len(raw), 60)], func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(protocol.Cookie{Raw: json.RawMessage(raw)}, parse(t, raw)); diff != "" {
				t.Errorf("ParseCookie(%s): -want +got\n%s", raw, diff)
			}
		})
	}
}

func TestParseCookieRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ raw, field string }{
		{``, "cookie"},
		{`nul`, "cookie"},
		{`1 2`, "cookie"},
		{`{"order":1`, "cookie"},
		{`{"order":}`, "cookie"},
		{"\"\xff\"", "cookie"},
		{`true`, "cookie"},
		{`false`, "cookie"},
		{`[]`, "cookie"},
		{`[1]`, "cookie"},
		{`{}`, "cookie.order"},
		{`{"Order":1}`, "cookie.order"},
		{`{"version":1,"epoch":"e"}`, "cookie.order"},
		{`{"order":null}`, "cookie.order"},
		{`{"order":true}`, "cookie.order"},
		{`{"order":[1]}`, "cookie.order"},
		{`{"order":{"order":1}}`, "cookie.order"},
		{`9007199254740991`, "cookie"},
		{`9007199254740990.6`, "cookie"},
		{`1e16`, "cookie"},
		{`1e400`, "cookie"},
		{`-1e400`, "cookie"},
		{`{"order":9007199254740991,"version":1,"epoch":"e"}`, "cookie.order"},
		{`{"order":1e400}`, "cookie.order"},
		{`"` + longest + `x"`, "cookie"},
		{`{"order":"` + longest + `x/0000000000000001"}`, "cookie.order"},
		{`{"order":1,"order":1}`, "cookie"},
		{`{"order":1,"version":1,"version":2}`, "cookie"},
		{`{"order":1,"epoch":"a","epo\u0063h":"b"}`, "cookie"},
	}
	for _, tt := range tests {
		t.Run(tt.raw[:min(len(tt.raw), 60)], func(t *testing.T) {
			t.Parallel()
			got, err := protocol.ParseCookie(json.RawMessage(tt.raw))
			wantDecodeError(t, err, tt.field)
			if diff := cmp.Diff(protocol.Cookie{}, got); diff != "" {
				t.Errorf("got a cookie with the error: %s", diff)
			}
		})
	}
}

func TestCookieNext(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		raw     string
		version int64
		want    string
	}{
		{`{"order":9,"version":7,"epoch":"e"}`, 8, `{"order":10,"version":8,"epoch":"e"}`},
		{`{"order":9,"version":7,"epoch":"e"}`, 107, `{"order":109,"version":107,"epoch":"e"}`},
		{`{"order":2,"version":7,"epoch":"e"}`, 8, `{"order":3,"version":8,"epoch":"e"}`},
		{` {"epoch":"e", "order":9,"version":7} `, 7, ` {"epoch":"e", "order":9,"version":7} `},
		{
			`{"order":"a/0000000000000009","version":7,"epoch":"e"}`, 17,
			`{"order":"a/0000000000000019","version":17,"epoch":"e"}`,
		},
		{
			`{"order":"\u0001\"/0000000000000009","version":7,"epoch":"e"}`, 8,
			`{"order":"\u0001\"/0000000000000010","version":8,"epoch":"e"}`,
		},
		{
			`{"order":9007199254740000,"version":7,"epoch":"e"}`, 997,
			`{"order":9007199254740990,"version":997,"epoch":"e"}`,
		},
	} {
		t.Run(tt.raw, func(t *testing.T) {
			t.Parallel()
			got, err := parse(t, tt.raw).Next(tt.version, "e")
			if err != nil {
				t.Fatalf("Next(%d): %v", tt.version, err)
			}
			if diff := cmp.Diff(parse(t, tt.want), got); diff != "" {
				t.Errorf("Next(%d): -want +got\n%s", tt.version, diff)
			}
		})
	}
}

func TestCookieNextRefuses(t *testing.T) {
	t.Parallel()
	const ours = `{"order":9,"version":7,"epoch":"e"}`
	for _, tt := range []struct {
		name, raw string
		version   int64
		epoch     string
		field     string // of the DecodeError; "" if the caller is to blame
	}{
		{"null", "null", 7, "e", ""},
		{"a cookie of others", "7", 8, "e", ""},
		{"another epoch", ours, 8, "f", ""},
		{"another epoch, same version", ours, 7, "f", ""},
		{"an earlier version", ours, 6, "e", ""},
		{"a version too large", ours, 1 << 53, "e", ""},
		{"no room", `{"order":9007199254740990,"version":7,"epoch":"e"}`, 8, "e", "cookie"},
		{"no room for so many", `{"order":9007199254740980,"version":7,"epoch":"e"}`, 18, "e", "cookie"},
		{"no room in a string", `{"order":"a/9007199254740990","version":7,"epoch":"e"}`, 8, "e", "cookie"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(t, tt.raw).Next(tt.version, tt.epoch)
			if tt.field != "" {
				wantDecodeError(t, err, tt.field)
				return
			}
			if _, ok := errors.AsType[*protocol.DecodeError](err); ok || err == nil {
				t.Errorf("got %s, %v; want an error that does not blame the client", got.Raw, err)
			}
		})
	}
}

func TestCookieReset(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ raw, want string }{
		{"null", `{"order":5,"version":5,"epoch":"e"}`},
		{"4", `{"order":5,"version":5,"epoch":"e"}`},
		{"5", `{"order":6,"version":5,"epoch":"e"}`},
		{"5.5", `{"order":6,"version":5,"epoch":"e"}`},
		{"42", `{"order":43,"version":5,"epoch":"e"}`},
		{"-42", `{"order":5,"version":5,"epoch":"e"}`},
		{"-1e308", `{"order":5,"version":5,"epoch":"e"}`},
		{"9007199254740989", `{"order":9007199254740990,"version":5,"epoch":"e"}`},
		{`{"order":42}`, `{"order":43,"version":5,"epoch":"e"}`},
		{`{"order":9,"version":5,"epoch":"e"}`, `{"order":10,"version":5,"epoch":"e"}`},
		{`{"order":9,"version":70,"epoch":"d"}`, `{"order":10,"version":5,"epoch":"e"}`},
		{`""`, `{"order":"/0000000000000005","version":5,"epoch":"e"}`},
		{`"4"`, `{"order":"4/0000000000000005","version":5,"epoch":"e"}`},
		{`"a/b"`, `{"order":"a/b/0000000000000005","version":5,"epoch":"e"}`},
		{`"a\ud83db"`, `{"order":"a` + "\ufffd" + `b/0000000000000005","version":5,"epoch":"e"}`},
		{`{"order":"a/0000000000000002"}`, `{"order":"a/0000000000000005","version":5,"epoch":"e"}`},
		{`{"order":"a/0000000000000009","version":1,"epoch":"e"}`, `{"order":"a/0000000000000010","version":5,"epoch":"e"}`},
		{`"a/9007199254740991"`, `{"order":"a/9007199254740991/0000000000000005","version":5,"epoch":"e"}`},
		{`"` + longest + `"`, `{"order":"` + longest + `/0000000000000005","version":5,"epoch":"e"}`},
	} {
		t.Run(tt.raw[:min(len(tt.raw), 60)], func(t *testing.T) {
			t.Parallel()
			got, err := parse(t, tt.raw).Reset(5, "e")
			if err != nil {
				t.Fatalf("Reset(5): %v", err)
			}
			if diff := cmp.Diff(parse(t, tt.want), got); diff != "" {
				t.Errorf("Reset(5): -want +got\n%s", diff)
			}
		})
	}
}

func TestCookieResetRefuses(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"9007199254740990", `{"order":9007199254740990}`, `"a/9007199254740990"`,
	} {
		_, err := parse(t, raw).Reset(5, "e")
		wantDecodeError(t, err, "cookie")
	}
	_, err := protocol.Cookie{}.Reset(protocol.MaxMutationID, "e")
	wantDecodeError(t, err, "cookie")
	for _, version := range []int64{-1, 1 << 53} {
		if got, err := (protocol.Cookie{}).Reset(version, "e"); err == nil {
			t.Errorf("Reset(%d): got %s, want an error", version, got.Raw)
		}
	}
}

// TestCookieResetBelowZero: where the version says nothing, the next integer is
// taken.
func TestCookieResetBelowZero(t *testing.T) {
	t.Parallel()
	got, err := parse(t, "-0.5").Reset(0, "e")
	if want := `{"order":0,"version":0,"epoch":"e"}`; err != nil || string(got.Raw) != want {
		t.Errorf("Reset(0): got %s, %v, want %s", got.Raw, err, want)
	}
}

// TestZeroCookie is null.
func TestZeroCookie(t *testing.T) {
	t.Parallel()
	var zero protocol.Cookie
	if got := zero.Compare(parse(t, "null")); got != 0 {
		t.Errorf("Compare with null: got %d, want 0", got)
	}
	got, err := zero.Reset(0, "")
	if err != nil || string(got.Raw) != `{"order":0,"version":0,"epoch":""}` || got.Compare(zero) <= 0 {
		t.Errorf("Reset(0): got %s, %v", got.Raw, err)
	}
}

// javascript is the table that testdata/javascript.mjs made.
type javascript struct {
	Numbers [][2]string
	Compare [][2]string
}

func readJavaScript(t *testing.T) javascript {
	t.Helper()
	text, err := os.ReadFile("testdata/javascript.json")
	if err != nil {
		t.Fatal(err)
	}
	var table javascript
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	return table
}

// TestCompareIsJavaScripts holds every pair of cookies against what JavaScript says.
func TestCompareIsJavaScripts(t *testing.T) {
	t.Parallel()
	rows := readJavaScript(t).Compare
	for _, a := range rows {
		for i, b := range rows {
			c := protocol.Cookie{Raw: json.RawMessage(a[0])}
			d := protocol.Cookie{Raw: json.RawMessage(b[0])}
			if got, want := sign(c.Compare(d)), a[1][i]; got != want {
				t.Errorf("%s %c %s, want %c", a[0], got, b[0], want)
			}
		}
	}
}

func sign(n int) byte {
	switch {
	case n < 0:
		return '<'
	case n > 0:
		return '>'
	}
	return '='
}

// TestCompareFormatsNumbers: a number equals the string that JavaScript makes of it.
func TestCompareFormatsNumbers(t *testing.T) {
	t.Parallel()
	for _, row := range readJavaScript(t).Numbers {
		text, err := json.Marshal(row[1])
		if err != nil {
			t.Fatal(err)
		}
		c, d := protocol.Cookie{Raw: json.RawMessage(row[0])}, protocol.Cookie{Raw: text}
		if got := c.Compare(d); got != 0 {
			t.Errorf("%s compared with %s: got %d, want 0", row[0], text, got)
		}
	}
}

// TestCompareOfWhatIsNoCookie: it is like null.
func TestCompareOfWhatIsNoCookie(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "true", "[]", "{}", `{"order":null}`, `{"order":[]}`, "{", `{"order":1,"order":2}`} {
		c := protocol.Cookie{Raw: json.RawMessage(raw)}
		if got := c.Compare(protocol.Cookie{}); got != 0 {
			t.Errorf("%s compared with null: got %d, want 0", raw, got)
		}
		if got := c.Compare(parse(t, "-1e308")); got >= 0 {
			t.Errorf("%s compared with a number: got %d, want less", raw, got)
		}
	}
}

// anyOrder draws the JSON of a string or number.
func anyOrder() *rapid.Generator[string] {
	text := rapid.Custom(func(t *rapid.T) string {
		raw, err := json.Marshal(rapid.StringN(0, 20, 200).Draw(t, "text"))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	})
	number := rapid.Custom(func(t *rapid.T) string {
		raw, err := json.Marshal(rapid.Float64Max(1<<53-1e6).Draw(t, "number"))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	})
	return rapid.OneOf(
		text, number,
		rapid.StringMatching(`"([a-z0-9/]|\\ud83d|\\ude00|\\n|😀){0,4}(/000000000000[0-9]{4})?"`),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,3})?`),
	)
}

// anyCookie draws the JSON of a cookie that ParseCookie takes.
func anyCookie() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		order := anyOrder().Draw(t, "order")
		return rapid.SampledFrom([]string{
			"null", order, `{"order":` + order + `}`,
			`{"order":` + order + `,"version":3,"epoch":"e0"}`,
		}).Draw(t, "cookie")
	})
}

// TestCookieChain: however Next and Reset follow each other, and whatever cookie they
// began with, each cookie is newer than the one before to a client, and what it says
// comes back.
func TestCookieChain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := parse(t, anyCookie().Draw(t, "first"))
		size := len(c.Raw)
		for range rapid.IntRange(1, 20).Draw(t, "length") {
			next := step(t, c)
			if next.Compare(c) <= 0 || c.Compare(next) >= 0 || modelCompare(t, next.Raw, c.Raw) <= 0 {
				t.Fatalf("%s is not newer than %s", next.Raw, c.Raw)
			}
			if diff := cmp.Diff(parse(t, string(next.Raw)), next); diff != "" {
				t.Fatalf("%s does not come back as it was: -parsed +made\n%s", next.Raw, diff)
			}
			if len(next.Raw) > 6*size+200 {
				t.Fatalf("%s has grown out of %d bytes", next.Raw, size)
			}
			c = next
		}
	})
}

// step makes a cookie out of c and checks that it is of the state it was made for.
func step(t *rapid.T, c protocol.Cookie) protocol.Cookie {
	epoch := rapid.SampledFrom([]string{"e0", "e1", "", "é\"\n"}).Draw(t, "epoch")
	version := rapid.Int64Range(0, 1000).Draw(t, "version")
	successor, name := c.Reset, "Reset"
	if c.Ours && rapid.Bool().Draw(t, "incremental") {
		successor, name = c.Next, "Next"
		epoch, version = c.Epoch, c.Version+1+version
	}
	next, err := successor(version, epoch)
	if err != nil {
		t.Fatalf("%s of %s to %d: %v", name, c.Raw, version, err)
	}
	if !next.Ours || next.Version != version || next.Epoch != epoch {
		t.Fatalf("%s of %s to %d, %q: got %+v", name, c.Raw, version, epoch, next)
	}
	return next
}

// TestCookieKeepsItsKind: a client that has numbers keeps them, since "10" is
// before "9".
func TestCookieKeepsItsKind(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := anyOrder().Draw(t, "order")
		next, err := parse(t, raw).Reset(rapid.Int64Range(0, 1<<40).Draw(t, "version"), "e")
		if err != nil {
			t.Fatal(err)
		}
		var object struct{ Order any }
		if err := json.Unmarshal(next.Raw, &object); err != nil {
			t.Fatal(err)
		}
		if _, isText := object.Order.(string); isText != (raw[0] == '"') {
			t.Fatalf("%s was answered by %s", raw, next.Raw)
		}
	})
}

func TestCompareAgreesWithModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyCookie().Draw(t, "a"), anyCookie().Draw(t, "b")
		got := parse(t, a).Compare(parse(t, b))
		if want := modelCompare(t, []byte(a), []byte(b)); sign(got) != sign(want) {
			t.Fatalf("%s compared with %s: got %d, want %d", a, b, got, want)
		}
		if back := parse(t, b).Compare(parse(t, a)); sign(back) != sign(-got) {
			t.Fatalf("%s compared with %s: %d one way, %d the other", a, b, got, back)
		}
	})
}
