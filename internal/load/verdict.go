package load

import (
	"errors"
	"fmt"
	"sync"

	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

// maxProblems is how many a Verdict has at most.
const maxProblems = 20

// Verdict says whether the server kept its promises.
type Verdict struct {
	// Converged: there is no problem. Every mutation was confirmed, every client of
	// a space ended with the same view, cookie and last mutation ids as a fresh one,
	// no confirmed entry is missing, and no answer broke the protocol.
	Converged bool `json:"converged"`
	// Problems are the first ones, for a person, and Count is how many there were.
	Problems []string `json:"problems"`
	Count    int      `json:"problemCount"`
	// Violations is how many of them are answers that broke the protocol.
	Violations int `json:"violations"`
}

// problems collects what did not fit. It is safe for concurrent use.
type problems struct {
	mu         sync.Mutex // guards what follows
	first      []string
	count      int
	violations int
	// told are the violations counted already: a client repeats its pull, and its
	// server the answer, for ever.
	told map[violated]bool
}

// violated is a rule and the client that saw it broken.
type violated struct {
	client protocol.ClientID
	rule   string
}

// Rules that package replica leaves to its callers.
const (
	ruleNeverSent   = "confirms what was never sent"
	ruleUnsupported = "VersionNotSupported for version 1"
)

func (r *run) problem(format string, args ...any) {
	r.problems.mu.Lock()
	defer r.problems.mu.Unlock()
	r.problems.add(fmt.Sprintf(format, args...))
}

// refused notes an answer that a client's state could not take.
func (r *run) refused(client protocol.ClientID, err error) {
	rule := ""
	if v, ok := errors.AsType[*replica.Violation](err); ok {
		rule = v.Rule
	}
	r.violation(client, rule, err.Error())
}

// violation notes an answer that broke the protocol.
func (r *run) violation(client protocol.ClientID, rule, text string) {
	key := violated{client, rule}
	p := &r.problems
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told[key] {
		return
	}
	if p.told == nil {
		p.told = map[violated]bool{}
	}
	p.told[key] = true
	p.violations++
	p.add(fmt.Sprintf("client %s: %s", client, text))
}

func (p *problems) add(text string) {
	p.count++
	if len(p.first) < maxProblems {
		p.first = append(p.first, text)
	}
}

func (p *problems) verdict() Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := append([]string{}, p.first...) // never nil: in JSON it is a list
	return Verdict{Converged: p.count == 0, Problems: first, Count: p.count, Violations: p.violations}
}
