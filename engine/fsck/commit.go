package fsck

import (
	"fmt"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// CheckCommit says whether applying c to a space that keeps the invariants gives
// one that still does, as far as c alone can tell. It is for stores: what it
// refuses is an engine.ErrImpossible that names the first problem. It reads every
// value once, and does no I/O. It does not know whether c.Prev is the head, nor
// whether the clients' groups exist.
func CheckCommit(space protocol.SpaceID, c engine.Commit) error {
	r := &Report{Head: c.Next}
	r.id("space", string(space))
	r.headBounds(c.Next)
	if c.Next.Version != c.Prev.Version+1 {
		r.add(HeadBounds, "head", "version %d after %d", c.Next.Version, c.Prev.Version)
	}
	if c.Next.Floor < c.Prev.Floor || c.Next.Base < c.Prev.Base ||
		c.Next.DeletedVersion < c.Prev.DeletedVersion {
		r.add(HeadBounds, "head", "base, floor or deletion goes back from %d, %d, %d to %d, %d, %d",
			c.Prev.Base, c.Prev.Floor, c.Prev.DeletedVersion,
			c.Next.Base, c.Next.Floor, c.Next.DeletedVersion)
	}
	if p, n := c.Prev, c.Next; n.Private != "" &&
		(len(c.Entries) > 0 || n.Base != p.Base || n.Floor != p.Floor || n.Epoch != p.Epoch) {
		r.add(HeadFields, "head", "what concerns everybody is private: %q", n.Private)
	}
	if c.Next.History != "" && !c.IsNamed() {
		r.add(HeadHistory, "head", "names other commits than the ones before it")
	}
	r.commitEntries(c)
	r.commitClients(c)
	r.commitGroups(space, c)
	if r.OK() {
		return nil
	}
	return fmt.Errorf("%w: %v (%d problems)", engine.ErrImpossible, r.Problems[0], r.Total)
}

func (r *Report) commitEntries(c engine.Commit) {
	keys := make(map[string]bool, len(c.Entries))
	for _, e := range c.Entries {
		where := "entry " + quote(e.Key)
		r.entry(where, e)
		if e.Version != c.Next.Version {
			r.add(EntryVersion, where, "version %d in commit %d", e.Version, c.Next.Version)
		}
		if keys[e.Key] {
			r.add(EntryOnce, where, "twice in one commit")
		}
		keys[e.Key] = true
	}
	for _, key := range c.Absent {
		if !keys[key] {
			r.add(EntryOnce, "entry "+quote(key), "must be absent, and is not written")
		}
	}
}

func (r *Report) commitClients(c engine.Commit) {
	ids := make(map[protocol.ClientID]bool, len(c.Clients))
	for _, cl := range c.Clients {
		where := "client " + quote(string(cl.ID))
		r.client(where, cl)
		if cl.Version != c.Next.Version {
			r.add(ClientVersion, where, "version %d in commit %d", cl.Version, c.Next.Version)
		}
		if ids[cl.ID] {
			r.add(ClientOnce, where, "twice in one commit")
		}
		ids[cl.ID] = true
	}
}

func (r *Report) commitGroups(space protocol.SpaceID, c engine.Commit) {
	ids := make(map[protocol.ClientGroupID]bool, len(c.Groups))
	for _, g := range c.Groups {
		where := "group " + quote(string(g.ID))
		r.id(where, string(g.ID))
		if g.Space != space {
			r.add(ClientGroup, where, "of space %s", quote(string(g.Space)))
		}
		if ids[g.ID] {
			r.add(ClientOnce, where, "twice in one commit")
		}
		ids[g.ID] = true
	}
}
