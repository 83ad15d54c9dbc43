package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/replifire/replifire/internal/load"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

// maxLine bounds a line of a history: a pull's answer.
const maxLine = 256 << 20

// Type says which part of an operation an Event is.
type Type string

// The types of events.
const (
	// Invoke: the request is about to be sent.
	Invoke Type = "invoke"
	// OK: it was answered with status 200.
	OK Type = "ok"
	// Info: it was not, so that nothing is known of what it did.
	Info Type = "info"
	// Fault is something that was done to the service, for the reader.
	Fault Type = "fault"
)

// Op is what a client did.
type Op string

// The operations.
const (
	Push Op = "push"
	Pull Op = "pull"
)

// Mutation is one call of a mutator.
type Mutation struct {
	ID   int64           `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

// Event is one line of a history.
type Event struct {
	// At is when it happened, in nanoseconds since the history began.
	At     int64                  `json:"at"`
	Type   Type                   `json:"type"`
	Op     Op                     `json:"op,omitempty"`
	Space  protocol.SpaceID       `json:"space,omitempty"`
	Group  protocol.ClientGroupID `json:"group,omitempty"`
	Client protocol.ClientID      `json:"client,omitempty"`
	// Last is the id of the last mutation that a push carries.
	Last int64 `json:"last,omitempty"`
	// Mutations are those of a push that no push before it carried.
	Mutations []Mutation `json:"mutations,omitempty"`
	// Answer is a pull's.
	Answer json.RawMessage `json:"answer,omitempty"`
	// Outcome is what package replica made of it.
	Outcome string `json:"outcome,omitempty"`
	// What tells of a fault, or why an answer was refused.
	What string `json:"what,omitempty"`
}

// Recorder writes a history. It is safe for concurrent use. Each line is one Event.
type Recorder struct {
	began time.Time

	mu   sync.Mutex // guards what follows
	out  *bufio.Writer
	sent map[protocol.ClientID]int64 // the last mutation of each client's that is written
	err  error
}

// NewRecorder returns a Recorder that writes to w. Flush writes the rest.
func NewRecorder(w io.Writer) *Recorder {
	return &Recorder{
		began: time.Now(), out: bufio.NewWriterSize(w, 1<<20), sent: map[protocol.ClientID]int64{},
	}
}

// Fault writes down what was done to the service.
func (r *Recorder) Fault(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(Event{At: time.Since(r.began).Nanoseconds(), Type: Fault, What: what})
}

// Record writes down an exchange; it is for load.Config.Record.
func (r *Recorder) Record(x load.Exchange) {
	e := Event{
		At: x.At.Sub(r.began).Nanoseconds(), Op: Pull, Type: typeOf(x),
		Space: x.Space, Group: x.Group, Client: x.Client,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case x.Push:
		e.Op, e.Last = Push, x.Mutations[len(x.Mutations)-1].ID
		e.Mutations = r.unsent(x.Mutations)
		e.What = pushError(x.Answer)
	case e.Type == OK:
		e.Answer, e.Outcome = x.Answer, x.Outcome.String()
		if x.Err != nil {
			e.What = x.Err.Error()
		}
	}
	r.write(e)
}

// pushError is the error that an answer with status 200 tells of, which says that the
// push was not applied; "" for none.
func pushError(answer []byte) string {
	var body struct{ Error string }
	_ = json.Unmarshal(answer, &body) // what is no JSON tells of none
	return body.Error
}

func typeOf(x load.Exchange) Type {
	switch {
	case x.Begins:
		return Invoke
	case x.OK:
		return OK
	}
	return Info
}

// unsent are those mutations that are not written yet; called under mu.
func (r *Recorder) unsent(list []replica.Mutation) (mutations []Mutation) {
	for _, m := range list {
		if m.ID > r.sent[m.ClientID] {
			mutations = append(mutations, Mutation{ID: m.ID, Name: m.Name, Args: m.Args})
			r.sent[m.ClientID] = m.ID
		}
	}
	return mutations
}

func (r *Recorder) write(e Event) {
	line, err := json.Marshal(e)
	if err == nil {
		_, err = r.out.Write(append(line, '\n'))
	}
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("writing the history: %w", err)
	}
}

// Flush writes what is buffered, and returns the first error that there was.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.out.Flush(); r.err == nil && err != nil {
		r.err = fmt.Errorf("writing the history: %w", err)
	}
	return r.err
}

// Read yields the events of a history. An error comes once, last.
func Read(in io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 1<<20), maxLine)
		for n := 1; lines.Scan(); n++ {
			var e Event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				yield(Event{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Event{}, fmt.Errorf("reading the history: %w", err))
		}
	}
}
