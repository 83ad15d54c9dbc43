package engine

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"

	"github.com/replifire/replifire/protocol"
)

// lostState reports whether the group may have seen lastMutationIDs that the
// space has lost: it would reject every answer, so it must come back as a new one.
func (p *pull) lostState() bool {
	c, head := p.req.Cookie, p.head
	if p.wasAnother() {
		return true
	}
	if !c.Ours || !p.known || !p.hasSeen() {
		return false
	}
	restored := c.Epoch != head.Epoch && p.group.CreatedAt.Before(head.RestoredAt)
	return restored || p.stray()
}

// hasSeen reports whether lastMutationIDs of this group may have come with the cookie, or
// before it: then it was given to this group, when that was known. Cookies that do not
// name their commit are older than this rule and may be any group's.
func (p *pull) hasSeen() bool {
	c := p.req.Cookie
	return c.Commit == "" || strings.HasPrefix(c.Group, groupMark(p.req.ClientGroupID))
}

// wasAnother reports whether the cookie was given to this group when it was known, and
// it is not known any more or was made again since.
func (p *pull) wasAnother() bool {
	mark := p.req.Cookie.Group
	ours := strings.HasPrefix(mark, groupMark(p.req.ClientGroupID))
	return ours && (!p.known || mark != p.group.mark())
}

// groupMark is how the mark of a group begins: 40 bits, since a collision only makes a
// client start afresh.
func groupMark(id protocol.ClientGroupID) string {
	sum := sha256.Sum256([]byte(id))
	return base32.StdEncoding.EncodeToString(sum[:5]) + "."
}

// mark tells a group from all others, and from one of the same id that was made in
// another history of the space, but for one made in the very same microsecond: a wipe or a
// restore takes longer.
func (g ClientGroup) mark() string {
	return groupMark(g.ID) + strconv.FormatInt(g.CreatedAt.UnixMicro(), 36)
}

// named has a new cookie name the commit of its version, and the group it is given to if there
// is one: a group that nobody has pushed for has nothing to lose.
func (p *pull) named(cookie protocol.Cookie) protocol.Cookie {
	cookie = cookie.At(p.head.Name())
	if !p.known {
		return cookie
	}
	return cookie.Of(p.group.mark())
}
