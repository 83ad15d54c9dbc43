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
// sending and its answer. A pull that shows a client what it has seen before of a register,
// after its last write was confirmed, tells nothing new and is left out: so registers of
// which there are new ones all the time cost nothing once they are no longer written. Its
// zero value has seen nothing. It is not safe for concurrent use.
type Registers struct {
	tabs map[protocol.ClientID]*writer
	list map[register]*track
}

// track is what is known of a register.
type track struct {
	operations []porcupine.Operation
	writes     int   // how many were begun
	open       int   // how many of them are not confirmed
	confirmed  int64 // when the last one was
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
	read    map[string]int64 // when the pull began that last added a read of this key
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
		r.begin(w, e)
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
		r.tabs, r.list = map[protocol.ClientID]*writer{}, map[register]*track{}
	}
	w := r.tabs[id]
	if w == nil {
		w = &writer{number: len(r.tabs), content: map[string]string{}, read: map[string]int64{}}
		r.tabs[id] = w
	}
	return w
}

func (r *Registers) begin(w *writer, e Event) {
	for _, m := range e.Mutations {
		c := read(m)
		if !strings.HasPrefix(c.key, registerPrefix) {
			continue
		}
		at := register{e.Space, c.key}
		t := r.track(at)
		t.writes++
		t.open++
		w.writes = append(w.writes, &write{
			id: m.ID, at: at, Operation: porcupine.Operation{
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
		t := r.track(done.at)
		t.open--
		t.confirmed = now
		t.put(done.Operation)
	}
}

func (r *Registers) track(at register) *track {
	t := r.list[at]
	if t == nil {
		t = &track{}
		r.list[at] = t
	}
	return t
}

func (t *track) put(op porcupine.Operation) { t.operations = append(t.operations, op) }

func (r *Registers) pulled(w *writer, e Event) {
	var a answer
	if json.Unmarshal(e.Answer, &a) != nil || a.Cookie == nil {
		return // the Judge says so
	}
	for _, op := range a.Patch {
		delete(w.read, op.Key) // it is news
		switch {
		case op.Op == protocol.OpClear:
			clear(w.content)
			clear(w.read)
		case !strings.HasPrefix(op.Key, registerPrefix):
		case op.Op == protocol.OpPut:
			w.content[op.Key] = contentOf(string(op.Value))
		default:
			delete(w.content, op.Key)
		}
	}
	r.confirm(w, a.Changes[e.Client], e.At)
	for key, value := range w.content {
		t := r.track(register{e.Space, key})
		if before, ok := w.read[key]; ok && t.open == 0 && before > t.confirmed {
			continue
		}
		w.read[key] = w.asked
		t.put(porcupine.Operation{
			ClientId: w.number, Input: access{}, Output: value, Call: w.asked, Return: e.At,
		})
	}
}

// Linearizability is what porcupine said.
type Linearizability struct {
	// Histories are the registers that were written, Operations those of them.
	Histories, Operations int
	// Illegal and TimedOut name registers.
	Illegal, TimedOut []string
}

// Check judges each register, each for at most that time.
func (r *Registers) Check(limit time.Duration) Linearizability {
	for _, w := range r.tabs {
		for _, open := range w.writes { // nobody knows whether they happened
			r.track(open.at).put(open.Operation)
		}
		w.writes = nil
	}
	var l Linearizability
	less := func(a, b register) int { return strings.Compare(a.String(), b.String()) }
	for _, at := range slices.SortedFunc(maps.Keys(r.list), less) {
		operations := decidable(r.list[at].operations)
		if r.list[at].writes > 0 {
			l.Histories++
			l.Operations += len(operations)
		}
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

// zone is when a value was certainly there: from when the first of its write and its reads
// had ended to when the last one of them began.
type zone struct{ from, to int64 }

// zones are those of all values.
func zones(operations []porcupine.Operation) map[any]zone {
	list := map[any]zone{RegisterStart: {math.MinInt64, math.MinInt64}}
	for _, op := range operations {
		value := op.Output
		if in := op.Input.(access); in.write { //nolint:forcetypeassert // only this file makes them
			value = in.value
		}
		z, ok := list[value]
		if !ok {
			z = zone{math.MaxInt64, math.MinInt64}
		}
		list[value] = zone{min(z.from, op.Return), max(z.to, op.Call)}
	}
	return list
}

// decidable tightens writes to when their value was first read, and leaves out those that
// nobody read and that can be placed somewhere whatever the order of the others: with some
// dozen of them at a time the search takes for ever. As each value is written once, these are
// all but those that lie within a zone of another value (Gibbons and Korach, "Testing Shared
// Memories", 1997, §4), which none can be placed in.
func decidable(operations []porcupine.Operation) []porcupine.Operation {
	read := map[any]int64{}
	for _, op := range operations {
		if first, ok := read[op.Output]; op.Output != nil && (!ok || op.Return < first) {
			read[op.Output] = op.Return
		}
	}
	there := zones(operations)
	var kept []porcupine.Operation
	for _, op := range operations {
		in := op.Input.(access) //nolint:forcetypeassert // only this file makes them
		first, seen := read[in.value]
		switch {
		case in.write && seen:
			op.Return = max(op.Call, min(op.Return, first))
		case in.write && !within(op, there):
			continue
		}
		kept = append(kept, op)
	}
	return kept
}

// within reports whether an operation began and ended while another value was there.
func within(op porcupine.Operation, there map[any]zone) bool {
	for _, z := range there {
		if z.from < op.Call && op.Return < z.to {
			return true
		}
	}
	return false
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
