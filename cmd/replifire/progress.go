package main

import (
	"fmt"
	"time"

	"github.com/replifire/replifire/backup"
)

// tellEvery is how often a command that takes long says how far it is.
const tellEvery = 2 * time.Second

// progress tells how far a command is, on stderr, now and then.
type progress struct {
	p    *program
	verb string
	next time.Time
}

func newProgress(p *program, verb string) *progress {
	return &progress{p: p, verb: verb, next: time.Now().Add(tellEvery)}
}

func (g *progress) tell(n backup.Counts) {
	if now := time.Now(); !now.Before(g.next) {
		g.next = now.Add(tellEvery)
		fmt.Fprintf(g.p.stderr, "%s so far: %s\n", g.verb, counts(n))
	}
}

func counts(n backup.Counts) string {
	return fmt.Sprintf("%d entries, %d clients, %d client groups", n.Entries, n.Clients, n.Groups)
}
