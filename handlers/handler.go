package handlers

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/ticket"
)

// Handler answers the requests of the service's clients. Make it with New. It
// starts no goroutines and holds nothing that needs to be closed.
type Handler struct {
	config Config
	cors   cors
	ready  readiness
	limits limits
	sizes  *sizes
	zips   *compressors
	// arrivals are the bodies that are being read.
	arrivals arrivals
	routes   map[string]*route
	// members are the routes that have ids in them, nil if there are none.
	members *memberRoutes
	page    *route // nil if there is none
}

var _ http.Handler = (*Handler)(nil)

// endpoint answers one method of one path. What it returns is turned into an
// answer, or cuts the connection when the answer has begun.
type endpoint func(x *exchange) error

// route is what a path answers to.
type route struct {
	methods map[string]endpoint
	// api: the answer is for programs, and new each time.
	api bool
	// open: any number of requests are answered.
	open bool
}

// New makes a Handler, or says what is wrong with the configuration.
func New(c Config) (*Handler, error) {
	c = c.withDefaults()
	if err := c.valid(); err != nil {
		return nil, err
	}
	if c.Tickets == nil {
		tickets, err := ticket.New([][]byte{ticket.RandomKey()}, nil)
		if err != nil {
			return nil, err
		}
		c.Tickets = tickets
	}
	h := &Handler{
		config: c, cors: newCORS(c.Origins), ready: readiness{check: c.Ready},
		limits: newLimits(c.Limits), sizes: newSizes(), zips: newCompressors(), arrivals: newArrivals(),
	}
	push, pull := postRoute((*exchange).push), postRoute((*exchange).pull)
	h.routes = map[string]*route{
		"/api/replicache/push":        push,
		"/api/replicache-push":        push,
		"/api/replicache/pull":        pull,
		"/api/replicache-pull":        pull,
		"/api/replicache/poke":        getRoute((*exchange).poke),
		"/api/replicache/poke-ticket": postRoute((*exchange).pokeTicket),
		"/api/init":                   initRoute(c.Dev),
		"/health":                     openRoute((*exchange).health),
		"/ready":                      openRoute((*exchange).readiness),
	}
	if c.GC != nil {
		h.routes["/api/gc"] = postRoute((*exchange).gc)
	}
	if c.Members != nil {
		h.members = newMemberRoutes()
	}
	if c.Page != nil {
		h.page = openRoute((*exchange).servePage)
		h.page.api = false
	}
	return h, nil
}

func getRoute(e endpoint) *route {
	return &route{api: true, methods: map[string]endpoint{http.MethodGet: e, http.MethodHead: e}}
}

// openRoute is for what costs next to nothing, and for who must not be refused.
func openRoute(e endpoint) *route {
	r := getRoute(e)
	r.open = true
	return r
}

func postRoute(e endpoint) *route {
	return &route{api: true, methods: map[string]endpoint{http.MethodPost: e}}
}

// initRoute: emptying a space by GET is the tutorial's way. HEAD never does it.
func initRoute(dev bool) *route {
	r := postRoute((*exchange).reset)
	if dev {
		r.methods[http.MethodGet] = (*exchange).reset
	}
	return r
}

// ServeHTTP answers a request, in any case and exactly once.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	//nolint:contextcheck // it has the request's
	h.newExchange(w, r).run(func(e endpoint, x *exchange) error { return e(x) })
}

// ServeClosing answers a request of a service that shuts down. It differs from
// ServeHTTP in that every endpoint answers 503, which the client may repeat, and
// that the connection is closed: a new one finds another instance. A browser's
// preflight is answered as ever, or its page could not see the 503.
func (h *Handler) ServeClosing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	//nolint:contextcheck // it has the request's
	h.newExchange(w, r).run(func(endpoint, *exchange) error { return errClosing })
}

// run answers the request; call does what the endpoint it leads to is for.
func (x *exchange) run(call func(endpoint, *exchange) error) {
	defer x.log()
	defer x.body.release()
	defer x.rescue()
	x.finish(x.serve(call))
}

// serve finds the endpoint and has it called.
func (x *exchange) serve(call func(endpoint, *exchange) error) error {
	x.secure()
	route := x.h.route(x.r.URL.Path)
	if route == nil {
		route, x.named = x.h.members.find(x.r.URL)
	}
	x.route = route
	if route == nil || route.api {
		x.closeToCaches()
	}
	x.h.cors.allow(x)
	if route == nil {
		return refusal{status: http.StatusNotFound, kind: "not_found", detail: "There is nothing at this path."}
	}
	if x.r.Method == http.MethodOptions {
		return x.options(route)
	}
	e, ok := route.methods[x.r.Method]
	if !ok {
		x.w.Header().Set("Allow", route.allow())
		return refusal{
			status: http.StatusMethodNotAllowed,
			kind:   "method_not_allowed",
			detail: "This path answers to " + route.allow() + ".",
		}
	}
	if !route.open {
		if err := x.throttleAddress(); err != nil {
			return err
		}
	}
	return call(e, x)
}

// route finds what a path leads to, nil if nothing. Doubled slashes and those at
// the end are ignored, where http.ServeMux would redirect and a client would
// repeat its POST as a GET.
func (h *Handler) route(path string) *route {
	parts := segments(path)
	clean := "/" + strings.Join(parts, "/")
	if r, ok := h.routes[clean]; ok {
		return r
	}
	if len(parts) > 0 && parts[0] == "api" {
		return nil
	}
	return h.page
}

// segments are what slashes separate.
func segments(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
}

// beginning is a path as far as a route begins like that, and "-" for the rest.
func (h *Handler) beginning(path string) string {
	begun := ""
	for _, part := range segments(path) {
		next := begun + "/" + part
		if !h.leads(next) {
			return begun + "/-"
		}
		begun = next
	}
	return cmp.Or(begun, "/")
}

// leads reports whether a path is a route's, or the beginning of one.
func (h *Handler) leads(path string) bool {
	for known := range h.routes {
		if strings.HasPrefix(known+"/", path+"/") {
			return true
		}
	}
	return path == spacesPath
}

// allow is the value of the Allow header.
func (r *route) allow() string {
	return strings.Join(append(r.names(), http.MethodOptions), ", ")
}

func (r *route) names() []string {
	var names []string
	for m := range r.methods {
		names = append(names, m)
	}
	slices.Sort(names)
	return names
}

// options answers OPTIONS, a browser's preflight or not.
func (x *exchange) options(route *route) error {
	x.w.Header().Set("Allow", route.allow())
	x.h.cors.preflight(x, route)
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// secure sets the headers that belong on every answer.
func (x *exchange) secure() {
	h := x.w.Header()
	h.Set("X-Request-Id", x.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Frame-Options", "DENY")
}

// closeToCaches sets the headers of answers that are no pages.
func (x *exchange) closeToCaches() {
	h := x.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// servePage hands the request on.
func (x *exchange) servePage() error {
	x.h.config.Page.ServeHTTP(x.w, x.r)
	return nil
}

// health says that the process lives.
func (x *exchange) health() error {
	return x.text("ok")
}

// reset empties a space: in development mode for everybody who is who they say
// they are, otherwise for administrators.
func (x *exchange) reset() error {
	admit := func() error { return x.admit(auth.Admin) }
	if x.h.config.Dev {
		admit = x.identify
	}
	if err := admit(); err != nil {
		return err
	}
	if _, err := x.h.config.Engine.Reset(x.r.Context(), x.caller.Space); err != nil {
		return err
	}
	return x.text("ok")
}
