package mutatetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/mutate/mutatetest"
	"github.com/replifire/replifire/protocol"
)

// judged is a test that notes how it was judged instead of failing.
type judged struct {
	testing.TB
	errors []string
	fatal  string
	logs   []string
}

func (j *judged) Helper() {}

func (j *judged) Errorf(format string, args ...any) {
	j.errors = append(j.errors, fmt.Sprintf(format, args...))
}

func (j *judged) Logf(format string, args ...any) {
	j.logs = append(j.logs, fmt.Sprintf(format, args...))
}

// stop is what Fatalf ends a test with.
type stop struct{}

func (j *judged) Fatalf(format string, args ...any) {
	j.fatal = fmt.Sprintf(format, args...)
	panic(stop{})
}

// judge runs fn as a test.
func judge(t *testing.T, fn func(t testing.TB)) (j *judged) {
	t.Helper()
	j = &judged{TB: t}
	defer func() {
		if v := recover(); v != nil && v != (stop{}) {
			panic(v)
		}
	}()
	fn(j)
	return j
}

// mutator is one without arguments.
type mutator func(tx mutate.WriteTransaction) error

// newSpace makes a space with one mutator, "m".
func newSpace(t testing.TB, o mutatetest.Options, m mutator) *mutatetest.Space {
	t.Helper()
	r := mutate.NewRegistry()
	mutate.Register(r, "m", func(_ context.Context, tx mutate.WriteTransaction, _ any) error {
		return m(tx)
	})
	return mutatetest.New(t, r, o)
}

func TestRunApplies(t *testing.T) {
	t.Parallel()
	space := newSpace(t, mutatetest.Options{State: map[string]any{"a": 1, "b": 2}},
		func(tx mutate.WriteTransaction) error {
			if _, err := tx.Del("a"); err != nil {
				return err
			}
			return tx.Set("c", "<é>")
		})
	if err := space.Run("m", nil); err != nil {
		t.Fatal(err)
	}
	if got, want := space.State(), "{\n\"b\": 2,\n\"c\": \"<é>\"\n}"; got != want {
		t.Errorf("got state %s, want %s", got, want)
	}
	if !json.Valid([]byte(space.State())) {
		t.Errorf("state %s is not JSON", space.State())
	}
	if got := space.LastMutationID(); got != 1 {
		t.Errorf("got last mutation id %d, want 1", got)
	}
	if got := space.Rejections(); len(got) != 0 {
		t.Errorf("got rejections %v, want none", got)
	}
}

func TestRunRejects(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	space := newSpace(t, mutatetest.Options{State: map[string]any{"a": 1}},
		func(tx mutate.WriteTransaction) error {
			if err := errors.Join(tx.Set("a", 2), tx.Set("b", 2)); err != nil {
				return err
			}
			return boom
		})
	if err := space.Run("m", nil); !errors.Is(err, boom) {
		t.Errorf("got error %v, want %v", err, boom)
	}
	name := strings.Repeat("é", 60)
	if err := space.Run(name, nil); !errors.Is(err, mutate.ErrUnknownMutator) {
		t.Errorf("got error %v, want ErrUnknownMutator", err)
	}
	if diff := space.Diff(map[string]any{"a": 1}); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	want := []protocol.Rejection{
		{ID: 1, Name: "m", Reason: "boom"},
		{ID: 2, Name: name[:100], Reason: "unknown mutator"},
	}
	if diff := cmp.Diff(want, space.Rejections()); diff != "" {
		t.Errorf("rejections (-want +got):\n%s", diff)
	}
	if got := space.LastMutationID(); got != 2 {
		t.Errorf("got last mutation id %d, want 2", got)
	}
}

func TestRunRetry(t *testing.T) {
	t.Parallel()
	space := newSpace(t, mutatetest.Options{}, func(tx mutate.WriteTransaction) error {
		if err := tx.Set("a", 1); err != nil {
			return err
		}
		return mutate.Retry(errors.New("down"))
	})
	if err := space.Run("m", nil); !mutate.IsRetry(err) {
		t.Errorf("got error %v, want one of Retry's", err)
	}
	if got := space.State() + fmt.Sprint(space.LastMutationID(), space.Rejections()); got != "{\n}0 []" {
		t.Errorf("something has happened: %s", got)
	}
}

