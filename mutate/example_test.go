package mutate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/mutate/mutatetest"
)

// Todo is what a to-do app stores.
type Todo struct {
	Text string `json:"text"`
	Done bool   `json:"done"`
}

var todos = mutate.Collection[Todo]{Prefix: "todo/"}

// AddTodo is the argument of the mutator addTodo.
type AddTodo struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// Validate refuses a to-do without a text.
func (a AddTodo) Validate() error {
	if a.Text == "" {
		return errors.New("text is empty")
	}
	return nil
}

func addTodo(_ context.Context, tx mutate.WriteTransaction, a AddTodo) error {
	return todos.Set(tx, a.ID, Todo{Text: a.Text})
}

func finishTodo(_ context.Context, tx mutate.WriteTransaction, id string) error {
	todo, ok, err := todos.Get(tx, id)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("no such to-do")
	}
	todo.Done = true
	return todos.Set(tx, id, todo)
}

func deleteFinished(_ context.Context, tx mutate.WriteTransaction, _ struct{}) error {
	for todo, err := range todos.Scan(tx, mutate.ScanOptions{}) {
		if err != nil {
			return err
		}
		if !todo.Value.Done {
			continue
		}
		if _, err := todos.Del(tx, todo.ID); err != nil {
			return err
		}
	}
	return nil
}

func mutators() *mutate.Registry {
	r := mutate.NewRegistry()
	mutate.Register(r, "addTodo", addTodo)
	mutate.Register(r, "finishTodo", finishTodo)
	mutate.Register(r, "deleteFinished", deleteFinished)
	return r
}

// printer stands in for the *testing.T of a test.
type printer struct{ testing.TB }

func (printer) Helper()                  {}
func (printer) Context() context.Context { return context.Background() }

func Example() {
	space := mutatetest.New(printer{}, mutators(), mutatetest.Options{})
	fmt.Println(space.Run("addTodo", AddTodo{ID: "1", Text: "write"}))
	fmt.Println(space.Run("addTodo", AddTodo{ID: "2", Text: "test"}))
	fmt.Println(space.Run("addTodo", AddTodo{ID: "3"}))
	fmt.Println(space.Run("finishTodo", "1"))
	fmt.Println(space.Run("deleteFinished", nil))
	fmt.Println(space.State())
	// Output:
	// <nil>
	// <nil>
	// bad arguments: text is empty
	// <nil>
	// <nil>
	// {
	// "todo/2": {"done":false,"text":"test"}
	// }
}

func ExampleRegister() {
	r := mutate.NewRegistry()
	// The type of the arguments is that of the function's last parameter.
	mutate.Register(r, "rename",
		func(_ context.Context, tx mutate.WriteTransaction, name string) error {
			return tx.Set("name", name)
		})
	space := mutatetest.New(printer{}, r, mutatetest.Options{})
	fmt.Println(space.Run("rename", "replifire"))
	fmt.Println(space.Run("rename", 5))
	// Output:
	// <nil>
	// bad arguments: JSON number does not fit
}

func ExampleTryRegister() {
	fmt.Println(mutate.TryRegister(mutators(), "addTodo", addTodo))
	// Output: mutate: mutator "addTodo" is registered twice
}

func ExampleRegistry_Names() {
	fmt.Println(mutators().Names())
	// Output: [addTodo deleteFinished finishTodo]
}

func ExampleGet() {
	r := mutate.NewRegistry()
	mutate.Register(r, "increment",
		func(_ context.Context, tx mutate.WriteTransaction, _ struct{}) error {
			n, _, err := mutate.Get[int](tx, "counter") // 0 if there is none
			if err != nil {
				return err
			}
			return tx.Set("counter", n+1)
		})
	space := mutatetest.New(printer{}, r, mutatetest.Options{})
	fmt.Println(space.Run("increment", nil), space.Run("increment", nil))
	fmt.Println(space.State())
	// Output:
	// <nil> <nil>
	// {
	// "counter": 2
	// }
}

func ExampleRetry() {
	r := mutate.NewRegistry()
	mutate.Register(r, "translate",
		func(_ context.Context, _ mutate.WriteTransaction, _ string) error {
			return mutate.Retry(errors.New("the dictionary is down"))
		})
	space := mutatetest.New(printer{}, r, mutatetest.Options{})
	err := space.Run("translate", "word")
	fmt.Println(mutate.IsRetry(err), err)
	fmt.Println("acknowledged:", space.LastMutationID())
	// Output:
	// true try again later: the dictionary is down
	// acknowledged: 0
}

func ExampleReason() {
	fmt.Println(mutate.Reason(errors.New("no such to-do")))
	fmt.Println(mutate.Reason(&mutate.PanicError{Value: "index out of range"}))
	// Output:
	// no such to-do
	// internal error in the mutator
}

func ExampleCollection_Scan() {
	r := mutate.NewRegistry()
	mutate.Register(r, "list", func(_ context.Context, tx mutate.WriteTransaction, after string) error {
		var ids []string
		o := mutate.ScanOptions{Start: after, StartExclusive: true, Limit: 2}
		for todo, err := range todos.Scan(tx, o) {
			if err != nil {
				return err
			}
			ids = append(ids, todo.ID)
		}
		return tx.Set("list", ids)
	})
	space := mutatetest.New(printer{}, r, mutatetest.Options{State: map[string]any{
		"todo/a": Todo{}, "todo/b": Todo{}, "todo/c": Todo{},
	}})
	fmt.Println(space.Run("list", "a"))
	fmt.Println(space.State())
	// Output:
	// <nil>
	// {
	// "list": ["b","c"],
	// "todo/a": {"done":false,"text":""},
	// "todo/b": {"done":false,"text":""},
	// "todo/c": {"done":false,"text":""}
	// }
}

func ExampleTruncate() {
	fmt.Println(mutate.Truncate("häuser", 2))
	// Output: h
}
