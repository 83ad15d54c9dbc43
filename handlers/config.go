package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/auth/ticket"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// Defaults of Config, and what is fixed.
const (
	// DefaultHeartbeat is below the minute after which proxies give up a silent
	// connection.
	DefaultHeartbeat = 20 * time.Second
	// DefaultStreamLife is below the 60 minutes Cloud Run allows a request at most.
	DefaultStreamLife = 50 * time.Minute
	// DefaultRecheck ends a stream whose listener has lost the right within a minute,
	// the time for asking the policy included.
	DefaultRecheck = 30 * time.Second
	// WriteTimeout is how long a client may take to accept one piece of an answer, of 16 KiB
	// at the most.
	WriteTimeout = 45 * time.Second
	// WaitTimeout is how long an answer waits for its client in all, and a second more for
	// each LeastRate bytes that were accepted.
	WaitTimeout = 60 * time.Second
	// LeastRate is how many bytes a second a client must accept in the long run.
	LeastRate = 32 << 10
	// AnswerLife is how long the answer to a pull may take in all. It is of one moment, which
	// stores keep for an hour.
	AnswerLife = 50 * time.Minute
	// ReadyTimeout bounds the check behind GET /ready.
	ReadyTimeout = 3 * time.Second
)

// Engine is what is needed of *engine.Engine.
type Engine interface {
	Push(ctx context.Context, c engine.Caller, req *protocol.PushRequest) error
	Applied(
		ctx context.Context, c engine.Caller, group protocol.ClientGroupID, clients []protocol.ClientID,
	) (map[protocol.ClientID]int64, error)
	Pull(ctx context.Context, c engine.Caller, req *protocol.PullRequest) (*protocol.PullResponse, error)
	Reset(ctx context.Context, space protocol.SpaceID) (engine.Head, error)
}

// Config of a Handler. Engine, Hub, Authenticator and Policy MUST be set; every
// other zero field is its default.
type Config struct {
	Engine        Engine
	Hub           *poke.Hub
	Authenticator auth.Authenticator
	Policy        auth.Policy
	// Members are those that the policy goes by; it is the Policy, or what that goes
	// by. Owners change them by HTTP, and nobody else does, whatever the Policy allows.
	// Nil: there are no routes for that.
	Members *members.Policy
	// Tickets are for clients that cannot send a header when they open a poke
	// stream. Nil: tickets signed with a key of this Handler's own, which another
	// instance does not know.
	Tickets *ticket.Tickets
	// GC is behind POST /api/gc. Nil: there is no such route.
	GC *GC

	// Origins may use the API from a browser: each is compared as a whole with the
	// Origin header. "*" stands for all of them and is for development mode only.
	Origins []string
	// Dev lets everybody empty a space through /api/init, by GET too.
	Dev bool
	// Ready says why the service is not ready, nil when it is. It is called at
	// most once a second. Nil: always ready.
	Ready func(ctx context.Context) error
	// Page answers GET and HEAD of everything that is not the API; nil: nothing
	// does.
	Page http.Handler

	// Heartbeat is how long a poke stream is silent at most.
	Heartbeat time.Duration
	// StreamLife is after what time a poke stream is ended at the latest. It may
	// be a tenth shorter, so that streams begun together do not end together.
	StreamLife time.Duration
	// Recheck is how often the rights of a poke stream's listener are looked at
	// again.
	Recheck time.Duration

	// Limits are about how much callers may ask for.
	Limits

	// Logger has one line for each request; nil: slog.Default. See NewLogger.
	Logger *slog.Logger
	// ProjectID is the Google Cloud project that owns the traces; "" leaves them
	// out of the log.
	ProjectID string
}

func (c Config) withDefaults() Config {
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, DefaultMaxBodyBytes)
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	c.StreamLife = cmp.Or(c.StreamLife, DefaultStreamLife)
	c.Recheck = cmp.Or(c.Recheck, DefaultRecheck)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	return c
}

// valid says what New cannot work with.
func (c *Config) valid() error {
	if c.Engine == nil || c.Hub == nil || c.Authenticator == nil || c.Policy == nil {
		return errors.New("handlers: Engine, Hub, Authenticator and Policy must be set")
	}
	if err := c.GC.valid(); err != nil {
		return err
	}
	if c.negative() || c.Heartbeat < 0 || c.StreamLife < 0 || c.Recheck < 0 {
		return errors.New("handlers: limits must not be negative")
	}
	if below(c.UserBytes, c.MaxBodyBytes) || below(c.AddressBytes, c.MaxBodyBytes) {
		return errors.New("handlers: the bursts of UserBytes and AddressBytes must not be less than MaxBodyBytes")
	}
	if err := CheckOrigins(c.Origins, c.Dev); err != nil {
		return fmt.Errorf("handlers: %w", err)
	}
	return nil
}

// CheckOrigins reports an origin that no browser sends, or "*" where it is not
// development mode.
func CheckOrigins(origins []string, dev bool) error {
	for _, o := range origins {
		if o == "*" && !dev {
			return errors.New(`origin "*" is for development mode only`)
		}
		if o != "*" && !validOrigin(o) {
			return fmt.Errorf("origin %q is not like https://app.example.com", o)
		}
	}
	return nil
}

// validOrigin accepts what browsers send: a scheme, a host and perhaps a port, in
// lower case and without anything after it.
func validOrigin(o string) bool {
	u, err := url.Parse(o)
	return err == nil && u.Host != "" && o == u.Scheme+"://"+u.Host && o == strings.ToLower(o)
}
