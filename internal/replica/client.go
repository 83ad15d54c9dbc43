package replica

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/replifire/replifire/protocol"
)

// profileID is sent with every request; no server needs it (protocol.md §1.2).
const profileID = "p-replica"

// Client is one tab of a client group. Make it with New or Fork. It is not safe for
// concurrent use.
type Client struct {
	id     protocol.ClientID
	group  protocol.ClientGroupID
	schema string

	cookie  protocol.Cookie
	view    map[string]json.RawMessage
	lmids   map[protocol.ClientID]int64
	pending []Mutation
}

// Mutation is one call of a mutator, as it stands in a push.
type Mutation struct {
	ClientID protocol.ClientID `json:"clientID"`
	ID       int64             `json:"id"`
	Name     string            `json:"name"`
	Args     json.RawMessage   `json:"args"`
	// Timestamp is in milliseconds. Servers do not use it.
	Timestamp float64 `json:"timestamp"`
}

// New returns a client that has never synced.
func New(id protocol.ClientID, group protocol.ClientGroupID) *Client {
	return &Client{
		id:     id,
		group:  group,
		cookie: protocol.Cookie{Raw: json.RawMessage("null")},
		view:   map[string]json.RawMessage{},
		lmids:  map[protocol.ClientID]int64{},
	}
}

// Fork returns a new tab of the same group: it begins with what c has confirmed and
// with nothing pending, as a tab does that opens on the data of another.
func (c *Client) Fork(id protocol.ClientID) *Client {
	return &Client{
		id:     id,
		group:  c.group,
		schema: c.schema,
		cookie: c.cookie,
		view:   maps.Clone(c.view),
		lmids:  maps.Clone(c.lmids),
	}
}

// Regroup returns the first client of a new group that begins with c's data and
// cookie but without its lastMutationIDs: what a real client does when its mutators
// have changed or the server has lost its group (protocol.md §2.1).
func (c *Client) Regroup(id protocol.ClientID, group protocol.ClientGroupID) *Client {
	fork := c.Fork(id)
	fork.group = group
	clear(fork.lmids)
	return fork
}

// SetSchemaVersion sets what the client's requests say, "" at first.
func (c *Client) SetSchemaVersion(version string) { c.schema = version }

// ID is the client's own.
func (c *Client) ID() protocol.ClientID { return c.id }

// Group is the client group it belongs to.
func (c *Client) Group() protocol.ClientGroupID { return c.group }

// Cookie is that of the confirmed state: null before the first. It must not be
// modified.
func (c *Client) Cookie() json.RawMessage { return c.cookie.Raw }

// View is the confirmed state, without what is pending. It must not be modified,
// and holds only until the next Apply.
func (c *Client) View() map[string]json.RawMessage { return c.view }

// LastMutationIDs are those of the group's clients as far as they are known here.
// They must not be modified, and hold only until the next Apply.
func (c *Client) LastMutationIDs() map[protocol.ClientID]int64 { return c.lmids }

// Confirmed is the client's own lastMutationID: all mutations up to it are part of
// the view, or were rejected.
func (c *Client) Confirmed() int64 { return c.lmids[c.id] }

// Pending are the mutations that are not confirmed, oldest first. They must not be
// modified.
func (c *Client) Pending() []Mutation { return c.pending }

// Mutate appends a mutation with the next id to those that are pending. Args is the
// JSON of the call's one argument; nil is null.
func (c *Client) Mutate(name string, args json.RawMessage, at time.Time) Mutation {
	if args == nil {
		args = json.RawMessage("null")
	}
	id := c.Confirmed() + 1
	if n := len(c.pending); n > 0 {
		id = c.pending[n-1].ID + 1
	}
	m := Mutation{
		ClientID:  c.id,
		ID:        id,
		Name:      name,
		Args:      args,
		Timestamp: float64(at.UnixMicro()) / 1000,
	}
	c.pending = append(c.pending, m)
	return m
}

// confirm takes over an answer that was accepted.
func (c *Client) confirm(a *answer) {
	for _, op := range a.Patch {
		switch op.Op {
		case protocol.OpPut:
			c.view[*op.Key] = op.Value
		case protocol.OpDel:
			delete(c.view, *op.Key)
		case protocol.OpClear:
			clear(c.view)
		}
	}
	maps.Copy(c.lmids, a.LastMutationIDs)
	c.cookie = a.cookie
	c.pending = slices.DeleteFunc(slices.Clone(c.pending), func(m Mutation) bool {
		return m.ID <= c.Confirmed()
	})
}
