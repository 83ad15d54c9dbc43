package handlers

import (
	"slices"
	"strings"
)

// What a preflight is answered with. A header named "*" would not include
// Authorization. Two hours are the longest that Chrome remembers.
const (
	corsHeaders = "content-type, authorization, x-replicache-requestid"
	corsMaxAge  = "7200"
	corsExposed = "X-Request-Id, Retry-After"
)

// cors lets pages of other origins use the API. Credentials in the sense of CORS
// (cookies) are never allowed: a token comes in a header, which a page must know.
type cors struct {
	any     bool
	origins map[string]bool
}

func newCORS(origins []string) cors {
	c := cors{any: slices.Contains(origins, "*"), origins: map[string]bool{}}
	for _, o := range origins {
		c.origins[o] = true
	}
	return c
}

// allow sets what an answer needs, also one that is an error: without it a page
// could not even see the status.
func (c *cors) allow(x *exchange) {
	h := x.w.Header()
	if !c.any && len(c.origins) > 0 {
		h.Add("Vary", "Origin")
	}
	origin := x.r.Header.Get("Origin")
	switch {
	case origin == "":
		return
	case c.any:
		h.Set("Access-Control-Allow-Origin", "*")
	case c.origins[origin]:
		h.Set("Access-Control-Allow-Origin", origin)
	default:
		return
	}
	h.Set("Access-Control-Expose-Headers", corsExposed)
}

// preflight adds what a preflight asks for, where allow has found the origin good.
func (c *cors) preflight(x *exchange, route *route) {
	h := x.w.Header()
	if x.r.Header.Get("Access-Control-Request-Method") == "" || h.Get("Access-Control-Allow-Origin") == "" {
		return
	}
	h.Del("Access-Control-Expose-Headers") // means nothing here
	h.Set("Access-Control-Allow-Methods", strings.Join(route.names(), ", "))
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
}
