package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/replica"
	"github.com/replifire/replifire/protocol"
)

// request is a push or a pull, on its way there and back.
type request struct {
	number int
	tab    *tab // whose request it is; for a ghost, whose body it has
	ghost  bool // nobody waits for the answer
	thief  bool // sent by somebody who must not
	// needsClient: it is a theft only if the client has been stored.
	needsClient bool
	push        bool
	body        []byte
	user        string
	space       protocol.SpaceID
	asked       json.RawMessage // the cookie of a pull
	sent        []replica.Mutation

	reader   bool // an instance has taken its user for a reader
	instance *instance
	cancel   context.CancelFunc
	since    int  // the newest commit that a pull must show
	lost     bool // its answer never comes back
	over     bool // it has been handled

	answer []byte // of an answer with status 200
	err    error
}

// send puts a request on its way.
func (w *world) send(r *request) {
	w.requests++
	r.number = w.requests
	r.space = r.tab.space
	if r.user == "" {
		r.user = r.tab.user
	}
	w.network = append(w.network, r)
	w.note("send #%d push=%t ghost=%t by %s: %s", r.number, r.push, r.ghost, r.user, r.body)
}

// sendPush pushes all that a tab has pending, or that its whole group has.
func (w *world) sendPush(t *tab) {
	sent := t.Pending()
	if w.one(4) {
		for _, other := range w.tabs {
			if other != t && other.Group() == t.Group() {
				sent = interleave(sent, other.Pending())
			}
		}
	}
	t.pushing = true
	w.send(&request{tab: t, push: true, body: t.PushRequestOf(sent), sent: sent})
}

