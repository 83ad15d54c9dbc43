package rpccount_test

import (
	"context"
	"testing"

	"cloud.google.com/go/firestore"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/rpccount"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }

func TestCounts(t *testing.T) {
	t.Parallel()
	conn, counter, err := rpccount.Dial(emulatortest.Host(t))
	if err != nil {
		t.Fatal(err)
	}
	client, err := firestore.NewClient(t.Context(), emulatortest.Project(t),
		option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	doc := client.Collection("c").Doc
	one := map[string]any{"n": 1}

	steps := []struct {
		name string
		do   func() error
		want rpccount.Counts
	}{
		{"nothing", func() error { return nil }, rpccount.Counts{RPCs: map[string]int{}}},
		{
			"write", func() error {
				_, err := doc("x").Set(t.Context(), one)
				return err
			},
			rpccount.Counts{RPCs: map[string]int{"Commit": 1}, Written: 1},
		},
		{
			"read by id", func() error {
				_, err := client.GetAll(t.Context(),
					[]*firestore.DocumentRef{doc("x"), doc("y")})
				return err
			},
			rpccount.Counts{RPCs: map[string]int{"BatchGetDocuments": 1}, Read: 1, Missing: 1},
		},
		{
			"transaction", func() error {
				return client.RunTransaction(t.Context(), func(
					_ context.Context, tx *firestore.Transaction,
				) error {
					if _, err := tx.Get(doc("x")); err != nil {
						return err
					}
					if err := tx.Delete(doc("y")); err != nil {
						return err
					}
					return tx.Set(doc("z"), one)
				})
			},
			rpccount.Counts{RPCs: map[string]int{
				"BeginTransaction": 1, "BatchGetDocuments": 1, "Commit": 1,
			}, Read: 1, Written: 2},
		},
		{
			"query", func() error {
				_, err := client.Collection("c").Documents(t.Context()).GetAll()
				return err
			},
			rpccount.Counts{RPCs: map[string]int{"RunQuery": 1}, Read: 2},
		},
	}
	for _, step := range steps {
		counter.Reset()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, counter.Counts()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	if got := counter.Counts().Total(); got != 1 {
		t.Errorf("Total = %d, want 1", got)
	}
}
