package mutate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/mutate/mutatetest"
	"github.com/replifire/replifire/protocol"
)

// newSpace makes an empty space with one mutator, "m".
func newSpace[A any](
	t *testing.T, m func(ctx context.Context, tx mutate.WriteTransaction, args A) error,
) *mutatetest.Space {
	t.Helper()
	r := mutate.NewRegistry()
	mutate.Register(r, "m", m)
	return mutatetest.New(t, r, mutatetest.Options{})
}

// keep is a mutator that stores its arguments, to see what they decode into.
func keep[A any](_ context.Context, tx mutate.WriteTransaction, args A) error {
	return tx.Set("args", args)
}

// keepText stores the text of its arguments.
func keepText(ctx context.Context, tx mutate.WriteTransaction, args json.RawMessage) error {
	return keep(ctx, tx, string(args))
}

type point struct {
	X int `json:"x"`
	Y int `json:"y"`
}

type shape struct {
	Points []point          `json:"points"`
	Color  *string          `json:"color"`
	Sizes  map[string]uint8 `json:"sizes"`
	At     time.Time        `json:"at"`
}

func TestRunDecodesArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		space *mutatetest.Space
		args  string
		want  string // what is stored
	}{
		{"struct", newSpace(t, keep[point]), `{"x":1,"y":2}`, `{"x":1,"y":2}`},
		{"fields missing, null and extra", newSpace(t, keep[point]), `{"x":null,"z":[1]}`, `{"x":0,"y":0}`},
		{"null", newSpace(t, keep[point]), `null`, `{"x":0,"y":0}`},
		{"null for a pointer", newSpace(t, keep[*point]), `null`, `null`},
		{"no arguments", newSpace(t, keep[struct{}]), `null`, `{}`},
		{"no arguments, and some come", newSpace(t, keep[struct{}]), `{"x":"y"}`, `{}`},
		{"string", newSpace(t, keep[string]), `"é\u2028<&"`, "\"é\u2028<&\""},
		{"list", newSpace(t, keep[[]point]), `[{"x":1},{}]`, `[{"x":1,"y":0},{"x":0,"y":0}]`},
		{"text as it came", newSpace(t, keepText), `{"b":1.0,"a":"<"}`, `"{\"b\":1.0,\"a\":\"<\"}"`},
		{"anything", newSpace(t, keep[any]), `[1,{"a":null}]`, `[1,{"a":null}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := c.space.Run("m", json.RawMessage(c.args)); err != nil {
				t.Fatal(err)
			}
			if got, want := c.space.State(), "{\n\"args\": "+c.want+"\n}"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestRunRefusesArguments(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	for _, c := range []struct {
		name  string
		space *mutatetest.Space
		args  string
		want  string
	}{
		{"string for a struct", newSpace(t, keep[point]), `"s3cret"`, "JSON string does not fit"},
		{"array for a struct", newSpace(t, keep[point]), `["s3cret"]`, "JSON array does not fit"},
		{"string for a number", newSpace(t, keep[point]), `{"x":"s3cret"}`, "x: JSON string does not fit"},
		{"fraction for an integer", newSpace(t, keep[point]), `{"y":12.5}`, "y: JSON number does not fit"},
		{"too large for a double", newSpace(t, keep[float64]), `12e500`, "JSON number does not fit"},
		{"within a list", newSpace(t, keep[shape]), `{"points":[{"x":true}]}`, "points.x: JSON bool does not fit"},
		{"behind a pointer", newSpace(t, keep[shape]), `{"color":{"s3cret":1}}`, "color: JSON object does not fit"},
		{"within a map", newSpace(t, keep[shape]), `{"sizes":{"s3cret":1257}}`, "sizes: JSON number does not fit"},
		{"by a method of the type's", newSpace(t, keep[shape]), `{"at":"s3cret"}`, "JSON does not decode"},
		{"nested too deeply", newSpace(t, keep[any]), string(nested(101)), "args are nested deeper than 100"},
		{"half of a surrogate pair", newSpace(t, keep[any]), `"\udc00"`, "args contain half of a surrogate pair"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.space.Run("m", json.RawMessage(c.args))
			if !errors.Is(err, mutate.ErrBadArguments) {
				t.Fatalf("got error %v, want ErrBadArguments", err)
			}
			got := mutate.Reason(err)
			if want := "bad arguments: " + c.want; got != want {
				t.Errorf("got reason %q, want %q", got, want)
			}
			if strings.Contains(got, secret) || strings.Contains(got, "12") {
				t.Errorf("reason %q holds what the user sent", got)
			}
			if diff := c.space.Diff(nil); diff != "" {
				t.Errorf("rejected, but the state changed:\n%s", diff)
			}
		})
	}
}

// positive is validated by value, ordered by pointer.
type positive struct {
	N int `json:"n"`
}

func (p positive) Validate() error {
	if p.N <= 0 {
		return errors.New("n must be positive")
	}
	return nil
}

type ordered struct {
	A int `json:"a"`
	B int `json:"b"`
}

func (o *ordered) Validate() error {
	if o.A > o.B {
		o.A, o.B = o.B, o.A
	}
	if o.A < 0 {
		panic("negative")
	}
	return nil
}

func TestRunValidates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		space  *mutatetest.Space
		args   string
		stored string
		reason string
	}{
		{"value passes", newSpace(t, keep[positive]), `{"n":1}`, `{"n":1}`, ""},
		{"value fails", newSpace(t, keep[positive]), `{"n":0}`, "", "bad arguments: n must be positive"},
		{"null is validated", newSpace(t, keep[positive]), `null`, "", "bad arguments: n must be positive"},
		{"pointer to it passes", newSpace(t, keep[*positive]), `{"n":1}`, `{"n":1}`, ""},
		{"pointer to it fails", newSpace(t, keep[*positive]), `{}`, "", "bad arguments: n must be positive"},
		{"pointer may change it", newSpace(t, keep[ordered]), `{"a":2,"b":1}`, `{"a":1,"b":2}`, ""},
		{"panic", newSpace(t, keep[ordered]), `{"a":-2,"b":1}`, "", "internal error in the mutator"},
		{"not what is within", newSpace(t, keep[[]positive]), `[{"n":0}]`, `[{"n":0}]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.space.Run("m", json.RawMessage(c.args))
			reason, state := "", map[string]any{}
			if err != nil {
				reason = mutate.Reason(err)
			}
			if c.stored != "" {
				state["args"] = json.RawMessage(c.stored)
			}
			if reason != c.reason {
				t.Errorf("got reason %q, want %q", reason, c.reason)
			}
			if diff := c.space.Diff(state); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunWithoutArguments(t *testing.T) {
	t.Parallel()
	r := mutate.NewRegistry()
	var got *int
	mutate.Register(r, "m", func(_ context.Context, _ mutate.WriteTransaction, n int) error {
		got = &n
		return nil
	})
	if err := r.Run(t.Context(), "m", nil, nil); err != nil {
		t.Fatal(err)
	}
	if got == nil || *got != 0 {
		t.Errorf("got argument %v, want 0", got)
	}
}

func TestRunUnknown(t *testing.T) {
	t.Parallel()
	err := mutate.NewRegistry().Run(t.Context(), "m", nil, json.RawMessage("{}"))
	if !errors.Is(err, mutate.ErrUnknownMutator) {
		t.Errorf("got error %v, want ErrUnknownMutator", err)
	}
	if got, want := mutate.Reason(err), "unknown mutator"; got != want {
		t.Errorf("got reason %q, want %q", got, want)
	}
}

type contextKey struct{}

func TestRunPassesContextAndError(t *testing.T) {
	t.Parallel()
	r := mutate.NewRegistry()
	boom := errors.New("boom")
	mutate.Register(r, "m", func(ctx context.Context, _ mutate.WriteTransaction, _ any) error {
		return fmt.Errorf("%v: %w", ctx.Value(contextKey{}), boom)
	})
	err := r.Run(context.WithValue(t.Context(), contextKey{}, "value"), "m", nil, nil)
	if !errors.Is(err, boom) || err.Error() != "value: boom" {
		t.Errorf("got error %v, want the mutator's own", err)
	}
}

// fault is an error type that is often returned as a nil pointer by mistake.
type fault struct{ text string }

func (f *fault) Error() string { return f.text }

func TestRunRecovers(t *testing.T) {
	t.Parallel()
	var none map[string]int
	for _, c := range []struct {
		name   string
		mutate func() error
	}{
		{"panic", func() error { panic("s3cret") }},
		{"panic with nil", func() error { panic(nil) }},
		{"panic with an error", func() error { panic(mutate.Retry(errors.New("s3cret"))) }},
		{"runtime error", func() error { none["a"] = 1; return nil }},
		{"error that cannot be printed", func() error { var f *fault; return f }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := mutate.NewRegistry()
			mutate.Register(r, "m", func(context.Context, mutate.WriteTransaction, any) error {
				return c.mutate()
			})
			err := r.Run(t.Context(), "m", nil, nil)
			p, ok := errors.AsType[*mutate.PanicError](err)
			if !ok {
				t.Fatalf("got error %v, want a PanicError", err)
			}
			if p.Value == nil || !strings.Contains(string(p.Stack), "TestRunRecovers") &&
				!strings.Contains(string(p.Stack), "fault") {
				t.Errorf("got value %v and stack\n%s\nwant the place of the panic", p.Value, p.Stack)
			}
			if !strings.HasPrefix(p.Error(), "mutator panicked: ") {
				t.Errorf("got text %q", p.Error())
			}
			if got, want := mutate.Reason(err), "internal error in the mutator"; got != want {
				t.Errorf("got reason %q, want %q", got, want)
			}
			if mutate.IsRetry(err) {
				t.Error("a panic is for good, but it is to be tried again")
			}
		})
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fn   func(context.Context, mutate.WriteTransaction, any) error
		want string
	}{
		{"", keep[any], "needs a name"},
		{"m", nil, "a function"},
		{"taken", keep[any], "registered twice"},
		{strings.Repeat("x", protocol.MaxNameBytes+1), keep[any], "no client can call"},
		{"\xff", keep[any], "no client can call"},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			r := mutate.NewRegistry()
			mutate.Register(r, "taken", keep[any])
			err := mutate.TryRegister(r, c.name, c.fn)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
			defer func() {
				if v := recover(); fmt.Sprint(v) != fmt.Sprint(err) {
					t.Errorf("got panic %v, want %v", v, err)
				}
			}()
			mutate.Register(r, c.name, c.fn)
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	r := mutate.NewRegistry()
	if got := r.Names(); len(got) != 0 {
		t.Errorf("got names %q, want none", got)
	}
	longest := strings.Repeat("x", protocol.MaxNameBytes)
	for _, name := range []string{"b", longest, "B", "a", "é"} {
		mutate.Register(r, name, keep[any])
	}
	if diff := cmp.Diff([]string{"B", "a", "b", longest, "é"}, r.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestRunAtTheSameTime is for the race detector.
func TestRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	r := mutate.NewRegistry()
	mutate.Register(r, "m", func(_ context.Context, _ mutate.WriteTransaction, n int) error {
		return fmt.Errorf("%d", n)
	})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			want := strconv.Itoa(i)
			if err := r.Run(t.Context(), "m", nil, json.RawMessage(want)); err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if len(r.Names()) == 0 {
				t.Error("got no names")
			}
		})
	}
	group.Wait()
}

func TestGet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		stored map[string]any
		want   string // of the point, and whether it is there
		reason string
	}{
		{"there", map[string]any{"k": point{1, 2}}, "{1 2} true", ""},
		{"absent", nil, "{0 0} false", ""},
		{"null is a value", map[string]any{"k": nil}, "{0 0} true", ""},
		{"of another type", map[string]any{"k": []int{1}}, "", "stored value: JSON array does not fit"},
		{
			"of another type within",
			map[string]any{"k": map[string]any{"x": "s3cret"}},
			"",
			"stored value: x: JSON string does not fit",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := mutate.NewRegistry()
			got := ""
			mutate.Register(r, "m", func(_ context.Context, tx mutate.WriteTransaction, _ any) error {
				p, ok, err := mutate.Get[point](tx, "k")
				if err != nil {
					return err
				}
				got = fmt.Sprint(p, ok)
				return nil
			})
			reason := ""
			if err := mutatetest.New(t, r, mutatetest.Options{State: c.stored}).Run("m", nil); err != nil {
				reason = mutate.Reason(err)
			}
			if got != c.want || reason != c.reason {
				t.Errorf("got %q and reason %q, want %q and %q", got, reason, c.want, c.reason)
			}
		})
	}
}
