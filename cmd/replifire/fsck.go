package main

import (
	"encoding/json"
	"fmt"

	"github.com/replifire/replifire/engine/fsck"
	"github.com/replifire/replifire/protocol"
)

// fsckCommand checks a space.
type fsckCommand struct {
	spaceCommand `embed:""`
	JSON         bool `help:"Print the report as JSON."`
}

// Help is shown above the flags.
func (fsckCommand) Help() string {
	return `Reads everything that is stored of the space, at one moment, and compares it
with what must be true of it. Changes nothing, and may run while the service
does. Exits with 1 if it finds a problem, or no such space.`
}

// Run prints the report.
func (c *fsckCommand) Run(p *program) error {
	store, closeStore, err := c.open(p)
	if err != nil {
		return err
	}
	defer closeStore()
	report, err := fsck.Check(p.ctx, store, c.Space)
	if err != nil {
		return p.interrupted(err, "fsck", "not everything is checked")
	}
	nothing := report.OK() && !report.Head.Exists()
	if c.JSON || !nothing {
		if err := c.print(p, report); err != nil {
			return err
		}
	}
	switch {
	case nothing:
		return fmt.Errorf("space %q does not exist", c.Space)
	case !report.OK():
		return errTold
	default:
		return nil
	}
}

func (c *fsckCommand) print(p *program, report fsck.Report) error {
	if !c.JSON {
		_, err := fmt.Fprintln(p.stdout, report)
		return err
	}
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(newReportJSON(report))
}

// reportJSON is a report for programs. Its names are for ever.
type reportJSON struct {
	Space      protocol.SpaceID `json:"space"`
	Exists     bool             `json:"exists"`
	OK         bool             `json:"ok"` // exists, and without a problem
	Version    int64            `json:"version"`
	Entries    int              `json:"entries"`
	Tombstones int              `json:"tombstones"`
	Clients    int              `json:"clients"`
	Groups     int              `json:"groups"`
	// Importing: an import is under way or was broken off, so nobody sees the space.
	Importing bool `json:"importing"`
	// Moved: the space changed meanwhile, so not everything could be compared.
	Moved bool `json:"moved"`
	// ProblemCount counts all, Problems has the first fsck.MaxProblems.
	ProblemCount int           `json:"problemCount"`
	Problems     []problemJSON `json:"problems"`
}

type problemJSON struct {
	Invariant fsck.Invariant `json:"invariant"`
	Where     string         `json:"where"`
	What      string         `json:"what"`
}

func newReportJSON(r fsck.Report) reportJSON {
	j := reportJSON{
		Space: r.Space, Exists: r.Head.Exists(), OK: r.OK() && r.Head.Exists(), Version: r.Head.Version,
		Entries: r.Entries, Tombstones: r.Tombstones, Clients: r.Clients, Groups: r.Groups,
		Importing: r.Head.Importing != "", Moved: r.Moved, ProblemCount: r.Total, Problems: []problemJSON{},
	}
	for _, p := range r.Problems {
		j.Problems = append(j.Problems, problemJSON(p))
	}
	return j
}
