package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/protocol"
)

// roomy are bounds that no test's body reaches.
var roomy = protocol.PushBounds{MaxBytes: 1 << 20, Hold: anyAmount}

// plainArgs compares arguments as text: byte by byte takes long.
var plainArgs = cmp.Transformer("text", func(args json.RawMessage) string { return string(args) })

func anyAmount(int64) error { return nil }

// fragments reads as text in pieces of any size, which are small ones if the text is.
type fragments struct {
	text []byte
	rand *rand.Rand
}

func (p *fragments) Read(b []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+p.rand.IntN(9+len(p.text)/100))], p.text)
	p.text = p.text[n:]
	if len(p.text) == 0 && p.rand.IntN(2) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// checkPieces: a body is decoded in pieces as it is as a whole.
func checkPieces(t *testing.T, body []byte, seed uint64) {
	t.Helper()
	want, wantErr := protocol.DecodePushRequest(body)
	for name, r := range map[string]io.Reader{
		"pieces":      &fragments{bytes.Clone(body), rand.New(rand.NewPCG(seed, 0))},
		"bytes":       iotest.OneByteReader(bytes.NewReader(body)),
		"whole":       iotest.DataErrReader(bytes.NewReader(body)),
		"whole, then": bytes.NewReader(body),
	} {
		got, err := protocol.ReadPushRequest(r, roomy)
		if diff := cmp.Diff(want, got, plainArgs); diff != "" {
			t.Errorf("%s of %q: -decoded +read\n%s", name, body, diff)
		}
		if bytes.Equal(bytes.ToValidUTF8(body, nil), body) && fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%s of %q: got error %v, want %v", name, body, err, wantErr)
		}
	}
}

// window is what ReadPushRequest keeps of a push, found in the simplest way.
func window(all []protocol.Mutation, b protocol.PushBounds, applied map[protocol.ClientID]int64) *protocol.PushRequest {
	w := &protocol.PushRequest{}
	known, skipped := map[protocol.ClientID]bool{}, map[protocol.ClientID]bool{}
	drops := func(m protocol.Mutation) bool {
		if !known[m.ClientID] || m.ID > applied[m.ClientID] {
			return false
		}
		skipped[m.ClientID] = true
		return true
	}
	bytes := func() (n int) {
		for _, m := range w.Mutations {
			n += len(m.ClientID) + len(m.Name) + len(m.Args) + 55
		}
		return n
	}
	for _, m := range all {
		if drops(m) {
			continue
		}
		for asked := false; ; asked = true {
			before := slices.Clone(w.Mutations)
			w.Mutations = append(w.Mutations, m)
			if len(before) == 0 || len(w.Mutations) <= b.MaxMutations && bytes() <= b.MaxBytes {
				break
			}
			w.Mutations = before
			if w.More = asked; asked {
				break
			}
			for _, m := range before {
				known[m.ClientID] = true
			}
			if w.Mutations = slices.DeleteFunc(before, drops); drops(m) {
				break
			}
		}
		if w.More {
			break
		}
	}
	for _, m := range w.Mutations {
		if skipped[m.ClientID] {
			if w.Skipped == nil {
				w.Skipped = map[protocol.ClientID]bool{}
			}
			w.Skipped[m.ClientID] = true
		}
	}
	return w
}

// checkWindow: of a good push of version 1 that is longer than the bounds the right mutations
// are kept.
func checkWindow(t *testing.T, body []byte, seed uint64) {
	t.Helper()
	want, err := protocol.DecodePushRequest(body)
	if err != nil || want.Version != 1 {
		return
	}
	r := rand.New(rand.NewPCG(seed, 1))
	applied := map[protocol.ClientID]int64{}
	for _, m := range want.Mutations {
		applied[m.ClientID] = max(applied[m.ClientID], m.ID*r.Int64N(2))
	}
	b := protocol.PushBounds{MaxBytes: 60 + r.IntN(600), MaxMutations: 1 + r.IntN(5), Hold: anyAmount}
	asked := map[protocol.ClientID]bool{}
	b.Applied = func(group protocol.ClientGroupID, clients []protocol.ClientID) (map[protocol.ClientID]int64, error) {
		if group != want.ClientGroupID {
			t.Errorf("asked for clients of %q", group)
		}
		for _, id := range clients {
			if asked[id] {
				t.Errorf("asked for %q twice", id)
			}
			asked[id] = true
		}
		return applied, nil
	}
	for i, m := range want.Mutations {
		if len(m.Args) > b.MaxBytes {
			want.Mutations[i].Args, want.Mutations[i].Invalid = json.RawMessage("null"), "long"
		}
	}
	w := window(want.Mutations, b, applied)
	want.Mutations, want.More, want.Skipped = w.Mutations, w.More, w.Skipped
	got, err := protocol.ReadPushRequest(&fragments{bytes.Clone(body), r}, b)
	if err != nil && bytes.Index(body, []byte(`"clientGroupID"`)) < bytes.Index(body, []byte(`"mutations"`)) {
		t.Fatalf("%s: %v", body, err)
	}
	if len(asked) == 0 && got != nil && got.More {
		return // it has not said who it is
	}
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Invalid" }, cmp.Comparer(
		func(a, b string) bool { return (a == "") == (b == "") }))
	if diff := cmp.Diff(want, got, ignore, plainArgs); diff != "" {
		t.Errorf("of %s, with %d bytes, %d mutations and %v applied: -want +got\n%s",
			body, b.MaxBytes, b.MaxMutations, applied, diff)
	}
}

