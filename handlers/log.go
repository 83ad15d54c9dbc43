package handlers

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The names that Cloud Logging gives a meaning to.
const (
	keySeverity = "severity"
	keyMessage  = "message"
	keyTrace    = "logging.googleapis.com/trace"
	keySpan     = "logging.googleapis.com/spanId"
	keySampled  = "logging.googleapis.com/trace_sampled"
	keyRequest  = "httpRequest"
	keyID       = "request_id"
)

// What of a request's text is logged at the most, in bytes.
const (
	maxLoggedText = 256
	maxLoggedID   = 100
)

// NewLogger makes a logger of JSON lines with the field names of Cloud Logging.
// What is logged with a request's context carries the request's id and, if
// projectID is not empty, its trace. Durations are written like "1.5s".
func NewLogger(w io.Writer, projectID string) *slog.Logger {
	json := slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: cloudNames})
	return slog.New(cloudHandler{json, projectID})
}

// cloudNames renames what slog adds to a line by itself.
func cloudNames(groups []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			return slog.String(keySeverity, severity(level))
		}
	case slog.MessageKey:
		a.Key = keyMessage
	}
	return a
}

func severity(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	default:
		return "ERROR"
	}
}

// cloudHandler adds what the context knows of the request.
type cloudHandler struct {
	slog.Handler
	project string
}

// Handle adds the request's id and trace to a line.
func (h cloudHandler) Handle(ctx context.Context, r slog.Record) error {
	if l, ok := ctx.Value(loggedKey{}).(logged); ok {
		r = r.Clone()
		r.AddAttrs(l.attrs(h.project)...)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the project.
func (h cloudHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return cloudHandler{h.Handler.WithAttrs(attrs), h.project}
}

// WithGroup keeps the project.
func (h cloudHandler) WithGroup(name string) slog.Handler {
	return cloudHandler{h.Handler.WithGroup(name), h.project}
}

// logged is what every line about a request says.
type logged struct {
	requestID string
	trace     trace
}

type loggedKey struct{}

func withExchange(ctx context.Context, l logged) context.Context {
	return context.WithValue(ctx, loggedKey{}, l)
}

//nolint:sloglint // Cloud Logging's names
func (l logged) attrs(project string) []slog.Attr {
	attrs := []slog.Attr{slog.String(keyID, l.requestID)}
	if project == "" || l.trace.id == "" {
		return attrs
	}
	attrs = append(attrs, slog.String(keyTrace, "projects/"+project+"/traces/"+l.trace.id))
	if l.trace.span != "" {
		attrs = append(attrs, slog.String(keySpan, l.trace.span))
	}
	return append(attrs, slog.Bool(keySampled, l.trace.sampled))
}

// log writes the request's one line. Tokens, bodies and queries stay out of it.
//
//nolint:sloglint // Cloud Logging's names
func (x *exchange) log() {
	status := x.w.status
	attrs := append(logged{x.id, x.trace}.attrs(x.h.config.ProjectID), slog.Group(keyRequest,
		slog.String("requestMethod", printable(x.r.Method, maxLoggedText)),
		slog.String("requestUrl", x.loggedURL()),
		slog.Int("status", status),
		slog.String("latency", seconds(time.Since(x.began))),
		slog.Int64("responseSize", x.w.bytes),
		slog.String("userAgent", printable(x.r.UserAgent(), maxLoggedText)),
		slog.String("protocol", x.r.Proto),
	))
	if id := x.r.Header.Get("X-Replicache-Requestid"); id != "" {
		attrs = append(attrs, slog.String("replicache_request_id", printable(id, maxLoggedID)))
	}
	if x.err != nil {
		attrs = append(attrs, slog.Any("error", x.err))
	}
	if x.w.cut {
		attrs = append(attrs, slog.Bool("cut_off", true))
	}
	// Not the request's own context: NewLogger would say the same twice.
	x.h.config.Logger.LogAttrs(x.outer, x.level(status), "request", attrs...)
}

// level: what an operator should look into is an error, what passes by itself a
// warning, what a client does wrong neither.
func (x *exchange) level(status int) slog.Level {
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case x.err != nil && refusalOf(x.err).kind == kindAnswerTooLarge:
		return slog.LevelWarn
	case x.w.cut && refusalOf(x.err).status >= http.StatusInternalServerError:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// seconds is Cloud Logging's form of a duration.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) + "s"
}

// loggedURL is the path and the space. Whatever else is in a query may be secret.
func (x *exchange) loggedURL() string {
	s := printable(x.loggedPath(), maxLoggedText)
	query := x.r.URL.RawQuery
	if space, err := spaceOf(query); err == nil && query != "" {
		s += "?space=" + url.QueryEscape(printable(string(space), maxLoggedText))
	}
	return s
}

// loggedPath is the path without the user that it names. Of one that leads nowhere it is
// only what could have led somewhere: the rest may be anything, the id of a user too.
func (x *exchange) loggedPath() string {
	switch {
	case x.named.user != "":
		u := url.URL{Path: spacesPath + "/" + string(x.named.space) + "/members/-"}
		return u.EscapedPath()
	case x.route == nil, x.route == x.h.page && x.w.status >= http.StatusBadRequest:
		return x.h.beginning(x.r.URL.Path)
	default:
		return x.r.URL.EscapedPath()
	}
}

// printable is a client's text, short and without anything that could break up
// a line or a terminal.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
