package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/replifire/replifire/internal/load"
)

const description = `Puts a Replicache backend under load and judges what it did.

` + load.PlaceholderHelp

// errHelp ends parsing when help was asked for and printed.
var errHelp = errors.New("help was asked for")

// flags are the command line. Each has an environment variable: HAMMER_ and its name.
type flags struct {
	Help helpFlag `short:"h" help:"Show this help."`

	URL    []string `name:"url" default:"http://localhost:8080" placeholder:"URL" help:"An instance of the service; several: clients take turns. Default: http://localhost:8080."`
	Space  string   `help:"Space to use; with several spaces each has its number after a dash. Default: one of this run's own."`
	Spaces int      `default:"1" help:"Number of spaces."`
	Groups int      `help:"Number of client groups over all spaces. Default: each client is its own."`

	Clients int `default:"8" help:"Clients that mutate, push and pull."`
	Pullers int `help:"Clients that only pull when poked, besides."`

	Rate    float64       `help:"Mutations per second that all clients together offer, whatever the server does. Default: each client waits for confirmation."`
	Backlog int           `help:"With --rate: mutations that a client keeps unconfirmed at most; what is due beyond is shed. Default: 5000."`
	Pending int           `default:"1" help:"Without --rate: unconfirmed mutations that each client keeps."`
	Think   time.Duration `help:"Without --rate: pause of a client before each mutation."`

	Ramp     time.Duration `help:"Time over which the clients start, before figures are taken."`
	Duration time.Duration `default:"10s" help:"Time in which figures are taken."`
	Settle   time.Duration `default:"30s" help:"Time at the end for everything to be confirmed, and again for all clients to catch up."`
	Timeout  time.Duration `default:"1m" help:"Time for a push or a pull, beyond it the client tries again."`

	Templates string `placeholder:"FILE" help:"File of mutations, see above. Default: createMessage of the chat sample."`
	Token     string `help:"Bearer token of every request."`
	View      string `enum:"hash,full,none" default:"hash" help:"What clients keep: hash (keys and hashes of values), full, or none (views are not compared)."`
	Streams   string `enum:"client,group" default:"client" help:"Who has a poke stream: each client, or each group."`
	Gzip      bool   `help:"Ask for compressed answers."`
	Seed      uint64 `default:"1" help:"Seed of the texts, the numbers and the choice of templates; ids are new in each run."`

	JSON  string `name:"json" placeholder:"FILE" help:"Write the report there too."`
	Quiet bool   `short:"q" help:"No live line."`
}

// helpFlag prints the help and ends parsing, so that --help needs no os.Exit.
type helpFlag bool

// BeforeReset is called by kong as soon as it sees the flag.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errHelp
}

// environment has flags take their values from variables where they are not given,
// and the help name those. A variable that is empty counts as not set.
func environment(getenv func(string) string) kong.Option {
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(
			kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
				if value := getenv(variable(flag.Name)); value != "" {
					return value, nil
				}
				return nil, nil
			})).Apply(k),
			kong.ValueFormatter(func(v *kong.Value) string {
				if v.Name == "help" {
					return v.Help
				}
				return v.Help + " [$" + variable(v.Name) + "]"
			}).Apply(k),
		)
	})
}

func variable(flag string) string {
	return "HAMMER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// config is what the flags say; live figures go to stderr.
func (f *flags) config(stderr io.Writer) (load.Config, error) {
	templates, err := f.templates()
	if err != nil {
		return load.Config{}, err
	}
	c := load.Config{
		URLs: f.URL, Space: f.Space, Spaces: f.Spaces, Groups: f.Groups,
		Clients: f.Clients, Pullers: f.Pullers,
		Rate: f.Rate, Backlog: f.Backlog, Pending: f.Pending, Think: f.Think,
		Ramp: f.Ramp, Duration: f.Duration, Settle: f.Settle, Timeout: f.Timeout,
		Templates: templates, View: views[f.View], Streams: streams[f.Streams], Gzip: f.Gzip, Seed: f.Seed,
		Token: func(context.Context, load.Identity) (string, error) { return f.Token, nil },
	}
	if !f.Quiet {
		c.Live, c.LiveRewrite = stderr, isTerminal(stderr)
		c.LiveEvery = 5 * time.Second
		if c.LiveRewrite {
			c.LiveEvery = time.Second
		}
	}
	return c, c.Validate()
}

var (
	views   = map[string]load.View{"hash": load.Hash, "full": load.Full, "none": load.None}
	streams = map[string]load.Streams{"client": load.PerClient, "group": load.PerGroup}
)

// templates are those of the file, nil without one.
func (f *flags) templates() (*load.Templates, error) {
	if f.Templates == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.Templates)
	if err != nil {
		return nil, err
	}
	t, err := load.ParseTemplates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Templates, err)
	}
	return t, nil
}

// isTerminal reports whether w is one, on which a line can be written over.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// writeJSON writes the report to the file of --json, if there is one.
func (f *flags) writeJSON(report load.Report) error {
	if f.JSON == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(f.JSON, append(text, '\n'), 0o644) //nolint:gosec // figures are no secret
}