// random is a push of version 1 of some mutations.
func random(r *rand.Rand) []byte {
	list := make([]string, r.IntN(12))
	for i := range list {
		list[i] = fmt.Sprintf(`{"timestamp":%d,"id":%d,"name":"n%d","args":%s,"clientID":"c%d"}`,
			r.IntN(10), 1+r.IntN(9), r.IntN(3), `"`+strings.Repeat(`é\u00e9\"`, r.IntN(1+r.IntN(100)))+`"`, r.IntN(3))
	}
	return []byte(strings.Replace(validPush, validMutation, strings.Join(list, ", "), 1))
}

func TestReadPushRequestInPieces(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		body := random(rand.New(rand.NewPCG(seed, 2)))
		checkPieces(t, body, seed)
		checkPieces(t, body[:rand.New(rand.NewPCG(seed, 3)).IntN(len(body))], seed)
		checkWindow(t, body, seed)
	}
}

func FuzzReadPush(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(random(rand.New(rand.NewPCG(seed, 2))), seed)
	}
	for _, body := range []string{
		validPush, validPushV0, `{"mutations":[{"args":"\ud83d\ude00\u12`,
		"{\"a\":\"\xf0\x9f\x98", "{\"\xc3\xa9\":1.5e+7}", "",
		push1(validMutation + "," + strings.Replace(validMutation, `"id":1`, `"id":2`, 1) + ",{}"),
	} {
		f.Add([]byte(body), uint64(1))
	}
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		checkPieces(t, body, seed)
		checkWindow(t, body, seed)
	})
}

// backlog reads as the push of n mutations by some clients, one after the other, with
// arguments of a size.
type backlog struct {
	clients, n, size int
	next             int
	rest             []byte
}

func (b *backlog) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		switch {
		case b.next == 0:
			b.rest = []byte(`{"profileID":"p","clientGroupID":"g","mutations":[`)
		case b.next <= b.n:
			i := b.next - 1
			b.rest = fmt.Appendf(nil, `{"timestamp":1,"id":%d,"name":"n","args":"%s","clientID":"c%d"}`,
				i/b.clients+1, strings.Repeat("x", b.size), i%b.clients)
			if i > 0 {
				b.rest = append([]byte(","), b.rest...)
			}
		case b.next == b.n+1:
			b.rest = []byte(`],"pushVersion":1,"schemaVersion":""}`)
		default:
			return 0, io.EOF
		}
		b.next++
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// TestReadPushRequestProgress: whatever the bound is that a backlog goes beyond, each try takes
// what comes behind that of the one before, though nothing is left out of it, and the
// clients are asked about in few requests.
func TestReadPushRequestProgress(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		clients, n, size int
		version0         bool
		tries            int
	}{
		"bytes":                        {clients: 3, n: 1000, size: 1000, tries: 5},
		"mutations":                    {clients: 3, n: 20_000, size: 0, tries: 7},
		"clients":                      {clients: 3500, n: 3500, size: 0, tries: 4},
		"more clients than are known":  {clients: 11_000, n: 11_000, size: 0, tries: 11},
		"mutations of nearly a window": {clients: 1, n: 5, size: 250_000, tries: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			applied, tries, asked := map[protocol.ClientID]int64{}, 0, 0
			bounds := protocol.PushBounds{
				MaxBytes: 256 << 10, MaxMutations: 3000, Hold: anyAmount,
				Applied: func(_ protocol.ClientGroupID, ids []protocol.ClientID) (map[protocol.ClientID]int64, error) {
					asked++
					if len(ids) > protocol.MaxPushClients {
						t.Errorf("asked about %d clients at once", len(ids))
					}
					return applied, nil
				},
			}
			for more := true; more; tries++ {
				r, err := protocol.ReadPushRequest(&backlog{clients: tc.clients, n: tc.n, size: tc.size}, bounds)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range r.Mutations {
					if m.ID > applied[m.ClientID]+1 {
						t.Fatalf("mutation %d of %s comes after %d", m.ID, m.ClientID, applied[m.ClientID])
					}
					applied[m.ClientID] = max(applied[m.ClientID], m.ID)
				}
				more = r.More
			}
			total := int64(0)
			for _, last := range applied {
				total += last
			}
			if total != int64(tc.n) || tries != tc.tries || asked > tries*(2+tc.clients/protocol.MaxPushClients) {
				t.Errorf("%d of %d mutations applied, in %d tries, want %d, with %d questions", total, tc.n, tries, tc.tries, asked)
			}
		})
	}
}