func TestRunPanic(t *testing.T) {
	t.Parallel()
	var err error
	j := judge(t, func(t testing.TB) {
		t.Helper()
		space := newSpace(t, mutatetest.Options{}, func(mutate.WriteTransaction) error { panic("boom") })
		err = space.Run("m", nil)
	})
	if _, ok := errors.AsType[*mutate.PanicError](err); !ok {
		t.Errorf("got error %v, want a PanicError", err)
	}
	if len(j.errors) > 0 {
		t.Errorf("got failures %q: a panic is a rejection", j.errors)
	}
	if len(j.logs) != 1 || !strings.Contains(j.logs[0], "boom") || !strings.Contains(j.logs[0], "TestRunPanic") {
		t.Errorf("got log %q, want the panic's value and stack", j.logs)
	}
}

// who is what a transaction says about its caller.
type who struct {
	Space    protocol.SpaceID
	ClientID protocol.ClientID
	UserID   string
	Claims   string
	Mutation int64
}

func TestOptions(t *testing.T) {
	t.Parallel()
	var got who
	m := func(tx mutate.WriteTransaction) error {
		got = who{tx.Space(), tx.ClientID(), tx.UserID(), string(tx.Claims()), tx.MutationID()}
		return errors.New("no")
	}
	check := func(space *mutatetest.Space, want who) {
		t.Helper()
		if err := space.Run("m", nil); err == nil {
			t.Error("got no error")
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	check(newSpace(t, mutatetest.Options{}, m), who{"default", "client", "", "", 1})
	claims := json.RawMessage(`{"admin":true}`)
	ann := newSpace(t, mutatetest.Options{Space: "s", ClientID: "c", UserID: "ann", Claims: claims}, m)
	check(ann, who{"s", "c", "ann", string(claims), 1})
	check(ann, who{"s", "c", "ann", string(claims), 2})
	check(ann.As("bob", nil), who{"s", "bob", "bob", "", 1})
	check(ann.As("", nil), who{"s", "nobody", "", "", 1})
	check(ann.As("bob", claims), who{"s", "bob", "bob", string(claims), 2})
	if got, want := len(ann.Rejections())+10*len(ann.As("bob", nil).Rejections()), 22; got != want {
		t.Errorf("got rejections %d, want %d", got, want)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	state := map[string]any{
		"a": json.RawMessage(`{"y":1.0,"x":1e2}`), "b": "b", "c": json.RawMessage("1e999"),
		"d\n\u2028": nil,
	}
	space := newSpace(t, mutatetest.Options{State: state}, nil)
	if diff := space.Diff(state); diff != "" {
		t.Errorf("got difference %.200s, want none", diff)
	}
	state["a"] = map[string]any{"x": 100, "y": 1}
	if diff := space.Diff(state); diff != "" {
		t.Errorf("got difference %.200s, want none", diff)
	}
	state["b"], state["f"] = "c", 1
	delete(state, "c")
	delete(state, "d\n\u2028")
	want := `-"b": "c"
-"f": 1
+"b": "b"
+"c": 1e+999
+"d\n` + "\u2028" + `": null
`
	if diff := cmp.Diff(want, space.Diff(state)); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		key   string
		value any
		want  string
	}{
		{"longest key", strings.Repeat("x", 1024), 1, ""},
		{"key too long", strings.Repeat("x", 1025), 1, "key is longer"},
		{"key that is not UTF-8", "\xff", 1, "key is not valid"},
		{"value too large", "a", strings.Repeat("x", 1_000_000), "value is larger"},
		{"value that is not JSON", "a", math.NaN(), "value is not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			space := newSpace(t, mutatetest.Options{}, func(tx mutate.WriteTransaction) error {
				return tx.Set(c.key, c.value)
			})
			state, reason := map[string]any{c.key: c.value}, ""
			if err := space.Run("m", nil); err != nil {
				state, reason = nil, mutate.Reason(err)
			}
			if !strings.Contains(reason, c.want) || (reason == "") != (c.want == "") {
				t.Errorf("got reason %q, want %q in it", reason, c.want)
			}
			if diff := space.Diff(state); diff != "" {
				t.Errorf("state (-want +got):\n%.200s", diff)
			}
		})
	}
}

func TestIsEmpty(t *testing.T) {
	t.Parallel()
	var got []bool
	space := newSpace(t, mutatetest.Options{}, func(tx mutate.WriteTransaction) error {
		before, err := tx.IsEmpty()
		if err != nil {
			return err
		}
		if err := tx.Set("", nil); err != nil {
			return err
		}
		after, err := tx.IsEmpty()
		got = []bool{before, after}
		return err
	})
	if err := space.Run("m", nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{true, false}, got); diff != "" {
		t.Errorf("before and after a write (-want +got):\n%s", diff)
	}
}

