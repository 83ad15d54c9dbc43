package load

import (
	"encoding/json"
	"time"

	"github.com/replifire/replifire/internal/replica"
)

// Exchange is one half of a push or a pull: that it begins, or how it ended. A history
// of them is what a checker of more than this package's Verdict works on.
type Exchange struct {
	Identity

	// URL is the instance that was asked, one of Config.URLs.
	URL string
	At  time.Time
	// Begins: the request is about to be sent, and the fields from OK on are empty.
	Begins bool

	// Push tells it from a pull.
	Push bool
	// Mutations are what a push carries. They must not be modified.
	Mutations []replica.Mutation
	// Asked is the cookie of a pull.
	Asked json.RawMessage

	// OK: there was an answer with status 200.
	OK bool
	// Answer is its body.
	Answer []byte
	// Outcome is what the client made of the answer to a pull, and Err why it refused it.
	Outcome replica.Outcome
	Err     error
}

// record passes an exchange of one of this client's states to Config.Record.
func (c *client) record(state *replica.Client, x Exchange) {
	if c.run.config.Record == nil {
		return
	}
	x.Identity = Identity{Space: c.space.id, Group: state.Group(), Client: state.ID()}
	x.URL, x.At = c.base, time.Now()
	c.run.config.Record(x)
}
