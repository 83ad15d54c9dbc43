package backup

import (
	"encoding/json"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

const (
	// formatName is in the first line, so that a file of something else is told so.
	formatName = "replifire-backup"
	// formatVersion changes when a reader of before would misunderstand a file.
	formatVersion = 1
	// maxLine bounds a line: the longest key and value, every byte of the key
	// escaped, or a client with all its rejections.
	maxLine = engine.MaxValueBytes + 6*engine.MaxKeyBytes + 128<<10
)

// kind says what a line is.
type kind string

const (
	kindHeader kind = "header"
	kindGroup  kind = "group"
	kindClient kind = "client"
	kindEntry  kind = "entry"
	kindEnd    kind = "end"
)

// Header is what the first line says of the whole.
type Header struct {
	// Space is the one that was exported.
	Space protocol.SpaceID `json:"space"`
	// Version and Epoch are those of the space at that moment.
	Version int64  `json:"version"`
	Epoch   string `json:"epoch"`
	// ExportedAt is when the export began, by the clock of who made it.
	ExportedAt time.Time `json:"exportedAt"`
}

// Counts are how many of each are in a backup, or how many have been dealt with.
type Counts struct {
	Groups  int `json:"groups"`
	Clients int `json:"clients"`
	Entries int `json:"entries"`
}

// All is how many lines they take.
func (c Counts) All() int { return c.Groups + c.Clients + c.Entries }

type headerLine struct {
	Type          kind   `json:"type"`
	Format        string `json:"format"`
	FormatVersion int    `json:"formatVersion"`
	Header
}

type groupLine struct {
	Type      kind                   `json:"type"`
	ID        protocol.ClientGroupID `json:"id"`
	UserID    string                 `json:"userID"`
	CreatedAt time.Time              `json:"createdAt"`
}

type clientLine struct {
	Type           kind                   `json:"type"`
	ID             protocol.ClientID      `json:"id"`
	Group          protocol.ClientGroupID `json:"clientGroupID"`
	LastMutationID int64                  `json:"lastMutationID"`
	LastSeen       time.Time              `json:"lastSeen"`
	Rejections     []rejection            `json:"rejections,omitempty"`
}

type rejection struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

type entryLine struct {
	Type  kind            `json:"type"`
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

type endLine struct {
	Type kind `json:"type"`
	Counts
	SHA256 string `json:"sha256"`
}

// lineOfClient leaves out the versions, which mean nothing in another history.
func lineOfClient(c engine.Client) clientLine {
	l := clientLine{
		Type: kindClient, ID: c.ID, Group: c.GroupID,
		LastMutationID: c.LastMutationID, LastSeen: c.LastSeen.UTC(),
	}
	for _, r := range c.Rejections {
		l.Rejections = append(l.Rejections, rejection{ID: r.MutationID, Name: r.Name, Reason: r.Reason})
	}
	return l
}

// client is the stored form, as of a commit.
func (l clientLine) client(version int64) engine.Client {
	c := engine.Client{
		ID: l.ID, GroupID: l.Group, LastMutationID: l.LastMutationID,
		Version: version, LastSeen: l.LastSeen,
	}
	for _, r := range l.Rejections {
		c.Rejections = append(c.Rejections, engine.Rejection{
			MutationID: r.ID, Name: r.Name, Reason: r.Reason, Version: version,
		})
	}
	return c
}