// TestImpossible has what ends a test: what no space and no client can have.
func TestImpossible(t *testing.T) {
	t.Parallel()
	apply := func(args any) func(testing.TB) {
		return func(t testing.TB) {
			t.Helper()
			_ = newSpace(t, mutatetest.Options{}, nil).Run("m", args)
		}
	}
	begin := func(key string, value any) func(testing.TB) {
		return func(t testing.TB) {
			t.Helper()
			newSpace(t, mutatetest.Options{State: map[string]any{key: value}}, nil)
		}
	}
	for _, c := range []struct {
		name string
		fn   func(testing.TB)
		want string
	}{
		{"key", begin(strings.Repeat("x", 1025), 1), "longer than 1024 bytes"},
		{"value", begin("a", math.Inf(1)), "not JSON"},
		{"half of a surrogate pair", begin("a", json.RawMessage(`"\ud800"`)), "surrogate"},
		{"arguments", apply(func() {}), `arguments of mutator "m"`},
		{"arguments that are not JSON", apply(json.RawMessage("{")), `arguments of mutator "m"`},
		{"arguments that are not UTF-8", apply(json.RawMessage("\"\xff\"")), "the server refuses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if j := judge(t, c.fn); !strings.Contains(j.fatal, c.want) {
				t.Errorf("got %q, want %q in it", j.fatal, c.want)
			}
		})
	}
}

// own is what a mutator keeps between its runs, and should not.
type own struct {
	runs int
	kept mutate.WriteTransaction
}

// TestMisbehaviour has mutators that break the rules of package mutate.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		mutator func(own *own, tx mutate.WriteTransaction) error
		want    []string // one for each failure
	}{
		{"state of its own", func(own *own, tx mutate.WriteTransaction) error {
			own.runs++
			return tx.Set("runs", own.runs)
		}, []string{"is not pure"}},
		{"time", func(_ *own, tx mutate.WriteTransaction) error {
			return tx.Set("at", time.Now().String())
		}, []string{"is not pure"}},
		{"another key", func(_ *own, tx mutate.WriteTransaction) error {
			return tx.Set(fmt.Sprint("at", time.Now().UnixNano()), 1)
		}, []string{"is not pure"}},
		{"rejects only once", func(own *own, _ mutate.WriteTransaction) error {
			if own.runs++; own.runs%2 == 1 {
				return errors.New("odd")
			}
			return nil
		}, []string{"is not pure"}},
		{"retries only once", func(own *own, _ mutate.WriteTransaction) error {
			if own.runs++; own.runs%2 == 1 {
				return mutate.Retry(errors.New("odd"))
			}
			return errors.New("odd")
		}, []string{"is not pure"}},
		{"acts before it reads", func(own *own, tx mutate.WriteTransaction) error {
			own.runs++
			_, _, err := tx.Get("a")
			return errors.Join(err, tx.Set("runs", own.runs))
		}, []string{"is not pure"}},
		{"keeps an error of Get to itself", func(_ *own, tx mutate.WriteTransaction) error {
			raw, _, _ := tx.Get("a")
			return tx.Set("b", raw)
		}, []string{"does not return the error"}},
		{"keeps an error of Has to itself", func(_ *own, tx mutate.WriteTransaction) error {
			if ok, err := tx.Has("a"); err != nil || !ok {
				return nil //nolint:nilerr // that is the mistake
			}
			return tx.Set("a", 2)
		}, []string{"does not return the error"}},
		{"keeps an error of Scan to itself", func(_ *own, tx mutate.WriteTransaction) error {
			n := 0
			for range tx.Scan(mutate.ScanOptions{}) { //nolint:errcheck // that is the mistake
				n++
			}
			return tx.Set("n", n)
		}, []string{"does not return the error"}},
		{"panics after an error", func(_ *own, tx mutate.WriteTransaction) error {
			raw, _, _ := tx.Get("a")
			return tx.Set("b", raw[0])
		}, []string{"went on after an error"}},
		{"never has enough", func(own *own, tx mutate.WriteTransaction) error {
			own.runs++
			_, err := tx.Has(strconv.Itoa(own.runs))
			return err
		}, []string{"asks for something else", "is not pure"}},
		{"keeps its transaction", func(own *own, tx mutate.WriteTransaction) error {
			if own.kept != nil {
				if err := own.kept.Set("a", 1); err != nil {
					return err
				}
			}
			own.kept = tx
			return nil
		}, []string{"after it had returned", "is not pure"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := &own{}
			j := judge(t, func(t testing.TB) {
				t.Helper()
				space := newSpace(t, mutatetest.Options{State: map[string]any{"a": 1}},
					func(tx mutate.WriteTransaction) error { return c.mutator(o, tx) })
				_ = space.Run("m", nil)
			})
			if len(j.errors) != len(c.want) {
				t.Fatalf("got failures %q, want %q", j.errors, c.want)
			}
			for i, want := range c.want {
				if !strings.Contains(j.errors[i], want) {
					t.Errorf("got failure %q, want %q in it", j.errors[i], want)
				}
			}
		})
	}
}

