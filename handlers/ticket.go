package handlers

import (
	"encoding/json"
	"time"

	"github.com/replifire/replifire/auth"
)

// pokePurpose is what the tickets of this package are good for.
const pokePurpose = "poke"

// pokeTicket answers with a ticket for the poke stream of a space, to who could
// open the stream now.
func (x *exchange) pokeTicket() error {
	if err := x.checkContent(); err != nil {
		return err
	}
	if err := x.admit(auth.Read); err != nil {
		return err
	}
	ticket, expires, err := x.h.config.Tickets.Issue(x.principal, x.caller.Space, pokePurpose)
	if err != nil {
		return err
	}
	body, err := json.Marshal(struct {
		Ticket  string    `json:"ticket"`
		Expires time.Time `json:"expires"`
	}{ticket, expires})
	if err != nil {
		return err
	}
	return x.json(body)
}

// admitListener admits who opens a poke stream: by the Authorization header, or,
// where the client cannot send one, by a ticket in the query.
func (x *exchange) admitListener() error {
	query, err := parseQuery(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	tickets := query["ticket"]
	if len(tickets) == 0 {
		return x.admit(auth.Read)
	}
	if len(tickets) > 1 || len(x.r.Header.Values("Authorization")) > 0 {
		return badRequest("There must be one ticket, or one Authorization header, and not both.")
	}
	space, err := spaceOf(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	principal, err := x.h.config.Tickets.Verify(tickets[0], space, pokePurpose)
	if err != nil {
		return err
	}
	if err := ended(principal); err != nil {
		return err
	}
	if err := x.recognize(principal, space); err != nil {
		return err
	}
	return x.allowed(auth.Read)
}