func interleave(a, b []replica.Mutation) []replica.Mutation {
	var all []replica.Mutation
	for len(a)+len(b) > 0 {
		if len(a) > 0 {
			all, a = append(all, a[0]), a[1:]
		}
		if len(b) > 0 {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return all
}

func (w *world) sendPull(t *tab) {
	t.pulling = true
	w.send(&request{tab: t, body: t.PullRequest(), asked: t.Cookie()})
}

// deliver hands a request to an instance.
func (w *world) deliver(r *request, i *instance) {
	w.note("deliver #%d to %d", r.number, i.number)
	if r.push && !r.ghost && len(w.seen) < 50 {
		w.seen = append(w.seen, r)
	}
	if r.thief && !w.stored(r) {
		return // what nobody has can be had by anybody
	}
	r.instance, r.since = i, w.due(i, r.space)
	ctx, cancel := context.WithCancel(w.ctx)
	r.cancel = cancel
	caller := w.callerOf(r)
	w.open++
	w.handled = append(w.handled, r)
	go func() {
		defer cancel()
		r.answer, r.err = handle(ctx, i.engine, caller, r)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.finished = append(w.finished, r)
	}()
}

// stored reports whether what a thief is after is there.
func (w *world) stored(r *request) bool {
	h := w.oracle.space(r.space)
	return h.groups[r.tab.Group()] && (!r.needsClient || h.head.lmids[r.tab.ID()] > 0)
}

// handle does what the service's handlers do.
func handle(ctx context.Context, e *engine.Engine, caller engine.Caller, r *request) ([]byte, error) {
	answer, err := answer(ctx, e, caller, r)
	if refused, ok := errors.AsType[*protocol.ErrorResponse](err); ok {
		return json.Marshal(refused)
	}
	return answer, err
}

func answer(ctx context.Context, e *engine.Engine, caller engine.Caller, r *request) ([]byte, error) {
	if r.push {
		req, err := protocol.DecodePushRequest(r.body)
		if err != nil {
			return nil, err
		}
		return []byte("{}"), e.Push(ctx, caller, req)
	}
	req, err := protocol.DecodePullRequest(r.body)
	if err != nil {
		return nil, err
	}
	resp, err := e.Pull(ctx, caller, req)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := resp.Encode(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

const stateNotFound = `{"error":"ClientStateNotFound"}`

// judge checks an answer by what it promises, whether or not it will arrive.
func (w *world) judge(r *request) {
	if r.thief {
		gone := r.needsClient && w.oracle.space(r.space).head.dead[r.tab.Group()] // its id is free
		if !errors.Is(r.err, engine.ErrForbidden) && !temporary(r.err) && !gone {
			w.report(violated(Isolation, "request #%d of user %s for %s was answered %s, %v",
				r.number, r.user, r.tab.Group(), r.answer, r.err))
		}
		return
	}
	h, bereft := w.oracle.space(r.space), w.oracle.bereft(r.space, r.tab.Group())
	switch {
	case errors.Is(r.err, engine.ErrMutationGap) && !r.ghost && !bereft:
		w.report(violated(NoPoison, "push #%d of %s is said to leave a gap", r.number, r.tab.ID()))
	case w.refusedReader(r) && !h.head.exists():
	case r.err != nil && !temporary(r.err):
		w.report(violated(NoPoison, "request #%d failed for good: %v", r.number, r.err))
	case r.err != nil:
	case string(r.answer) == stateNotFound:
		if !bereft && !r.ghost {
			w.report(violated(NoPoison, "request #%d of %s: ClientStateNotFound, but nothing was lost", r.number, r.tab.ID()))
		}
	case r.push:
		w.judgePush(r, h)
	default:
		w.judgePull(r)
	}
}

// judgePush holds the server to its acknowledgement.
func (w *world) judgePush(r *request, h *history) {
	for _, m := range r.sent {
		if max(h.head.lmids[m.ClientID], h.head.gone[m.ClientID]) < m.ID {
			w.report(violated(Durable, "push #%d is acknowledged, but lastMutationID of %s is %d, not %d",
				r.number, m.ClientID, h.head.lmids[m.ClientID], m.ID))
			return
		}
	}
	w.judgePoke(r, h)
}

// judgePull wants to see what was committed before the pull came.
func (w *world) judgePull(r *request) {
	var a struct {
		Cookie     json.RawMessage `json:"cookie"`
		Rejections told            `json:"rejections"`
	}
	if err := json.Unmarshal(r.answer, &a); err != nil {
		w.report(violated(Prefix, "answer to #%d: %v", r.number, err))
		return
	}
	v, err := w.oracle.at(r.space, a.Cookie)
	if err != nil {
		w.report(violated(Prefix, "answer to #%d: %v", r.number, err))
		return
	}
	if v.seq < r.since {
		w.report(violated(Durable, "pull #%d is answered with version %d/%s (%d), older than commit %d, which it must show",
			r.number, v.number, v.epoch, v.seq, r.since))
		return
	}
	w.report(w.oracle.rejections(r, v, a.Rejections))
}

// temporary reports whether a client may well send the same again.
func temporary(err error) bool {
	return is(err, engine.ErrUnavailable, engine.ErrUnknownOutcome, engine.ErrConflict,
		errBudget, engine.ErrTemporary, engine.ErrMutationGap, engine.ErrOverloaded, engine.ErrClosed,
		context.Canceled, context.DeadlineExceeded)
}

// arrive gives an answer to its client.
func (w *world) arrive(r *request) {
	w.done(r)
	if r.err != nil || r.thief || r.ghost && r.push {
		return
	}
	if string(r.answer) == stateNotFound {
		if !r.ghost && w.has(r.tab) {
			w.reopen(r.tab)
		}
		return
	}
	if !r.push {
		w.accept(r)
	}
}

// done frees the client for its next request.
func (w *world) done(r *request) {
	switch {
	case r.ghost:
	case r.push:
		r.tab.pushing = false
	default:
		r.tab.pulling = false
	}
}

func (w *world) has(t *tab) bool {
	return slices.Contains(w.tabs, t)
}

// accept has a client take a pull's answer, and checks what it sees then.
func (w *world) accept(r *request) {
	c := r.tab.Client
	before, errBefore := w.oracle.at(r.space, c.Cookie())
	outcome, err := c.Apply(r.asked, r.answer)
	w.note("apply #%d to %s: %v %v", r.number, c.ID(), outcome, err)
	if v, ok := errors.AsType[*replica.Violation](err); ok {
		w.report(violated(invariantOf(v.Rule), "client %s, answer to #%d: %v", c.ID(), r.number, v))
		return
	}
	if outcome != replica.Applied {
		return
	}
	w.result.Pulls++
	w.report(w.oracle.view(r.space, c))
	after, err := w.oracle.at(r.space, c.Cookie())
	if err == nil && errBefore == nil && after.epoch == before.epoch && after.number < before.number {
		w.report(violated(Causal, "client %s went back from version %d to %d", c.ID(), before.number, after.number))
	}
}

func invariantOf(rule string) Invariant {
	switch rule {
	case replica.RuleLastMutationID:
		return LMIDMonotone
	case replica.RuleCookie, replica.RuleEqualCookie:
		return CookieMonotone
	}
	return Prefix
}

// lose makes a request's answer never come back.
func (w *world) lose(r *request) {
	w.note("lose #%d", r.number)
	r.lost = true
	w.done(r)
}

func (t *tab) String() string { return fmt.Sprintf("%s of %s in %s", t.ID(), t.Group(), t.space) }
