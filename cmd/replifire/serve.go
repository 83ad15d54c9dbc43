package main

import (
	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/server"
)

// serveCommand runs the service until a signal.
type serveCommand struct {
	server.Settings `embed:""`
}

// Help is shown above the flags.
func (serveCommand) Help() string {
	return `Every flag is also an environment variable, named beside it; the flag
counts more. Without sign-in, with the open policy, in development mode or on the
memory store, it does not start on Cloud Run unless --allow-unsafe is given. A
first SIGTERM or SIGINT finishes what is under way, a second one ends it at once.`
}

// Run serves.
func (c *serveCommand) Run(p *program) error {
	s, err := server.New(p.ctx, c.Settings, chat.Mutators(), server.WithLogger(c.Logger(p.stderr)))
	if err != nil {
		return err
	}
	return s.Run(p.ctx)
}
