package history

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/replifire/replifire/protocol"
)

// RegisterStart is what each register holds before the history begins.
const RegisterStart = "start"

// Registers collects, for each register of each space, who wrote and read what when, and
// has porcupine look for an order that explains it: each write takes effect at one moment
// between its first sending and its confirmation, each pull shows one moment between its
// sending and its answer. Its zero value has seen nothing. It is not safe for concurrent
// use.
type Registers struct {
	tabs map[protocol.ClientID]*writer
	list map[register]*[]porcupine.Operation
}

type register struct {
	space protocol.SpaceID
	key   string
}

// writer is a client, as far as registers go.
type writer struct {
	number  int
	writes  []*write // not known to have happened yet, by id
	asked   int64    // when its pull began
	content map[string]string
}

// write is a mutation of a register.
type write struct {
	id int64
	at register
	porcupine.Operation
}

// access is an operation's input.
type access struct {
	write bool
	value string
}

// Add takes the next event.
func (r *Registers) Add(e Event) {
	if e.Type == Fault || e.Type == Info {
		return
	}
	w := r.writer(e.Client)
	switch {
	case e.Op == Push && e.Type == Invoke:
		w.begin(e)
	case e.Op == Push && e.What == "":
		r.confirm(w, e.Last, e.At)
	case e.Op == Pull && e.Type == Invoke:
		w.asked = e.At
	case e.Op == Pull && e.Outcome != "dropped":
		r.pulled(w, e)
	}
}

func (r *Registers) writer(id protocol.ClientID) *writer {
	if r.tabs == nil {
		r.tabs, r.list = map[protocol.ClientID]*writer{}, map[register]*[]porcupine.Operation{}
	}
	w := r.tabs[id]
	if w == nil {
		w = &writer{number: len(r.tabs), content: map[string]string{}}
		r.tabs[id] = w
	}
	return w
}

func (w *writer) begin(e Event) {
	for _, m := range e.Mutations {
		c := read(m)
		if !strings.HasPrefix(c.key, registerPrefix) {
			continue
		}
		w.writes = append(w.writes, &write{
			id: m.ID, at: register{e.Space, c.key}, Operation: porcupine.Operation{
				ClientId: w.number, Input: access{true, c.Content}, Call: e.At, Return: math.MaxInt64,
			},
		})
	}
}

// confirm: all writes up to an id have happened by now.
func (r *Registers) confirm(w *writer, last, now int64) {
	for len(w.writes) > 0 && w.writes[0].id <= last {
		done := w.writes[0]
		w.writes = w.writes[1:]
		done.Return = now
		r.put(done.at, done.Operation)
	}
}

func (r *Registers) put(at register, op porcupine.Operation) {
	if r.list[at] == nil {
		r.list[at] = &[]porcupine.Operation{}
	}
	*r.list[at] = append(*r.list[at], op)
}

func (r *Registers) pulled(w *writer, e Event) {
	var a answer
	if json.Unmarshal(e.Answer, &a) != nil || a.Cookie == nil {
		return // the Judge says so
	}
	for _, op := range a.Patch {
		switch {
		case op.Op == protocol.OpClear:
			clear(w.content)
		case !strings.HasPrefix(op.Key, registerPrefix):
		case op.Op == protocol.OpPut:
			w.content[op.Key] = contentOf(string(op.Value))
		default:
			delete(w.content, op.Key)
		}
	}
	r.confirm(w, a.Changes[e.Client], e.At)
	for key, value := range w.content {
		r.put(register{e.Space, key}, porcupine.Operation{
			ClientId: w.number, Input: access{}, Output: value, Call: w.asked, Return: e.At,
		})
	}
}

// Linearizability is what porcupine said.
type Linearizability struct {
	Histories, Operations int
	// Illegal and TimedOut name registers.
	Illegal, TimedOut []string
}

// Check judges each register, each for at most that time.
func (r *Registers) Check(limit time.Duration) Linearizability {
	for _, w := range r.tabs {
		for _, open := range w.writes { // nobody knows whether they happened
			r.put(open.at, open.Operation)
		}
		w.writes = nil
	}
	var l Linearizability
	less := func(a, b register) int { return strings.Compare(a.String(), b.String()) }
	for _, at := range slices.SortedFunc(maps.Keys(r.list), less) {
		operations := decidable(*r.list[at])
		l.Histories++
		l.Operations += len(operations)
		switch porcupine.CheckOperationsTimeout(singleRegister, operations, limit) {
		case porcupine.Illegal:
			l.Illegal = append(l.Illegal, at.String())
		case porcupine.Unknown:
			l.TimedOut = append(l.TimedOut, at.String())
		case porcupine.Ok:
		}
	}
	return l
}

// wide is how long a write may be under way before it is too costly to place.
const wide = int64(time.Second)

// decidable tightens writes to when their value was first read, and leaves out those that
// were under way for long, nobody knows when they happened, and nobody read: with some
// dozen of them at a time the search takes for ever. Whether such a write was lost, the
// client's other mutations tell the Judge.
func decidable(operations []porcupine.Operation) []porcupine.Operation {
	read := map[any]int64{}
	for _, op := range operations {
		if first, ok := read[op.Output]; op.Output != nil && (!ok || op.Return < first) {
			read[op.Output] = op.Return
		}
	}
	var kept []porcupine.Operation
	for _, op := range operations {
		in := op.Input.(access) //nolint:forcetypeassert // only this file makes them
		first, seen := read[in.value]
		switch {
		case in.write && seen:
			op.Return = max(op.Call, min(op.Return, first))
		case in.write && op.Return-op.Call > wide:
			continue
		}
		kept = append(kept, op)
	}
	return kept
}

func (r register) String() string { return fmt.Sprintf("%s of space %s", r.key, r.space) }

// singleRegister is one register.
var singleRegister = porcupine.Model{
	Init: func() any { return RegisterStart },
	Step: func(state, input, output any) (bool, any) {
		in := input.(access) //nolint:forcetypeassert // only this file makes them
		if in.write {
			return true, in.value
		}
		return output == state, state
	},
}
