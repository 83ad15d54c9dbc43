package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/token"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/gc"
	"github.com/replifire/replifire/handlers"
)

// GCSettings say who may have POST /api/gc collect, and how. They have nothing to do
// with how users sign in. They are part of Settings.
type GCSettings struct {
	GCInvoker   string        `name:"gc-invoker" env:"REPLIFIRE_GC_INVOKER" group:"gc" placeholder:"ACCOUNT"`
	GCAudience  string        `name:"gc-audience" env:"REPLIFIRE_GC_AUDIENCE" group:"gc" placeholder:"URL"`
	GCIssuer    string        `name:"gc-issuer" env:"REPLIFIRE_GC_ISSUER" group:"gc" default:"https://accounts.google.com"`
	GCRetention time.Duration `name:"gc-retention" env:"REPLIFIRE_GC_RETENTION" group:"gc" default:"720h"`
	GCTimeout   time.Duration `name:"gc-timeout" env:"REPLIFIRE_GC_TIMEOUT" group:"gc" default:"150s"`
}

func (g *GCSettings) check() error {
	if (g.GCInvoker == "") != (g.GCAudience == "") {
		return errors.New("REPLIFIRE_GC_INVOKER and REPLIFIRE_GC_AUDIENCE need each other:" +
			" without an audience a token for any other service would do")
	}
	if g.GCRetention < 0 {
		return errors.New("REPLIFIRE_GC_RETENTION must not be less than 0")
	}
	return cmp.Or(positive("REPLIFIRE_GC_TIMEOUT", int64(g.GCTimeout)), g.checkIssuer())
}

func (g *GCSettings) checkIssuer() error {
	if u, err := url.Parse(g.GCIssuer); err != nil || u.Host == "" || !strings.HasPrefix(u.Scheme, "http") {
		return errors.New("REPLIFIRE_GC_ISSUER must be a URL such as https://accounts.google.com")
	}
	return nil
}

// addInvoker adds who tells the tokens of POST /api/gc, if anybody may call that.
func (g *GCSettings) addInvoker(a *access, log *slog.Logger) error {
	if g.GCInvoker == "" {
		return nil
	}
	o, err := token.NewOIDC(token.OIDCConfig{
		Issuer: g.GCIssuer, Audience: g.GCAudience, SoleAudience: true, Logger: log,
	})
	if err != nil {
		return fmt.Errorf("REPLIFIRE_GC_ISSUER: %w", err)
	}
	users := a.close
	a.invoker, a.close = o, func() { users(); o.Close() }
	return nil
}

// collector is nil if nobody may ask for it.
func (g *GCSettings) collector(e *engine.Engine, log *slog.Logger) *gc.Collector {
	if g.GCInvoker == "" {
		return nil
	}
	return gc.New(e, gc.Options{Retention: g.GCRetention, Limit: g.GCTimeout, Logger: log})
}

// gcRoute is nil if nobody may call it.
func (s *Server) gcRoute() *handlers.GC {
	if s.collector == nil {
		return nil
	}
	return &handlers.GC{
		Authenticator: s.access.invoker, Account: auth.Account(s.settings.GCInvoker), Run: s.collector.Run,
	}
}