func TestMisbehaviourIsShown(t *testing.T) {
	t.Parallel()
	runs := 0
	j := judge(t, func(t testing.TB) {
		t.Helper()
		space := newSpace(t, mutatetest.Options{State: map[string]any{"a": 1}}, func(tx mutate.WriteTransaction) error {
			if runs++; runs > 2 {
				return errors.New("too late")
			}
			_, err := tx.Del("a")
			return errors.Join(err, tx.Set("b", 2))
		})
		_ = space.Run("m", nil)
		if diff := space.Diff(map[string]any{"b": 2}); diff != "" {
			t.Errorf("the first end was not the one that counts:\n%s", diff)
		}
	})
	want := []string{`mutator "m" is not pure, it ended differently when run again
first: written:
"a": deleted
"b": 2
again: rejected: too late`}
	if diff := cmp.Diff(want, j.errors); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

// TestRounds counts how often a mutator runs: again for each thing that it could
// not know before it had read another, and once more with everything in memory.
func TestRounds(t *testing.T) {
	t.Parallel()
	state := map[string]any{"a": "b", "b": "c", "c": "d"}
	for _, c := range []struct {
		name    string
		mutator func(tx mutate.WriteTransaction) error
		want    int
	}{
		{"reads nothing", func(tx mutate.WriteTransaction) error { return tx.Set("a", 1) }, 1 + 1},
		{"reads a key twice", func(tx mutate.WriteTransaction) error {
			if _, err := tx.Has("a"); err != nil {
				return err
			}
			_, err := tx.Del("a")
			return err
		}, 2 + 1},
		{"reads what it wrote", func(tx mutate.WriteTransaction) error {
			if err := tx.Set("a", 1); err != nil {
				return err
			}
			_, _, err := tx.Get("a")
			return err
		}, 1 + 1},
		{"follows a chain", func(tx mutate.WriteTransaction) error {
			for key := "a"; ; {
				next, ok, err := mutate.Get[string](tx, key)
				if err != nil || !ok {
					return err
				}
				key = next
			}
		}, 5 + 1},
		{"scans", func(tx mutate.WriteTransaction) error {
			for range 2 {
				for _, err := range tx.Scan(mutate.ScanOptions{Prefix: "b"}) {
					if err != nil {
						return err
					}
				}
			}
			return nil
		}, 2 + 1},
		{"asks whether it is empty", func(tx mutate.WriteTransaction) error {
			_, err := tx.IsEmpty()
			return err
		}, 2 + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			space := newSpace(t, mutatetest.Options{State: state}, func(tx mutate.WriteTransaction) error {
				runs++
				return c.mutator(tx)
			})
			if err := space.Run("m", nil); err != nil {
				t.Fatal(err)
			}
			if runs != c.want {
				t.Errorf("got %d runs, want %d", runs, c.want)
			}
		})
	}
}

// TestTimeInBubble is what the package's comment says about time.
func TestTimeInBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		space := newSpace(t, mutatetest.Options{}, func(tx mutate.WriteTransaction) error {
			return tx.Set("at", time.Now())
		})
		if err := space.Run("m", nil); err != nil {
			t.Fatal(err)
		}
		if diff := space.Diff(map[string]any{"at": time.Now()}); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
	})
}

// TestValuesAreCopies changes what a transaction returned.
func TestValuesAreCopies(t *testing.T) {
	t.Parallel()
	state := map[string]any{"a": "text"}
	space := newSpace(t, mutatetest.Options{State: state}, func(tx mutate.WriteTransaction) error {
		raw, _, err := tx.Get("a")
		if err != nil {
			return err
		}
		clear(raw)
		for e, err := range tx.Scan(mutate.ScanOptions{}) {
			if err != nil {
				return err
			}
			clear(e.Value)
		}
		return nil
	})
	if err := space.Run("m", nil); err != nil {
		t.Fatal(err)
	}
	if diff := space.Diff(state); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}
