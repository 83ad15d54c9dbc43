package sim

import (
	"bytes"
	"maps"
	"slices"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// rejection is a mutation that was refused for good, as a pull tells it.
type rejection struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// told are the rejections in a pull's answer.
type told map[protocol.ClientID][]rejection

// rejected are the last rejections of each client: of engine.MaxRejections, what a
// pull may still tell. The lists are never changed.
type rejected map[protocol.ClientID][]rejectedAt

type rejectedAt struct {
	rejection

	version int64
}

// add notes a rejection, which forgets an older one if there are too many.
func (r rejected) add(c protocol.ClientID, last rejectedAt) {
	list := append(slices.Clone(r[c]), last)
	r[c] = list[max(0, len(list)-engine.MaxRejections):]
}

// since are those of a client at later versions.
func (r rejected) since(c protocol.ClientID, version int64) []rejection {
	var list []rejection
	for _, j := range r[c] {
		if j.version > version {
			list = append(list, j.rejection)
		}
	}
	return list
}

// told is the version up to which who asks with a cookie, and is answered anew or not, has
// been told of a client's rejections.
func (v *version) told(c protocol.ClientID, asked protocol.Cookie, anew bool) int64 {
	switch below := asked.Ours && asked.Epoch == v.epoch && asked.Version < v.floor; {
	case !anew, below:
		return asked.Version
	case v.updated.Sub(v.seen[c]) < engine.RejectionLife:
		return -1
	default:
		return v.number
	}
}

// rejections judges what a pull's answer at version v says was refused: of the clients of
// its group, all that happened since the cookie it asked with, or if it begins anew, all that
// are kept of clients that were seen within the last hour; each once, and nothing else.
func (o *oracle) rejections(r *request, v *version, got told) *Violation {
	anew := bytes.Contains(r.answer, []byte(`{"op":"clear"}`))
	asked, err := protocol.ParseCookie(r.asked)
	if err != nil && !anew {
		return violated(Rejections, "pull #%d asked with %s: %v", r.number, r.asked, err)
	}
	for _, c := range slices.Sorted(maps.Keys(got)) {
		switch {
		case o.taken[c]:
		case o.groupOf[c] != r.tab.Group():
			return violated(Isolation, "pull #%d tells group %s of rejections of %s", r.number, r.tab.Group(), c)
		case len(v.rejected[c]) == 0:
			return violated(Rejections, "pull #%d tells of rejections %v of %s, which has none", r.number, got[c], c)
		}
	}
	for _, c := range slices.Sorted(maps.Keys(v.rejected)) {
		if o.groupOf[c] != r.tab.Group() || o.taken[c] {
			continue
		}
		since := v.told(c, asked, anew)
		if want := v.rejected.since(c, since); !slices.Equal(got[c], want) {
			return violated(Rejections, "pull #%d of %s at %d/%s since %d: rejected are said to be %v of %s, want %v",
				r.number, r.tab.Group(), v.number, v.epoch, since, got[c], c, want)
		}
	}
	return nil
}
