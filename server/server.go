package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/gc"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// giveUp is the time for what was given up to notice it.
const giveUp = 500 * time.Millisecond

// Server is the service, assembled. Make it with New; end it with Close, which
// Run does by itself. Its methods are safe for concurrent use.
type Server struct {
	settings Settings
	log      *slog.Logger
	onReady  func(net.Addr)

	engine     *engine.Engine
	hub        *poke.Hub
	requests   *requests
	closeStore func() error
	access     access
	collector  *gc.Collector // nil unless somebody may ask for it

	closing  sync.Once
	closeErr error
}

// Option changes what New makes.
type Option func(*Server)

// WithLogger replaces the logger, which is Settings.Logger on stderr.
func WithLogger(l *slog.Logger) Option { return func(s *Server) { s.log = l } }

// OnReady has f called by Run, once, with the address it listens on.
func OnReady(f func(net.Addr)) Option { return func(s *Server) { s.onReady = f } }

// New assembles the service of the settings around the application's mutators.
// It fails if the settings are wrong, and makes no connection.
func New(ctx context.Context, settings Settings, mutators *mutate.Registry, options ...Option) (*Server, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	s := &Server{settings: settings, log: settings.Logger(os.Stderr), onReady: func(net.Addr) {}}
	for _, o := range options {
		o(s)
	}
	var err error
	if s.access, err = settings.access(s.log); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	store, closeStore, err := settings.openStore(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s.closeStore = closeStore
	s.access.goBy(&settings, store.Members())
	s.engine = engine.New(store, mutators, settings.engineLimits(engine.Options{
		SchemaVersions: settings.SchemaVersions,
		Logger:         s.log,
		OnCommit:       func(id protocol.SpaceID, h engine.Head) { s.hub.Notify(id, h.Version, h.Concerns()) },
		PushTimeout:    settings.PushTimeout,
		PullMaxAge:     settings.PullMaxAge,
	}))
	s.hub = s.newHub()
	s.collector = settings.collector(s.engine, s.log)
	if err := s.route(ctx, store); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	s.log.InfoContext(ctx, "service assembled", settings.describe()...)
	return s, nil
}

// newHub makes the hub that watches the spaces of this instance's subscribers.
func (s *Server) newHub() *poke.Hub {
	return poke.NewHub(poke.Options{
		Watch:          s.engine.WatchNews,
		Head:           s.engine.News,
		MaxSubscribers: s.settings.MaxStreams,
		Logger:         s.log,
	})
}

// route makes the HTTP side.
func (s *Server) route(ctx context.Context, store engine.Store) error {
	c := handlers.Config{
		Engine:        s.engine,
		Hub:           s.hub,
		Authenticator: s.access.authenticator,
		Policy:        s.access.policy,
		Members:       s.access.members,
		Tickets:       s.access.tickets,
		GC:            s.gcRoute(),
		Origins:       s.settings.Origins,
		Dev:           s.settings.Dev,
		Limits:        s.settings.httpLimits(),
		Ready:         store.Ping,
		Logger:        s.log,
		ProjectID:     s.settings.ProjectID,
		Heartbeat:     s.settings.Heartbeat,
		StreamLife:    s.settings.StreamLife,
	}
	if s.settings.Dev {
		c.Origins = []string{"*"}
		c.Page = s.page(ctx)
	}
	h, err := handlers.New(c)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	s.requests = &requests{next: h}
	return nil
}

// Handler answers the service's requests; Close waits for them.
func (s *Server) Handler() http.Handler { return s.requests }

// Close ends the poke streams, refuses new requests, waits for those under way
// and for what the queues hold, and lets go of the store. It takes no longer than
// Settings.DrainTimeout, nor than ctx; what is not done by then is given up, which
// acknowledges nothing, and is the error. A second Close returns what the first did.
func (s *Server) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.DrainTimeout)
	defer cancel()
	s.closing.Do(func() {
		if s.closeErr = s.close(ctx); s.closeErr != nil {
			s.log.ErrorContext(ctx, "not everything was finished", "error", s.closeErr)
		}
	})
	return s.closeErr
}

// close takes things down in the order in which they need each other.
func (s *Server) close(ctx context.Context) error {
	s.endLong()
	if s.requests != nil {
		s.requests.close(ctx, s.settings.DrainTimeout/8)
	}
	s.access.close()
	return errors.Join(s.closeEngine(ctx), s.closeStore())
}

// endLong ends the requests that would hold a shutdown up until its deadline.
func (s *Server) endLong() {
	s.hub.Close()
	if s.collector != nil {
		s.collector.Close()
	}
}

// closeEngine waits for the engine, but not for a mutator that goes on after its
// context has ended: what it does is acknowledged to nobody.
func (s *Server) closeEngine(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() { closed <- s.engine.Close(ctx) }()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-closed:
		return err
	case <-time.After(giveUp):
		return errors.New("a mutator does not end")
	}
}