// TestReadPushRequestVersion0: a mutation of that time does not say whose it is.
func TestReadPushRequestVersion0(t *testing.T) {
	t.Parallel()
	one := `{"id":%d,"name":"n","args":null}`
	body := func(head string, version int) io.Reader {
		return strings.NewReader(`{` + head + `"mutations":[` + fmt.Sprintf(one+","+one+","+one, 1, 2, 3) +
			fmt.Sprintf(`],"pushVersion":%d,"schemaVersion":"","x":1}`, version))
	}
	bounds := protocol.PushBounds{
		MaxBytes: 1000, MaxMutations: 1, Hold: anyAmount,
		Applied: func(g protocol.ClientGroupID, ids []protocol.ClientID) (map[protocol.ClientID]int64, error) {
			if g != "c" || !slices.Equal(ids, []protocol.ClientID{"c"}) {
				t.Errorf("asked for %q of %q", ids, g)
			}
			return map[protocol.ClientID]int64{"c": 2}, nil
		},
	}
	got, err := protocol.ReadPushRequest(body(`"clientID":"c",`, 0), bounds)
	if err != nil {
		t.Fatal(err)
	}
	want := &protocol.PushRequest{
		ClientGroupID: "c", Skipped: map[protocol.ClientID]bool{"c": true},
		Mutations: []protocol.Mutation{{ClientID: "c", ID: 3, Name: "n", Args: json.RawMessage("null")}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	// Mutations that say whose they are, in a push that turns out to be of version 0.
	told := strings.NewReader(strings.ReplaceAll(`{"clientGroupID":"c","clientID":"d","mutations":[`+
		fmt.Sprintf(one+","+one, 1, 2), `"args"`, `"timestamp":0,"clientID":"c","args"`) +
		`],"pushVersion":0,"schemaVersion":""}`)
	_, err = protocol.ReadPushRequest(told, bounds)
	wantDecodeError(t, err, "mutations")
	// What has not said who sends it keeps what it has.
	late := strings.NewReader(`{"mutations":[` + fmt.Sprintf(one+","+one, 1, 2) +
		`],"clientID":"c","pushVersion":0,"schemaVersion":""}`)
	got, err = protocol.ReadPushRequest(late, bounds)
	if err != nil || len(got.Mutations) != 1 || !got.More {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestReadPushRequestLongValues: what of one mutation is too long is not kept, wherever it
// stands, and stops nobody.
func TestReadPushRequestLongValues(t *testing.T) {
	t.Parallel()
	const most = 100_000
	text := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	for name, tc := range map[string]struct {
		name, args, other string
		want              string // of the args
		invalid           string
	}{
		"as long as may be":       {`"n"`, text(most), "0", text(most), ""},
		"args too long":           {`"n"`, text(most + 1), "0", "null", "args are longer than 100000 bytes"},
		"args much too long":      {`"n"`, `{"a":[` + text(20*most) + `]}`, "0", "null", "args are longer than 100000 bytes"},
		"name too long":           {text(20 * most), `1`, "0", "1", "name is longer than 256 bytes"},
		"both":                    {text(20 * most), text(20 * most), "0", "null", "args are longer than 100000 bytes"},
		"what nobody asks for":    {`"n"`, "1", text(20 * most), "1", ""},
		"its name is, of a field": {`"n"`, "1", "0," + text(20*most) + ":0", "1", ""},
	} {
		for order, form := range map[string]string{
			"args in the middle": `{"clientID":"c1","id":1,"name":%s,"x":%s,"args":%s,"timestamp":0}`,
			"args first":         `{"args":%[3]s,"name":%[1]s,"x":%[2]s,"id":1,"timestamp":0,"clientID":"c1"}`,
			"args last":          `{"id":1,"timestamp":0,"clientID":"c1","x":%[2]s,"name":%[1]s,"args":%[3]s}`,
		} {
			t.Run(name+", "+order, func(t *testing.T) {
				t.Parallel()
				body := push1(fmt.Sprintf(form, tc.name, tc.other, tc.args) + "," +
					strings.Replace(validMutation, `"id":1`, `"id":2`, 1))
				held := int64(0)
				r, err := protocol.ReadPushRequest(&fragments{[]byte(body), rand.New(rand.NewPCG(0, 0))}, protocol.PushBounds{
					MaxBytes: most, Applied: nobody,
					Hold: func(n int64) error { held = max(held, n); return nil },
				})
				if err != nil {
					t.Fatal(err)
				}
				first := r.Mutations[0]
				if string(first.Args) != tc.want || first.Invalid != tc.invalid || first.ClientID != "c1" || first.ID != 1 {
					t.Errorf("got %.100q", fmt.Sprintf("%+v", first))
				}
				if !r.More && (len(r.Mutations) != 2 || string(r.Mutations[1].Args) != `{"id":"m"}`) {
					t.Errorf("got %d mutations, the last one %.100q", len(r.Mutations), fmt.Sprintf("%+v", r.Mutations))
				}
				if held > 2*most+1<<19 {
					t.Errorf("%d bytes were held for it", held)
				}
			})
		}
	}
}

func nobody(protocol.ClientGroupID, []protocol.ClientID) (map[protocol.ClientID]int64, error) {
	return map[protocol.ClientID]int64{}, nil
}

// TestReadPushRequestStops: an error of whoever is asked ends the reading, and is the answer.
func TestReadPushRequestStops(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		body   io.Reader
		bounds protocol.PushBounds
	}{
		"body": {
			io.MultiReader(strings.NewReader(validPush[:60]), iotest.ErrReader(broken)), roomy,
		},
		"memory": {
			strings.NewReader(validPush),
			protocol.PushBounds{MaxBytes: 1000, Hold: func(int64) error { return broken }},
		},
		"what is applied": {
			&backlog{clients: 1, n: 2},
			protocol.PushBounds{
				MaxBytes: 1000, MaxMutations: 1, Hold: anyAmount,
				Applied: func(protocol.ClientGroupID, []protocol.ClientID) (map[protocol.ClientID]int64, error) {
					return nil, broken
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := protocol.ReadPushRequest(tc.body, tc.bounds); !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestReadPushRequestMemory: of a long body no more is in memory at once than the bounds say,
// and the buffers that it goes through.
//
//nolint:paralleltest // it counts what the whole process has
func TestReadPushRequestMemory(t *testing.T) {
	for name, applied := range map[string]int64{"nothing applied": 0, "half applied": 10_000, "all applied": 1 << 40} {
		t.Run(name, func(t *testing.T) {
			var before runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			most, peak, since := int64(0), uint64(0), 0
			r, err := protocol.ReadPushRequest(&backlog{clients: 1, n: 20_000, size: 1000}, protocol.PushBounds{
				MaxBytes: 4 << 20,
				Hold: func(n int64) error {
					most = max(most, n)
					if since++; since%20 == 0 {
						var now runtime.MemStats
						runtime.GC()
						runtime.ReadMemStats(&now)
						peak = max(peak, now.HeapAlloc)
					}
					return nil
				},
				Applied: func(protocol.ClientGroupID, []protocol.ClientID) (map[protocol.ClientID]int64, error) {
					return map[protocol.ClientID]int64{"c0": applied}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if most > 5<<20 || peak > before.HeapAlloc+10<<20 {
				t.Errorf("%d bytes were asked for; the heap grew from %d to %d", most, before.HeapAlloc, peak)
			}
			runtime.KeepAlive(r)
		})
	}
}

// TestReadPushRequestKeepsLittle: what is kept of a body that is mostly white space is small,
// since a push may wait long after its request has ended.
//
//nolint:paralleltest // it counts what the whole process has
func TestReadPushRequestKeepsLittle(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"clientGroupID":"g","profileID":"p","schemaVersion":"","pushVersion":1,"mutations":[`)
	for i := range 12 { // each buffer has one, and so is replaced by a larger one
		fmt.Fprintf(&body, `%s{"clientID":"c","id":%d,"name":"m","args":{"a":%d},"timestamp":1},`,
			strings.Repeat(" ", 40<<10), i+1, i)
	}
	text := strings.TrimSuffix(body.String(), ",") + "]}"
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 100
	var kept []*protocol.PushRequest
	for range n {
		r, err := protocol.ReadPushRequest(strings.NewReader(text), protocol.PushBounds{MaxBytes: 1 << 20, Hold: anyAmount})
		if err != nil || len(r.Mutations) != 12 || string(r.Mutations[11].Args) != `{"a":11}` {
			t.Fatalf("got %+v, %v", r, err)
		}
		kept = append(kept, r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int64(after.HeapAlloc-before.HeapAlloc) / n; each > 8<<10 {
		t.Errorf("each of the pushes keeps %d bytes, want those of its mutations only", each)
	}
	runtime.KeepAlive(kept)
}
