package handlers

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/protocol"
)

// DefaultSpace is the space of a request that names none.
const DefaultSpace protocol.SpaceID = "default"

func badRequest(detail string) error {
	return refusal{http.StatusBadRequest, "bad_request", detail}
}

// checkContent refuses a body by its headers.
func (x *exchange) checkContent() error {
	if err := checkMediaType(x.r.Header.Values("Content-Type")); err != nil {
		return err
	}
	for _, coding := range x.r.Header.Values("Content-Encoding") {
		if c := strings.TrimSpace(coding); c != "" && !strings.EqualFold(c, "identity") {
			x.w.Header().Set("Accept-Encoding", "identity")
			return unsupported("A body must not be compressed.")
		}
	}
	return nil
}

// checkLength refuses a body that says that it is too long.
func (x *exchange) checkLength() error {
	if limit := x.h.config.MaxBodyBytes; x.r.ContentLength > limit {
		return tooLarge(limit)
	}
	return nil
}

func unsupported(detail string) error {
	return refusal{http.StatusUnsupportedMediaType, "unsupported_media_type", detail}
}

// checkMediaType wants JSON, which makes a browser ask for permission before it
// sends the request for a foreign page.
func checkMediaType(values []string) error {
	const want = "The Content-Type must be application/json."
	if len(values) != 1 {
		return unsupported(want)
	}
	mediaType, params, err := mime.ParseMediaType(values[0])
	if err != nil || mediaType != "application/json" {
		return unsupported(want)
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return unsupported("The charset of JSON is utf-8.")
	}
	return nil
}

// authenticate finds out who asks.
func (x *exchange) authenticate() (auth.Principal, error) {
	return x.authenticateBy(x.h.config.Authenticator)
}

func (x *exchange) authenticateBy(a auth.Authenticator) (auth.Principal, error) {
	authorization := x.r.Header.Values("Authorization")
	if len(authorization) > 1 {
		return auth.Principal{}, badRequest("There must be one Authorization header at the most.")
	}
	return a.Authenticate(x.r.Context(), strings.Join(authorization, ""))
}

// identify finds out who asks, and for which space.
func (x *exchange) identify() error {
	principal, err := x.authenticate()
	if err != nil {
		return err
	}
	space, err := spaceOf(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	return x.recognize(principal, space)
}

// recognize notes who asks, and for which space. It refuses who asks too often.
func (x *exchange) recognize(p auth.Principal, space protocol.SpaceID) error {
	x.principal = p
	x.caller.UserID, x.caller.Claims, x.caller.Space = p.UserID, p.Claims, space
	return x.throttleUser()
}

// admit identifies the caller and asks the policy.
func (x *exchange) admit(a auth.Action) error {
	if err := x.identify(); err != nil {
		return err
	}
	return x.allowed(a)
}

// allowed asks the policy about the caller.
func (x *exchange) allowed(a auth.Action) error {
	return x.h.config.Policy.Allow(x.r.Context(), x.principal, x.caller.Space, a)
}

// stillAllowed asks again, once the body is there, what was asked before it was read. How
// long that takes is the sender's choice, and meanwhile their token may have ended, or
// their right been taken away.
func (x *exchange) stillAllowed(ctx context.Context, a auth.Action) error {
	if err := ended(x.principal); err != nil {
		return err
	}
	return x.h.config.Policy.Allow(ctx, x.principal, x.caller.Space, a)
}

// ended reports that a principal's token is over.
func ended(p auth.Principal) error {
	if p.Expires.IsZero() || time.Now().Before(p.Expires) {
		return nil
	}
	return fmt.Errorf("the token has ended meanwhile: %w", auth.ErrUnauthenticated)
}

// spaceOf reads the space from the query. Other parameters are the app's own
// business: Replicache sends its URLs as they were given to it.
func spaceOf(query string) (protocol.SpaceID, error) {
	q, err := parseQuery(query)
	if err != nil {
		return "", err
	}
	named := slices.Concat(q["space"], q["spaceID"])
	if len(named) == 0 {
		return DefaultSpace, nil
	}
	for _, other := range named[1:] {
		if other != named[0] {
			return "", badRequest("The query of the URL names two different spaces.")
		}
	}
	space := protocol.SpaceID(named[0])
	if err := protocol.CheckID(space); err != nil {
		return "", badRequest("The name of the space " + err.Error() + ".")
	}
	return space, nil
}

func parseQuery(query string) (url.Values, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, badRequest("The query of the URL is not well-formed.")
	}
	return q, nil
}
