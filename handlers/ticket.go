package handlers

import (
	"encoding/json"
	"net/url"
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
	tickets, err := ticketsOf(x.r.URL.RawQuery)
	if err != nil || len(tickets) == 0 {
		if err != nil {
			return err
		}
		return x.admit(auth.Read)
	}
	if len(tickets) > 1 || len(x.r.Header.Values("Authorization")) > 0 {
		return badRequest("There must be one ticket, or one Authorization header, and not both.")
	}
	space, err := spaceOf(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if x.principal, err = x.h.config.Tickets.Verify(tickets[0], space, pokePurpose); err != nil {
		return err
	}
	x.caller.UserID, x.caller.Claims, x.caller.Space = x.principal.UserID, x.principal.Claims, space
	return x.allowed(auth.Read)
}

func ticketsOf(query string) ([]string, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, badRequest("The query of the URL is not well-formed.")
	}
	return q["ticket"], nil
}
