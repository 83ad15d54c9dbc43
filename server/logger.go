package server

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/replifire/replifire/handlers"
)

// Logger writes to w in the settings' format, what is of their level or above.
func (s *Settings) Logger(w io.Writer) *slog.Logger {
	if s.textLog() {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
			Level:       s.LogLevel,
			ReplaceAttr: forPeople,
		}))
	}
	return slog.New(levelHandler{handlers.NewLogger(w, s.ProjectID).Handler(), s.LogLevel})
}

// forPeople shortens the lines: a person sees the date elsewhere, and the browser.
func forPeople(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) == 0 && a.Key == slog.TimeKey:
		return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
	case slices.Contains([]string{"userAgent", "protocol", "responseSize"}, a.Key):
		return slog.Attr{}
	}
	return a
}

// describe is what a start's log line says: how it is set up, and nothing secret.
func (s *Settings) describe() []any {
	return []any{
		slog.String("store", s.Store),
		slog.String("project", s.ProjectID),
		slog.String("database", s.Database),
		slog.String("emulator", s.EmulatorHost),
		slog.String("auth", s.Auth),
		slog.String("policy", s.Policy),
		slog.Any("origins", s.Origins),
		slog.Bool("dev", s.Dev),
	}
}

// levelHandler leaves out what is below a level.
type levelHandler struct {
	slog.Handler
	least slog.Level
}

// Enabled reports whether a record of that level is wanted.
func (h levelHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.least }

// WithAttrs keeps the level.
func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.least}
}

// WithGroup keeps the level.
func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.least}
}
