package mutatetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/mutate/mutatetest"
)

// printer stands in for the *testing.T of a test.
type printer struct{ testing.TB }

func (printer) Helper()                  {}
func (printer) Context() context.Context { return context.Background() }
func (printer) Errorf(f string, a ...any) {
	fmt.Printf("FAIL: "+f+"\n", a...)
}

// increment is the mutator under test.
func increment(_ context.Context, tx mutate.WriteTransaction, by int) error {
	if by < 0 {
		return errors.New("by must not be negative")
	}
	n, _, err := mutate.Get[int](tx, "counter")
	if err != nil {
		return err
	}
	return tx.Set("counter", n+by)
}

func Example() {
	t := printer{} // in a test, its *testing.T
	mutators := mutate.NewRegistry()
	mutate.Register(mutators, "increment", increment)

	space := mutatetest.New(t, mutators, mutatetest.Options{State: map[string]any{"counter": 40}})
	fmt.Println(space.Run("increment", 2))
	fmt.Println(space.Run("increment", -1))
	fmt.Println(space.State())
	for _, r := range space.Rejections() {
		fmt.Printf("%s (%d): %s\n", r.Name, r.ID, r.Reason)
	}
	// Output:
	// <nil>
	// by must not be negative
	// {
	// "counter": 42
	// }
	// increment (2): by must not be negative
}

func ExampleSpace_Run() {
	t := printer{} // in a test, its *testing.T
	calls := 0
	mutators := mutate.NewRegistry()
	mutate.Register(mutators, "impure",
		func(_ context.Context, tx mutate.WriteTransaction, _ struct{}) error {
			calls++
			return tx.Set("calls", calls)
		})

	space := mutatetest.New(t, mutators, mutatetest.Options{})
	fmt.Println(space.Run("impure", nil))
	// Output:
	// FAIL: mutator "impure" is not pure, it ended differently when run again
	// first: written:
	// "calls": 1
	// again: written:
	// "calls": 2
	// <nil>
}

func ExampleSpace_As() {
	t := printer{} // in a test, its *testing.T
	mutators := mutate.NewRegistry()
	mutate.Register(mutators, "sign",
		func(_ context.Context, tx mutate.WriteTransaction, key string) error {
			return tx.Set(key, tx.UserID())
		})

	ann := mutatetest.New(t, mutators, mutatetest.Options{UserID: "ann"})
	bob := ann.As("bob", nil)
	fmt.Println(ann.Run("sign", "a"), bob.Run("sign", "b"))
	fmt.Println(ann.State())
	// Output:
	// <nil> <nil>
	// {
	// "a": "ann",
	// "b": "bob"
	// }
}

func ExampleSpace_Diff() {
	t := printer{} // in a test, its *testing.T
	space := mutatetest.New(t, mutate.NewRegistry(), mutatetest.Options{
		State: map[string]any{"a": 1, "b": 2},
	})
	fmt.Print(space.Diff(map[string]any{"a": 1.0, "b": 3}))
	// Output:
	// -"b": 3
	// +"b": 2
}
