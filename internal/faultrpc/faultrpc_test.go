package faultrpc_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/rpccount"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }

// dial is the SDK on a project, behind an injector.
func dial(t *testing.T, project string, i *faultrpc.Injector) *firestore.Client {
	t.Helper()
	return connect(t, project, emulatortest.Host(t), i.DialOptions()...)
}

// connect is the SDK on a project of the emulator at host.
func connect(t *testing.T, project, host string, options ...grpc.DialOption) *firestore.Client {
	t.Helper()
	conn, _, err := rpccount.Dial(host, options...)
	if err != nil {
		t.Fatal(err)
	}
	client, err := firestore.NewClient(t.Context(), project, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// always is a rule that meets every call, with a code after which the SDK does not try
// again: it would for ever.
func always(method string, kind faultrpc.Kind) faultrpc.Rule {
	return faultrpc.Rule{Method: method, Kind: kind, Percent: 100, Codes: []codes.Code{codes.DataLoss}}
}

// increment adds 1 to the document c/n.
func increment(ctx context.Context, c *firestore.Client) error {
	_, err := c.Doc("c/n").Set(ctx, map[string]any{"n": firestore.Increment(1)}, firestore.MergeAll)
	return err
}

// stored is what c/n is, 0 if it is absent.
func stored(t *testing.T, project string) int64 {
	t.Helper()
	doc, err := dial(t, project, faultrpc.New(0)).Doc("c/n").Get(t.Context())
	if status.Code(err) == codes.NotFound {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc.Data()["n"].(int64)
}

func TestUnary(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rule faultrpc.Rule
		code codes.Code
		want int64
	}{
		"no rule":       {faultrpc.Rule{}, codes.OK, 1},
		"other method":  {always("Rollback", faultrpc.FailBefore), codes.OK, 1},
		"never":         {faultrpc.Rule{Method: "Commit", Kind: faultrpc.FailBefore}, codes.OK, 1},
		"cut":           {always("Commit", faultrpc.Cut), codes.OK, 1},
		"fail before":   {always("Commit", faultrpc.FailBefore), codes.DataLoss, 0},
		"fail after":    {always("Commit", faultrpc.FailAfter), codes.DataLoss, 1},
		"of any method": {always("", faultrpc.FailAfter), codes.DataLoss, 1},
		"delay": {
			faultrpc.Rule{Method: "Commit", Kind: faultrpc.Delay, Percent: 100, Delay: time.Millisecond}, codes.OK, 1,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			project, i := emulatortest.Project(t), faultrpc.New(1, test.rule)
			err := increment(t.Context(), dial(t, project, i))
			if status.Code(err) != test.code {
				t.Errorf("Set = %v, want code %v", err, test.code)
			}
			if got := stored(t, project); got != test.want {
				t.Errorf("n = %d, want %d", got, test.want)
			}
			want := map[faultrpc.Kind]int{}
			if test.code != codes.OK || test.rule.Kind == faultrpc.Delay {
				want[test.rule.Kind] = 1
			}
			if diff := cmp.Diff(want, i.Injected()); diff != "" {
				t.Errorf("injected (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFailAfterNeedsSuccess: what Firestore refuses is not called a lost reply.
func TestFailAfterNeedsSuccess(t *testing.T) {
	t.Parallel()
	i := faultrpc.New(1, always("Commit", faultrpc.FailAfter))
	c := dial(t, emulatortest.Project(t), i)
	_, err := c.Doc("c/absent").Update(t.Context(), []firestore.Update{{Path: "n", Value: 1}})
	if status.Code(err) != codes.NotFound || len(i.Injected()) != 0 {
		t.Errorf("Update = %v, injected %v, want NotFound and nothing", err, i.Injected())
	}
}

// TestRetriesOfTheSDK: each try of the SDK's is a call of its own.
func TestRetriesOfTheSDK(t *testing.T) {
	t.Parallel()
	rule := always("Commit", faultrpc.FailAfter)
	rule.Codes = []codes.Code{codes.Unavailable}
	project, i := emulatortest.Project(t), faultrpc.New(1, rule)
	c := dial(t, project, i)
	err := c.RunTransaction(t.Context(), func(_ context.Context, tx *firestore.Transaction) error {
		return tx.Set(c.Doc("c/n"), map[string]any{"n": 7})
	}, firestore.MaxAttempts(1))
	if status.Code(err) != codes.InvalidArgument || stored(t, project) != 7 {
		t.Errorf("transaction = %v, n = %d: want a replay refused, and 7", err, stored(t, project))
	}
	if got := i.Injected()[faultrpc.FailAfter]; got != 1 {
		t.Errorf("%d replies lost, want 1", got)
	}
	if got, want := i.Calls(), []string{"BeginTransaction", "Commit", "Commit", "Rollback"}; !slices.Equal(got, want) {
		t.Errorf("calls = %v, want %v", got, want)
	}
}

func TestDropHangsUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	project, i := emulatortest.Project(t), faultrpc.New(1, always("Commit", faultrpc.Drop))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := dial(t, project, i)
	go func() { done <- increment(ctx, c) }()
	for i.Injected()[faultrpc.Drop] == 0 {
		select {
		case err := <-done:
			t.Fatalf("Set = %v before its context ended", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled || stored(t, project) != 0 {
		t.Errorf("Set = %v, n = %d, want Canceled and 0", err, stored(t, project))
	}
}

// read counts the documents of a query until it breaks off.
func read(t *testing.T, c *firestore.Client) (int, error) {
	t.Helper()
	docs := c.Collection("c").Documents(t.Context())
	defer docs.Stop()
	for n := 0; ; n++ {
		if _, err := docs.Next(); err != nil {
			return n, err
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind     faultrpc.Kind
		messages int
		most     int
	}{
		"fail before": {faultrpc.FailBefore, 0, 0},
		"fail after":  {faultrpc.FailAfter, 0, 0},
		"cut":         {faultrpc.Cut, 3, 3},
	}
	project := emulatortest.Project(t)
	clean := dial(t, project, faultrpc.New(0))
	for n := range 10 {
		if _, _, err := clean.Collection("c").Add(t.Context(), map[string]any{"n": n}); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule := always("RunQuery", test.kind)
			rule.Messages = test.messages
			i := faultrpc.New(1, rule)
			n, err := read(t, dial(t, project, i))
			if status.Code(err) != codes.DataLoss || n > test.most || i.Injected()[test.kind] != 1 {
				t.Errorf("%d documents, then %v, injected %v; want at most %d and DataLoss",
					n, err, i.Injected(), test.most)
			}
		})
	}
}

func TestHeal(t *testing.T) {
	t.Parallel()
	project, i := emulatortest.Project(t), faultrpc.New(1, always("", faultrpc.FailBefore))
	c := dial(t, project, i)
	if err := increment(t.Context(), c); err == nil {
		t.Error("Set worked, want DataLoss")
	}
	i.Heal()
	if err := increment(t.Context(), c); err != nil || stored(t, project) != 1 {
		t.Errorf("Set = %v, n = %d, want 1", err, stored(t, project))
	}
}

// TestSameSeedSameFaults: and another seed others.
func TestSameSeedSameFaults(t *testing.T) {
	t.Parallel()
	outcomes := func(seed uint64) (list []bool) {
		i := faultrpc.New(seed, faultrpc.Rule{
			Method: "Commit", Kind: faultrpc.FailBefore, Percent: 50, Codes: []codes.Code{codes.DataLoss},
		})
		c := dial(t, emulatortest.Project(t), i)
		for range 40 {
			list = append(list, increment(t.Context(), c) == nil)
		}
		return list
	}
	one := outcomes(1)
	if again := outcomes(1); !slices.Equal(one, again) {
		t.Errorf("seed 1 gave %v, then %v", one, again)
	}
	if slices.Equal(one, outcomes(2)) {
		t.Errorf("seed 2 gave the same as seed 1: %v", one)
	}
	if worked := slices.Contains(one, true); !worked || !slices.Contains(one, false) {
		t.Errorf("half of the calls should fail: %v", one)
	}
}

func TestCrash(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		k         int
		moment    faultrpc.Moment
		want      int64
		calls     int
		delivered int64
	}{
		"before the first":  {1, faultrpc.Before, 0, 1, 0},
		"after the first":   {1, faultrpc.After, 1, 1, 1},
		"later the first":   {1, faultrpc.Later, 0, 1, 1},
		"before the second": {2, faultrpc.Before, 1, 2, 1},
		"after the second":  {2, faultrpc.After, 2, 2, 2},
		"later the second":  {2, faultrpc.Later, 1, 2, 2},
		"never":             {9, faultrpc.Before, 4, 4, 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			project, i := emulatortest.Project(t), faultrpc.New(0)
			i.CrashAt(test.k, test.moment)
			c := dial(t, project, i)
			var errs []error
			for range 4 {
				errs = append(errs, increment(t.Context(), c))
			}
			for n, err := range errs {
				if alive := n+1 < test.k; alive != (err == nil) {
					t.Errorf("call %d = %v", n+1, err)
				}
			}
			if got := stored(t, project); got != test.want || len(i.Calls()) != test.calls {
				t.Errorf("n = %d after %v, want %d after %d calls", got, i.Calls(), test.want, test.calls)
			}
			conn, _, err := rpccount.Dial(emulatortest.Host(t))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := i.Deliver(t.Context(), conn); err != nil {
				t.Errorf("Deliver = %v", err)
			}
			if got := stored(t, project); got != test.delivered {
				t.Errorf("after Deliver n = %d, want %d", got, test.delivered)
			}
			select {
			case <-i.Crashed():
			default:
				if errors.Join(errs...) != nil {
					t.Error("Crashed is open after the crash")
				}
			}
		})
	}
}

// TestCrashOfAStream: an answer that was under way does not arrive either.
func TestCrashOfAStream(t *testing.T) {
	t.Parallel()
	i := faultrpc.New(0)
	i.CrashAt(1, faultrpc.After)
	c := dial(t, emulatortest.Project(t), i)
	if n, err := read(t, c); n != 0 || status.Code(err) != codes.PermissionDenied {
		t.Errorf("%d documents, then %v, want none", n, err)
	}
	if _, err := read(t, c); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a dead process reads: %v", err)
	}
}
