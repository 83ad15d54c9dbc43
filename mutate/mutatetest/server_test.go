package mutatetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/mutate/mutatetest"
	"github.com/replifire/replifire/protocol"
)

// operation is something that a mutator does with its transaction.
type operation struct {
	Op    string             `json:"op"`
	Key   string             `json:"key"`
	Value json.RawMessage    `json:"value"`
	Scan  mutate.ScanOptions `json:"scan"`
}

// script is a mutator that does what its arguments say, and stores what it has seen.
func script(_ context.Context, tx mutate.WriteTransaction, ops []operation) error {
	var seen []string
	for _, o := range ops {
		text, err := o.do(tx)
		if err != nil {
			return err
		}
		seen = append(seen, text)
	}
	caller := fmt.Sprintf("%s %s %s %s %d", tx.Space(), tx.ClientID(), tx.UserID(), tx.Claims(), tx.MutationID())
	return tx.Set("seen", append(seen, caller))
}

func (o operation) do(tx mutate.WriteTransaction) (string, error) {
	switch o.Op {
	case "get":
		raw, ok, err := tx.Get(o.Key)
		return fmt.Sprintf("%s %v", raw, ok), err
	case "has":
		ok, err := tx.Has(o.Key)
		return strconv.FormatBool(ok), err
	case "empty":
		ok, err := tx.IsEmpty()
		return strconv.FormatBool(ok), err
	case "set":
		return "", tx.Set(o.Key, o.Value)
	case "del":
		ok, err := tx.Del(o.Key)
		return strconv.FormatBool(ok), err
	case "scan", "scan and delete", "scan and set":
		return o.scan(tx)
	case "panic":
		panic("as the script says")
	}
	return "", errors.New("no such operation: " + o.Op)
}

// scan lists entries; while it does, it may write what the scan comes to yet.
func (o operation) scan(tx mutate.WriteTransaction) (string, error) {
	var text strings.Builder
	for e, err := range tx.Scan(o.Scan) {
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "%q %s,", e.Key, e.Value)
		if o.Op == "scan and delete" {
			_, err = tx.Del(o.Key)
		}
		if o.Op == "scan and set" {
			err = tx.Set(o.Key, o.Value)
		}
		if err != nil {
			return "", err
		}
	}
	return text.String(), nil
}

// keys are those that scripts use; the last ones can never have a value.
var keys = []string{
	"", "a", "a\x00", "a/", "a/1", "a/10", "a/2", "b", "é", "🦄", "\uffff", "\U0010ffff",
	strings.Repeat("k", mutate.MaxKeyBytes), strings.Repeat("k", mutate.MaxKeyBytes+1),
}

var values = []string{`1`, `null`, `"<é\u2028>"`, `{"b":[1.50],"a":{}}`, `[[],[[]]]`}

var operations = []string{
	"get", "get", "has", "empty", "set", "set", "set", "set", "del", "del",
	"scan", "scan", "scan and delete", "scan and set", "panic", "nothing",
}

// randomArgs makes a script, and now and then what is none.
func randomArgs(rnd *rand.Rand) json.RawMessage {
	pick := func(list []string) string { return list[rnd.IntN(len(list))] }
	switch rnd.IntN(20) {
	case 0:
		return json.RawMessage(`{"op":"set"}`)
	case 1:
		return json.RawMessage(`["\ud800"]`)
	case 2:
		return json.RawMessage(strings.Repeat("[", 101) + strings.Repeat("]", 101))
	}
	var ops []operation
	for range rnd.IntN(6) {
		o := operation{Op: pick(operations[:14]), Key: pick(keys[:13]), Value: json.RawMessage(pick(values))}
		if rnd.IntN(40) == 0 {
			o.Op, o.Key = pick(operations), pick(keys)
		}
		if strings.HasPrefix(o.Op, "scan") {
			o.Scan = mutate.ScanOptions{
				Prefix: pick([]string{"", "", "a", "a/", "\U0010ffff", pick(keys)}),
				Start:  pick([]string{"", "", pick(keys)}), StartExclusive: rnd.IntN(2) == 0, Limit: rnd.IntN(4),
			}
		}
		ops = append(ops, o)
	}
	raw, err := json.Marshal(ops)
	if err != nil {
		panic(err)
	}
	return raw
}

