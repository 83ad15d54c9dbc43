package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/replifire/replifire/protocol"
)

// Defaults of Config.
const (
	DefaultClients  = 8
	DefaultPending  = 1
	DefaultDuration = 10 * time.Second
	DefaultSettle   = 30 * time.Second
	// DefaultTimeout of a push or a pull. The real client has none; a run must end.
	DefaultTimeout = time.Minute
	// DefaultBacklog keeps the body of a push, which has all of them, below 1 MB or so.
	DefaultBacklog = 5000
)

// View is how much of its view a client keeps.
type View int

// The kinds of View. Hash is the default: it finds every difference that Full does.
const (
	// Hash keeps of each entry its key and 64 bits of hash of its value.
	Hash View = iota
	// Full keeps the values.
	Full
	// None keeps the cookie and the last mutation ids: the cheapest, for a great
	// many clients. Views are not compared then, and patches not looked at.
	None
)

// Streams is who listens to pokes.
type Streams int

// The kinds of Streams.
const (
	// PerClient: each client has a poke stream, as each tab of the real client has.
	PerClient Streams = iota
	// PerGroup: the clients of a group share one.
	PerGroup
)

// Identity is who a request is made by.
type Identity struct {
	Space  protocol.SpaceID
	Group  protocol.ClientGroupID
	Client protocol.ClientID
}

// Config says what to do. URLs MUST be set; other zero fields mean what they say.
type Config struct {
	// URLs are the instances of the service, such as "http://localhost:8080".
	// Client i uses URL i modulo their number.
	URLs []string
	// Space is the space's name. With several Spaces each has its number after a
	// dash. "": a name of this run's own. A space that others write to during the
	// run does not converge.
	Space string
	// Spaces is how many there are; 0: one.
	Spaces int
	// Groups is how many client groups there are over all spaces; 0: each client is
	// its own. Client i is of group i modulo Groups, which is of that number's space
	// modulo Spaces.
	Groups int
	// Clients mutate, push and pull; 0: DefaultClients, or none if there are Pullers.
	Clients int
	// Pullers only pull, when poked. They come after the clients in every order.
	Pullers int

	// Rate is how many mutations per second all clients together offer, evenly,
	// whatever the server does (open loop). 0: closed loop.
	Rate float64
	// Burst is how many mutations a client issues at a time in the open loop, at most: it is
	// drawn anew each time, small ones more often, and the rate stays the same. 0: one.
	Burst int
	// Backlog is how many unconfirmed mutations a client has at most in the open
	// loop; what is due beyond is counted as shed. 0: DefaultBacklog.
	Backlog int
	// Pending is how many unconfirmed mutations each client keeps in the closed
	// loop. 0: DefaultPending.
	Pending int
	// Think is how long a client waits before each mutation in the closed loop.
	Think time.Duration

	// Ramp is over what time the clients start.
	Ramp time.Duration
	// Duration is how long figures are taken. 0: DefaultDuration.
	Duration time.Duration
	// Enough keeps the clients at work after that time until it is closed. Nil: they end.
	Enough <-chan struct{}
	// Settle bounds the end of a run. 0: DefaultSettle.
	Settle time.Duration
	// Timeout bounds a push and a pull. 0: DefaultTimeout.
	Timeout time.Duration

	// Templates are the mutations. Nil: DefaultTemplates.
	Templates *Templates
	// Token returns a bearer token, "" for none. It is called for every request,
	// concurrently, and should keep what it can. Nil: no token.
	Token func(context.Context, Identity) (string, error)
	// View is what clients keep.
	View View
	// Streams is who listens to pokes.
	Streams Streams
	// Gzip asks for compressed answers.
	Gzip bool
	// Seed makes the choice of templates and the texts and numbers in mutations the
	// same again. Ids are new in each run: a server remembers them.
	Seed uint64

	// Record is called when a push or a pull of a client begins and when it has ended, for
	// each client's pulls, and for its pushes, in the order of what happened; concurrently
	// for different clients. Nil: nobody wants to know.
	Record func(Exchange)

	// Dial opens the connections. Nil: a [net.Dialer] does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Live receives a line of figures every LiveEvery, 0: a second. Nil: none.
	Live      io.Writer
	LiveEvery time.Duration
	// LiveRewrite has each line replace the one before, for a terminal.
	LiveRewrite bool
}

// withDefaults fills in zero fields; runName names the space if nothing else does.
func (c Config) withDefaults(runName string) Config {
	c.Space = cmp.Or(c.Space, "hammer-"+runName)
	c.Spaces = cmp.Or(c.Spaces, 1)
	if c.Clients == 0 && c.Pullers == 0 {
		c.Clients = DefaultClients
	}
	c.Groups = cmp.Or(c.Groups, c.Clients+c.Pullers)
	c.Burst = cmp.Or(c.Burst, 1)
	c.Backlog = cmp.Or(c.Backlog, DefaultBacklog)
	c.Pending = cmp.Or(c.Pending, DefaultPending)
	c.Duration = cmp.Or(c.Duration, DefaultDuration)
	c.Settle = cmp.Or(c.Settle, DefaultSettle)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Templates = cmp.Or(c.Templates, DefaultTemplates())
	c.LiveEvery = cmp.Or(c.LiveEvery, time.Second)
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if c.Token == nil {
		c.Token = func(context.Context, Identity) (string, error) { return "", nil }
	}
	return c
}

// Validate says what Run would not work with, nil if it would.
func (c Config) Validate() error {
	c = c.withDefaults("run")
	return c.valid()
}

// valid says what Run cannot work with, defaults filled in.
func (c *Config) valid() error {
	if len(c.URLs) == 0 {
		return errors.New("no URL of a service")
	}
	for _, u := range c.URLs {
		if p, err := url.Parse(u); err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" {
			return fmt.Errorf("URL %q is not like http://host:port", u)
		}
	}
	switch {
	case min(c.Spaces, c.Groups, c.Burst, c.Backlog, c.Pending) < 1, min(c.Clients, c.Pullers) < 0:
		return errors.New("a number is negative")
	case min(c.Think, c.Ramp) < 0, min(c.Duration, c.Settle, c.Timeout, c.LiveEvery) <= 0:
		return errors.New("a time is negative")
	case c.Rate != 0 && !(c.Rate >= 0.001 && c.Rate <= 1e6):
		return errors.New("the rate is neither 0 nor from 0.001 to 1,000,000 a second")
	case c.Groups > c.Clients+c.Pullers:
		return fmt.Errorf("%d groups for %d clients", c.Groups, c.Clients+c.Pullers)
	case c.Spaces > c.Groups:
		return fmt.Errorf("%d spaces for %d groups", c.Spaces, c.Groups)
	}
	return nil
}

// spaceName is the name of space n.
func (c *Config) spaceName(n int) protocol.SpaceID {
	if c.Spaces == 1 {
		return protocol.SpaceID(c.Space)
	}
	return protocol.SpaceID(fmt.Sprintf("%s-%d", c.Space, n))
}
