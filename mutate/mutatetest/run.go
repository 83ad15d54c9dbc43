package mutatetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// maxRounds is how often the server reads for one mutation before it rejects it.
const maxRounds = 1000

// errReadsTooMuch is the server's rejection of a mutation that never has enough.
var errReadsTooMuch = errors.New("mutation reads too much")

// Run runs the client's next mutation. The arguments are anything encoding/json can
// marshal, nil for none, json.RawMessage for JSON text. It returns nil if the
// mutation was applied. Any other error is why it was rejected, which the server
// acknowledges too, except for one that mutate.IsRetry knows: then nothing has
// happened. Mistakes that no client could make end the test.
func (s *Space) Run(name string, args any) error {
	s.t.Helper()
	m := s.mutation(name, args)
	cold, warm := s.rounds(m), s.try(m, nil)
	if cold.String() != warm.String() {
		s.t.Errorf("mutator %q is not pure, it ended differently when run again\n"+
			"first: %v\nagain: %v", m.Name, cold, warm)
	}
	if cold.err == nil {
		s.apply(cold.writes)
	}
	if mutate.IsRetry(cold.err) {
		return cold.err
	}
	s.last[m.ClientID] = m.ID
	if cold.err != nil {
		s.reject(m, cold.err)
	}
	return cold.err
}

// mutation makes the mutation, on the way that one takes from a client: what the
// server would refuse or mark as invalid is so here.
func (s *Space) mutation(name string, args any) protocol.Mutation {
	s.t.Helper()
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	err := enc.Encode(map[string]any{
		"pushVersion": 1, "profileID": "p", "clientGroupID": "g", "schemaVersion": "",
		"mutations": []any{map[string]any{
			"clientID": s.options.ClientID, "id": s.LastMutationID() + 1,
			"name": name, "args": args, "timestamp": 0,
		}},
	})
	if err != nil {
		s.t.Fatalf("arguments of mutator %q: %v", name, err)
	}
	push, err := protocol.DecodePushRequest(body.Bytes())
	if err != nil {
		s.t.Fatalf("the server refuses the push of mutation %q: %v", name, err)
	}
	return push.Mutations[0]
}

// result is how a run of a mutator ended.
type result struct {
	err    error
	writes map[string]json.RawMessage // nil: deleted
}

// String tells all of a result that the server makes use of.
func (r result) String() string {
	switch {
	case mutate.IsRetry(r.err):
		return "retry: " + mutate.Reason(r.err)
	case r.err != nil:
		return "rejected: " + mutate.Reason(r.err)
	case len(r.writes) == 0:
		return "nothing written"
	}
	return "written:" + strings.Join(lines(r.writes), "")
}

// rounds runs a mutation like a server that has read nothing before: a mutator that
// asks for something not read yet is interrupted, and run again when it is.
func (s *Space) rounds(m protocol.Mutation) result {
	s.t.Helper()
	seen := &reads{known: map[any]bool{}, asked: map[any]bool{}}
	for range maxRounds {
		r := s.try(m, seen)
		if len(seen.asked) == 0 {
			return r
		}
		s.checkInterrupted(m, r)
		seen.next()
	}
	s.t.Errorf("mutator %q asks for something else in each of %d runs", m.Name, maxRounds)
	return result{err: errReadsTooMuch}
}

// checkInterrupted fails the test of a mutator that did not end with an error though
// its transaction had given it one.
func (s *Space) checkInterrupted(m protocol.Mutation, r result) {
	s.t.Helper()
	p, panicked := errors.AsType[*mutate.PanicError](r.err)
	switch {
	case panicked:
		s.t.Errorf("mutator %q went on after an error of its transaction: %v\n%s", m.Name, p, p.Stack)
	case r.err == nil:
		s.t.Errorf("mutator %q does not return the error of its transaction", m.Name)
	}
}

// try runs a mutation once.
func (s *Space) try(m protocol.Mutation, seen *reads) result {
	if m.Invalid != "" {
		return result{err: fmt.Errorf("%w: %s", mutate.ErrBadArguments, m.Invalid)}
	}
	tx := &transaction{space: s, id: m.ID, writes: map[string]json.RawMessage{}, seen: seen}
	defer tx.ended.Store(true)
	err := s.mutators.Run(s.t.Context(), m.Name, tx, m.Args)
	return result{err: err, writes: tx.writes}
}

// apply makes a mutation's writes the space's.
func (s *Space) apply(writes map[string]json.RawMessage) {
	for key, raw := range writes {
		if raw == nil {
			delete(s.entries, key)
			continue
		}
		s.entries[key] = raw
	}
}

// reject notes why a mutation was rejected, and where a mutator panicked.
func (s *Space) reject(m protocol.Mutation, err error) {
	s.t.Helper()
	if p, ok := errors.AsType[*mutate.PanicError](err); ok {
		s.t.Logf("mutator %q: %v\n%s", m.Name, p, p.Stack)
	}
	s.rejections[m.ClientID] = append(s.rejections[m.ClientID], protocol.Rejection{
		ID:     m.ID,
		Name:   mutate.Truncate(m.Name, maxRejectionName),
		Reason: mutate.Reason(err),
	})
}
