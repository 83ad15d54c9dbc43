package faultrpc

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"time"

	"google.golang.org/grpc/codes"
)

// Kind is what becomes of a call.
type Kind string

// The kinds of faults.
const (
	// FailBefore answers with an error and sends nothing.
	FailBefore Kind = "fail before"
	// FailAfter sends the call, waits until it is answered with success, and returns an
	// error in place of the answer: the reply is lost. A call that fails by itself, so
	// that nothing was applied, returns its own error and is not counted. Of a stream,
	// the request is sent and the first message of the answer is lost.
	FailAfter Kind = "fail after"
	// Delay holds a call back for a while, at most Rule.Delay, and sends it.
	Delay Kind = "delay"
	// Drop sends nothing and returns when the call's context ends.
	Drop Kind = "drop"
	// Cut ends a stream with an error, after at most Rule.Messages messages. Unary calls
	// are left alone.
	Cut Kind = "cut"
)

// Rule says how often a fault meets the calls of a method.
type Rule struct {
	// Method is the RPC's name, such as "Commit" or "BatchGetDocuments"; "" is all.
	Method string
	Kind   Kind
	// Percent of the calls are met, from 0 to 100. When several rules match a call, the
	// first one that meets it wins.
	Percent float64
	// Codes are what the error is drawn from; none: Unavailable.
	Codes []codes.Code
	// Text is the error's text; "": one that names the kind.
	Text string
	// Delay is the longest delay.
	Delay time.Duration
	// Messages is the most that a cut stream lets through.
	Messages int
}

// LostReply are the codes with which a reply is lost: all that a commit's error can be
// made of by a network, a proxy or Firestore itself. ABORTED and FAILED_PRECONDITION say
// that nothing was applied; after a silent retry of the SDK's they lie.
func LostReply() []codes.Code {
	return []codes.Code{
		codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.Canceled,
		codes.ResourceExhausted, codes.Aborted, codes.FailedPrecondition,
	}
}

// fault is a rule applied to one call.
type fault struct {
	kind     Kind
	code     codes.Code
	text     string
	delay    time.Duration
	messages int
}

// draw decides about the n-th call of a method.
func draw(seed uint64, rules []Rule, method string, n int) (fault, bool) {
	method = path.Base(method)
	chance := rand.New(rand.NewPCG(seed^hash(method), uint64(n))) //nolint:gosec // a seed must give the same run
	for _, r := range rules {
		met := chance.Float64()*100 < r.Percent
		f := r.fault(chance)
		if met && (r.Method == "" || r.Method == method) {
			return f, true
		}
	}
	return fault{}, false
}

// fault draws the details. It draws the same number of times whatever the rule.
func (r Rule) fault(chance *rand.Rand) fault {
	f := fault{kind: r.Kind, code: codes.Unavailable, text: r.Text}
	if f.text == "" {
		f.text = "injected: " + string(r.Kind)
	}
	code, delay, messages := chance.Float64(), chance.Float64(), chance.Float64()
	if len(r.Codes) > 0 {
		f.code = r.Codes[int(code*float64(len(r.Codes)))]
	}
	f.delay = time.Duration(delay * float64(r.Delay))
	f.messages = int(messages * float64(r.Messages+1))
	return f
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum64()
}

// wait returns after d, or with the context's error when that ends before.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
