package crash_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/faultrpc"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }

const (
	// space is the space of tests that need but one: each test has its own project.
	space protocol.SpaceID = "s"
	// tokensInKey is how many tokens a client appends to one key, so that no value
	// grows without bound.
	tokensInKey = 100
	// total is the key that every mutation adds 1 to, whoever's it is.
	total = "total"
)

// mutators has "append", which writes down which mutation it was, and counts: run
// twice, skipped or out of order, it shows in both. And "rotate", which writes a key and
// deletes an older one of the client's.
func mutators() *mutate.Registry {
	r := mutate.NewRegistry()
	mutate.Register(r, "append", func(_ context.Context, tx mutate.WriteTransaction, _ struct{}) error {
		n, _, err := mutate.Get[int64](tx, total)
		if err != nil {
			return err
		}
		key := tokensKey(tx.ClientID(), tx.MutationID())
		tokens, _, err := mutate.Get[string](tx, key)
		if err != nil {
			return err
		}
		if err := tx.Set(key, fmt.Sprintf("%s%d ", tokens, tx.MutationID())); err != nil {
			return err
		}
		return tx.Set(total, n+1)
	})
	mutate.Register(r, "rotate", func(_ context.Context, tx mutate.WriteTransaction, _ struct{}) error {
		if _, err := tx.Del(rotatedKey(tx.ClientID(), tx.MutationID()-rotated)); err != nil {
			return err
		}
		return tx.Set(rotatedKey(tx.ClientID(), tx.MutationID()), tx.MutationID())
	})
	return r
}

// rotated is how many keys of a client "rotate" leaves.
const rotated = 3

func rotatedKey(c protocol.ClientID, id int64) string { return fmt.Sprintf("rotate/%s/%d", c, id) }

// tokensKey is where the token of a mutation is appended.
func tokensKey(c protocol.ClientID, id int64) string {
	return fmt.Sprintf("tokens/%s/%d", c, id/tokensInKey)
}

// wantView is what n mutations of each client leave.
func wantView(n map[protocol.ClientID]int64) map[string]string {
	view := map[string]string{}
	var sum int64
	for c, last := range n {
		sum += last
		for id := int64(1); id <= last; id++ {
			view[tokensKey(c, id)] += fmt.Sprintf("%d ", id)
		}
	}
	for key, tokens := range view {
		view[key] = `"` + tokens + `"`
	}
	if sum > 0 {
		view[total] = strconv.FormatInt(sum, 10)
	}
	return view
}

// gotView is a client's view, as wantView has it.
func gotView(c *replica.Client) map[string]string {
	view := map[string]string{}
	for key, value := range c.View() {
		view[key] = string(value)
	}
	return view
}

// process is an engine with a store of its own, as a process of the service has.
type process struct {
	*engine.Engine

	store    *firestore.Store
	injector *faultrpc.Injector
}

// start starts a process on a project's data.
func start(t *testing.T, project string, i *faultrpc.Injector) *process {
	t.Helper()
	conn, _, err := rpccount.Dial(emulatortest.Host(t), i.DialOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	store, err := firestore.Open(t.Context(), firestore.Config{ProjectID: project, Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(store, mutators(), engine.Options{Logger: slog.New(slog.DiscardHandler)})
	return &process{Engine: e, store: store, injector: i}
}

// run does something with a process and ends it: as it should end, or, when it crashes
// on the way, at once. It returns what f returned.
func (p *process) run(t *testing.T, f func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-p.injector.Crashed():
			cancel()
		case <-over:
		}
	}()
	err := f(ctx)
	_ = p.Close(ctx) // after a crash it says that it was in a hurry
	_ = p.store.Close()
	close(over)
	<-watched
	return err
}

// crashed reports whether the process has died.
func (p *process) crashed() bool {
	select {
	case <-p.injector.Crashed():
		return true
	default:
		return false
	}
}

// mutateTimes has a client make n mutations.
func mutateTimes(c *replica.Client, n int) {
	for range n {
		c.Mutate("append", []byte("{}"), time.Now())
	}
}

// push sends mutations of a client's, as HTTP would.
func push(ctx context.Context, e *engine.Engine, s protocol.SpaceID, body []byte) error {
	if body == nil {
		return nil
	}
	req, err := protocol.DecodePushRequest(body)
	if err != nil {
		return err
	}
	return e.Push(ctx, engine.Caller{Space: s}, req)
}

// pull asks for what is new, and has the client judge the answer.
func pull(ctx context.Context, e *engine.Engine, s protocol.SpaceID, c *replica.Client) error {
	asked := c.Cookie()
	req, err := protocol.DecodePullRequest(c.PullRequest())
	if err != nil {
		return err
	}
	resp, err := e.Pull(ctx, engine.Caller{Space: s}, req)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := resp.Encode(&body); err != nil {
		return err
	}
	outcome, err := c.Apply(asked, body.Bytes())
	if err == nil && outcome != replica.Applied && outcome != replica.Unchanged {
		err = fmt.Errorf("answer %.200s is %v", body.Bytes(), outcome)
	}
	return err
}

// short cuts a list of calls for a test's output.
func short(calls []string) string { return strings.Join(calls[max(0, len(calls)-8):], " ") }