// TestSameAsServer runs random mutations here and through a real engine: both have
// the same state, acknowledgements and rejections after each.
func TestSameAsServer(t *testing.T) {
	t.Parallel()
	mutators := mutate.NewRegistry()
	mutate.Register(mutators, "script", script)
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			server := newServer(t, mutators)
			quiet := &judged{TB: t} // panics are logged at length
			space := mutatetest.New(quiet, mutators, mutatetest.Options{
				Space: server.caller.Space, ClientID: server.client,
				UserID: server.caller.UserID, Claims: server.caller.Claims,
			})
			applied := 0
			for range 100 {
				name := "script"
				if rnd.IntN(30) == 0 {
					name = strings.Repeat("no", rnd.IntN(200))
				}
				args := randomArgs(rnd)
				if space.Run(name, args) == nil {
					applied++
				}
				server.push(t, space.LastMutationID(), name, args)
				server.compare(t, space)
				if t.Failed() || len(quiet.errors) > 0 {
					t.Fatalf("after %s(%s) %q", name, args, quiet.errors)
				}
			}
			if applied < 20 || len(space.Rejections()) < 10 {
				t.Errorf("only %d applied and %d rejected", applied, len(space.Rejections()))
			}
		})
	}
}

// server is an engine on a store in memory, with one client.
type server struct {
	store  *memory.Store
	engine *engine.Engine
	caller engine.Caller
	client protocol.ClientID
}

func newServer(t *testing.T, mutators *mutate.Registry) *server {
	t.Helper()
	store := memory.New()
	s := &server{
		store:  store,
		engine: engine.New(store, mutators, engine.Options{Logger: slog.New(slog.DiscardHandler)}),
		caller: engine.Caller{Space: "s", UserID: "ann", Claims: json.RawMessage(`{"a":1}`)},
		client: "c",
	}
	t.Cleanup(func() {
		if err := s.engine.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (s *server) push(t *testing.T, id int64, name string, args json.RawMessage) {
	t.Helper()
	body := fmt.Sprintf(`{"pushVersion":1,"profileID":"p","clientGroupID":"g","schemaVersion":"",
		"mutations":[{"clientID":%q,"id":%d,"name":%q,"args":%s,"timestamp":0}]}`, s.client, id, name, args)
	req, err := protocol.DecodePushRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.engine.Push(t.Context(), s.caller, req); err != nil {
		t.Fatal(err)
	}
}

// compare checks that the space is as the server has it.
func (s *server) compare(t *testing.T, space *mutatetest.Space) {
	t.Helper()
	snap, err := s.store.Snapshot(t.Context(), s.caller.Space, engine.Documents{Clients: []protocol.ClientID{s.client}})
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]any{}
	for e, err := range snap.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if !e.Deleted {
			state[e.Key] = e.Value
		}
	}
	if diff := space.Diff(state); diff != "" {
		t.Errorf("state (-server +space):\n%s", diff)
	}
	c, _ := snap.Client(s.client)
	if c.LastMutationID != space.LastMutationID() {
		t.Errorf("got last mutation id %d, the server has %d", space.LastMutationID(), c.LastMutationID)
	}
	var want []protocol.Rejection
	for _, r := range c.Rejections {
		want = append(want, protocol.Rejection{ID: r.MutationID, Name: r.Name, Reason: r.Reason})
	}
	got := space.Rejections()
	if diff := cmp.Diff(want, got[max(0, len(got)-engine.MaxRejections):]); diff != "" && len(want)+len(got) > 0 {
		t.Errorf("rejections (-server +space):\n%s", diff)
	}
}
