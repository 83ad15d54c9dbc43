package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/protocol"
)

// membersCommand is who may use a space, where the policy is members.
type membersCommand struct {
	List   membersListCommand   `cmd:"" help:"Print the members of a space."`
	Set    membersSetCommand    `cmd:"" help:"Make a user a member, or change the role."`
	Remove membersRemoveCommand `cmd:"" help:"End a membership."`
}

// Help is shown above the flags.
func (membersCommand) Help() string {
	return `Says who may use a space, where the service runs with REPLIFIRE_POLICY=members,
and also before it does. Changes count on every instance within 10 seconds. A space
with an owner keeps one.`
}

// memberCommand is what the commands about one member share.
type memberCommand struct {
	spaceCommand `embed:""`
	User         string `arg:"" help:"The user's id, as tokens have it."`
}

// Validate refuses ids that nobody has.
func (c *memberCommand) Validate() error {
	if err := protocol.CheckID(c.User); err != nil {
		return fmt.Errorf("user %w", err)
	}
	return c.spaceCommand.Validate()
}

// directory opens the space's store and hands on its directory.
func (c *memberCommand) directory(p *program) (members.Directory, func(), error) {
	store, closeStore, err := c.open(p)
	if err != nil {
		return nil, nil, err
	}
	return store.Members(), closeStore, nil
}

// membersListCommand prints all members.
type membersListCommand struct {
	spaceCommand `embed:""`
	JSON         bool `help:"Print one JSON object a line."`
}

// membersPage is how many members are read at once.
const membersPage = 100

// Run reads page by page.
func (c *membersListCommand) Run(p *program) error {
	store, closeStore, err := c.open(p)
	if err != nil {
		return err
	}
	defer closeStore()
	for after := ""; ; {
		page, err := store.Members().List(p.ctx, c.Space, after, membersPage)
		if err != nil {
			return p.interrupted(err, "members list", "these are not all")
		}
		for _, m := range page {
			if err := c.print(p, m); err != nil {
				return err
			}
			after = m.UserID
		}
		if len(page) < membersPage {
			return nil
		}
	}
}

func (c *membersListCommand) print(p *program, m members.Member) error {
	if c.JSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(m)
	}
	// A user's id may hold what a terminal obeys.
	user := m.UserID
	if quoted := strconv.Quote(user); quoted != `"`+user+`"` {
		user = quoted
	}
	_, err := fmt.Fprintf(p.stdout, "%-6s  %s\n", m.Role, user)
	return err
}

// membersSetCommand makes a member.
type membersSetCommand struct {
	memberCommand `embed:""`
	Role          members.Role `help:"reader, writer or owner." enum:"reader,writer,owner" required:""`
}

// Run changes the role.
func (c *membersSetCommand) Run(p *program) error {
	d, closeStore, err := c.directory(p)
	if err != nil {
		return err
	}
	defer closeStore()
	if err := d.Put(p.ctx, members.Operator, c.Space, members.Member{UserID: c.User, Role: c.Role}, 0); err != nil {
		return p.interrupted(err, "members set", "run it again")
	}
	_, err = fmt.Fprintf(p.stdout, "%q has the role %s in space %q\n", c.User, c.Role, c.Space)
	return err
}

// membersRemoveCommand ends a membership.
type membersRemoveCommand struct {
	memberCommand `embed:""`
}

// Run removes the member.
func (c *membersRemoveCommand) Run(p *program) error {
	d, closeStore, err := c.directory(p)
	if err != nil {
		return err
	}
	defer closeStore()
	if err := d.Delete(p.ctx, members.Operator, c.Space, c.User); err != nil {
		return p.interrupted(err, "members remove", "run it again")
	}
	_, err = fmt.Fprintf(p.stdout, "%q is no member of space %q\n", c.User, c.Space)
	return err
}
