package fsck

import (
	"regexp"
	"unicode/utf8"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// The rules look at one document each. What needs a second one (agreement,
// order, once) is with whoever walks them.

// privateForm is that of engine.Head.Private.
var privateForm = regexp.MustCompile(`^([A-Z2-7]{8})+(,([A-Z2-7]{8})+)*$`)

// headBounds holds for stored heads and for those about to be stored.
func (r *Report) headBounds(h engine.Head) {
	if h.Version < 0 || h.Base < 0 || h.Floor < h.Base || h.Version < h.Floor {
		r.add(HeadBounds, "head", "base %d, floor %d, version %d", h.Base, h.Floor, h.Version)
	}
	if h.DeletedVersion < 0 || h.Base < h.DeletedVersion {
		r.add(HeadBounds, "head", "base %d, deleted at version %d", h.Base, h.DeletedVersion)
	}
	if h.DeletedAt.IsZero() != (h.DeletedVersion == 0) {
		r.add(HeadFields, "head", "deleted at version %d, time %v", h.DeletedVersion, h.DeletedAt)
	}
	if h.Epoch == "" || h.Nonce == "" {
		r.add(HeadFields, "head", "epoch %q, nonce %q", h.Epoch, h.Nonce)
	}
	if h.Private != "" && !privateForm.MatchString(h.Private) {
		r.add(HeadFields, "head", "private %q", h.Private)
	}
	if err := h.History.Check(); err != nil {
		r.add(HeadHistory, "head", "%v", err)
	}
	if n := int64(h.Names()); h.History != "" && n > h.Version {
		r.add(HeadHistory, "head", "%d commits are named at version %d", n, h.Version)
	}
	if h.Imported < 0 || h.Imported > 0 && h.Importing == "" {
		r.add(HeadFields, "head", "%d records imported of %q", h.Imported, h.Importing)
	}
}

func (r *Report) storedHead(h engine.Head) {
	if h == (engine.Head{}) {
		return // a space nobody has written to
	}
	r.headBounds(h)
	if h.Version == 0 || h.Revision == "" {
		r.add(HeadFields, "head", "version %d, revision %q", h.Version, h.Revision)
	}
}

// version holds an entry or a client to its head.
func (r *Report) version(i Invariant, where string, version int64) {
	switch {
	case !r.Head.Exists():
		r.add(AbsentSpace, where, "stored at version %d of a space without a head", version)
	case version < 1 || version > r.Head.Version:
		r.add(i, where, "version %d of a space at %d", version, r.Head.Version)
	}
}

func (r *Report) entry(where string, e engine.Entry) {
	if err := mutate.CheckKey(e.Key); err != nil {
		r.add(EntryKey, where, "%v", err)
	}
	if e.Deleted {
		if e.Value != nil {
			r.add(EntryValue, where, "tombstone with a value of %d bytes", len(e.Value))
		}
		return
	}
	if !e.DeletedAt.IsZero() {
		r.add(EntryValue, where, "deleted at %v, but not a tombstone", e.DeletedAt)
	}
	if len(e.Value) > engine.MaxValueBytes {
		r.add(EntryValue, where, "value of %d bytes", len(e.Value))
		return
	}
	if err := protocol.CheckValue(e.Value); err != nil {
		r.add(EntryValue, where, "%v", err)
		return
	}
	if !protocol.IsCanonical(e.Value) {
		r.add(EntryValue, where, "value is not in its canonical form")
	}
}

func (r *Report) client(where string, c engine.Client) {
	r.id(where, string(c.ID))
	r.id(where, string(c.GroupID))
	if c.LastMutationID < 1 || c.LastMutationID > protocol.MaxMutationID {
		r.add(ClientMutation, where, "last mutation id %d", c.LastMutationID)
	}
	if n := len(c.Rejections); n > engine.MaxRejections {
		r.add(ClientRejections, where, "%d rejections", n)
	}
	var last engine.Rejection
	for _, j := range c.Rejections {
		if j.MutationID <= last.MutationID || j.MutationID > c.LastMutationID {
			r.add(ClientRejections, where, "rejection of %d after %d, last mutation id %d",
				j.MutationID, last.MutationID, c.LastMutationID)
		}
		if j.Version < max(1, last.Version) || j.Version > c.Version {
			r.add(ClientRejections, where, "rejection at version %d after %d, client at %d",
				j.Version, last.Version, c.Version)
		}
		last = j
	}
}

func (r *Report) id(where, id string) {
	if id == "" || len(id) > protocol.MaxIDBytes || !utf8.ValidString(id) {
		r.add(ClientID, where, "id %s, valid UTF-8 %t", quote(id), utf8.ValidString(id))
	}
}
