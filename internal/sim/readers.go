package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// users is how many there are.
const users = 3

// errBudget ends the push of a reader, who may have so many mutations rejected at a time.
var errBudget = errors.New("no more rejections for now")

// rights are the users who may read and not write, guarded by world.mu.
type rights struct {
	readers map[string]bool
	// writers have been allowed to write at some time.
	writers map[string]bool
	// refused is when (oracle.seq) the right to write of a user was last read and not found.
	refused map[string]int
	taken   int
}

// newRights makes one user in two runs of three a reader, for a time or for all of it.
func (w *world) newRights() {
	w.rights = rights{readers: map[string]bool{}, writers: map[string]bool{}, refused: map[string]int{}}
	chance := seeded(w.config.Seed, 0x2ead)
	reader := 0
	if chance.IntN(3) > 0 {
		reader = users
	}
	for u := 1; u <= users; u++ {
		w.rights.readers[userName(u)] = u == reader
		w.rights.writers[userName(u)] = u != reader
	}
	if chance.IntN(2) == 0 {
		w.without |= Promote
	}
}

func userName(n int) string { return fmt.Sprint("u", n) }

// promote makes the last user a writer, or a reader again.
func (w *world) promote() {
	user := userName(users)
	w.rights.readers[user] = !w.rights.readers[user]
	w.rights.writers[user] = true
	w.note("%s is a reader: %t", user, w.rights.readers[user])
}

// callerOf is what a handler makes of a request. It takes a user for a reader by what it
// remembers, which may be wrong in both directions.
func (w *world) callerOf(r *request) engine.Caller {
	caller := engine.Caller{Space: r.space, UserID: r.user}
	reader := w.rights.readers[r.user]
	if w.rights.writers[r.user] && w.may(Promote) && w.one(8) {
		reader = !reader
	}
	if !r.push || !reader {
		return caller
	}
	r.reader = true
	caller.Reader = &engine.Reader{
		MayWrite: func(context.Context) (bool, error) { return w.mayWrite(r.user), nil },
		Take:     w.takeRejection,
	}
	return caller
}

// mayWrite reads the right of a user, for an engine.
func (w *world) mayWrite(user string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rights.readers[user] {
		w.rights.refused[user] = w.oracle.seq
	}
	return !w.rights.readers[user]
}

// takeRejection ends one push in five of readers, until all trouble has ended.
func (w *world) takeRejection() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rights.taken++
	if w.rights.taken%5 == 0 && !w.healed {
		return errBudget
	}
	return nil
}

// judgeReaders holds a commit to what is promised of readers: what they push is rejected, by a
// right that was read when the commit's predecessor was known, in commits that write nothing
// else and that concern nobody else.
func (w *world) judgeReaders(before *version, c engine.Commit) *Violation {
	for _, cl := range c.Clients {
		user := w.oracle.owners[w.oracle.groupOf[cl.ID]].user
		refused, judged := w.rights.refused[user]
		switch {
		case c.Next.Private == "" && !w.rights.writers[user]:
			return violated(Isolation, "commit %d has mutations of %s, who may not write, and is not private",
				c.Next.Version, user)
		case c.Next.Private != "" && (!judged || refused < before.seq):
			return violated(Isolation, "commit %d rejects mutations of %s by a right of before version %d",
				c.Next.Version, user, before.number)
		case c.Next.Private != "" && !c.Next.Concerns()(engine.AudienceOf(w.oracle.groupSpace(cl.ID), user), before.number):
			return violated(Poke, "commit %d does not concern %s, whose mutations it rejects", c.Next.Version, user)
		}
	}
	if c.Next.Private != "" && (len(c.Entries) > 0 || !before.exists()) {
		return violated(Isolation, "private commit %d writes %d entries after version %d",
			c.Next.Version, len(c.Entries), before.number)
	}
	return nil
}

// exists reports whether it is a version of a space, and not what comes before the first.
func (v *version) exists() bool { return v.number > 0 }

// groupSpace is the space of a client.
func (o *oracle) groupSpace(c protocol.ClientID) protocol.SpaceID {
	return o.owners[o.groupOf[c]].space
}

// rejectedAll notes that all mutations of a private commit were rejected.
func (r *rerun) rejectedAll() {
	for client, last := range r.version.lmids {
		for id := r.lmids[client] + 1; id <= last; id++ {
			r.version.rejected.add(client, rejectedAt{rejection{id, r.oracle.issued[client][id-1].name}, r.version.number})
		}
	}
}

// concerning is the newest version that a listener of an audience must know.
func (h *history) concerning(audience string) int64 {
	v := h.head
	for v.private != "" && !strings.Contains(v.private, audience) {
		v = v.prev
	}
	return v.number
}

// concerned is the audience whose names a head gives its last commit.
func concerned(h engine.Head) string {
	parts := strings.Split(h.Private, ",")
	return parts[len(parts)-1]
}

// refusedReader reports whether a push was refused because a reader cannot create a space.
func (w *world) refusedReader(r *request) bool {
	return r.reader && errors.Is(r.err, engine.ErrForbidden) && slices.Contains(w.spaces, r.space)
}
