package sim

import (
	"fmt"
	"strings"
)

// Config chooses a run. Seed alone decides everything that is not limited here.
type Config struct {
	Seed uint64
	// MaxSteps ends the faulty part of the run early; 0: the seed's own length.
	MaxSteps int
	// MaxClients bounds the clients of the beginning; 0: the seed's own number.
	MaxClients int
	// Without are faults that do not happen.
	Without Fault
	// Trace keeps a line for each step in Result.Trace.
	Trace bool
}

// Fault is a set of kinds of trouble.
type Fault uint32

// The kinds of trouble, each of which can be left out to shrink a run.
const (
	LoseRequest    Fault = 1 << iota // a request never arrives
	LoseReply                        // what was done is not told
	Replay                           // an old request comes again
	PartialPush                      // only a prefix or a suffix of what is pending is pushed
	Disconnect                       // a client goes away while its request is handled
	StoreError                       // a store call fails, nothing applied
	Conflict                         // a commit fails as if a race were lost
	Unknown                          // a commit's outcome is not told: applied, not, or later
	Crash                            // an instance dies and another is started
	SecondInstance                   // more than one instance at a time
	Takeover                         // another user uses a client group
	Probe                            // pulls with old, foreign or made-up state
	Tabs                             // tabs are opened on the state of others
	Operator                         // operators write and reset
	Wipe                             // a store loses everything
	Restore                          // a store is put back to a backup
	Slow                             // calls run into their timeouts
	Collect                          // old deletions are forgotten, spaces deleted
	Unwatched                        // a watch of a space ends, or tells nothing any more
	Promote                          // a reader becomes a writer, or a writer a reader
	endOfFaults
)

// AllFaults is every kind.
const AllFaults = endOfFaults - 1

var faultNames = []string{
	"LoseRequest", "LoseReply", "Replay", "PartialPush", "Disconnect", "StoreError", "Conflict",
	"Unknown", "Crash", "SecondInstance", "Takeover", "Probe", "Tabs", "Operator", "Wipe",
	"Restore", "Slow", "Collect", "Unwatched", "Promote",
}

// String names the kinds.
func (f Fault) String() string {
	var names []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// Result is what became of a run.
type Result struct {
	Seed      uint64
	Violation *Violation // nil: every invariant held
	Hash      uint64     // of all that has happened, in its order
	Steps     int
	Mutations int // made by clients
	Commits   int
	Pulls     int // checked
	Trace     []string
}

// Invariant names what must always hold (reliability: invariants).
type Invariant string

// The invariants that a run checks.
const (
	LMIDMonotone   Invariant = "I1 LMID-Monotone"
	Atomic         Invariant = "I2 Atomic"
	ExactlyOnce    Invariant = "I3 Exactly-Once"
	Ordered        Invariant = "I4 Ordered"
	CookieMonotone Invariant = "I5 Cookie-Monotone"
	Prefix         Invariant = "I6 Prefix"
	Tombstone      Invariant = "I7 Tombstone"
	Causal         Invariant = "I8 Causal"
	Durable        Invariant = "I9 Durable"
	Isolation      Invariant = "I10 Isolation"
	MutatorPure    Invariant = "I11 Mutator-Pure"
	Converge       Invariant = "I12 Converge"
	NoPoison       Invariant = "I13 No-Poison"
	Poke           Invariant = "I14 Poke"
	Rejections     Invariant = "Rejections"
	Storage        Invariant = "Storage"
)

// Violation is an invariant that did not hold. It is an error.
type Violation struct { //nolint:errname // it is what a run results in, and an error only by the way
	Invariant Invariant
	Detail    string
	Step      int
}

// Error names the invariant first.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s: %s (step %d)", v.Invariant, v.Detail, v.Step)
}
