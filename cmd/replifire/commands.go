package main

import (
	"context"
	"errors"
	"io"

	"github.com/alecthomas/kong"
)

const description = "A sync service for Replicache clients on Google Cloud Run and Firestore."

var (
	// errHelp ends parsing when help was asked for and printed.
	errHelp = errors.New("help was asked for")
	// errTold says that the command printed why it failed.
	errTold = errors.New("told already")
)

// program is what every command may use of its surroundings.
type program struct {
	ctx            context.Context //nolint:containedctx // of this one run
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// commands is the grammar of the command line.
type commands struct {
	Help helpFlag `short:"h" help:"Show this help, or a command's."`

	Serve    serveCommand    `cmd:"" help:"Run the service."`
	Dev      devCommand      `cmd:"" help:"Run the service on this computer, on the Firestore emulator or in memory."`
	Fsck     fsckCommand     `cmd:"" help:"Check everything that is stored of a space."`
	Reset    resetCommand    `cmd:"" help:"Empty a space, for good."`
	Delete   deleteCommand   `cmd:"" help:"Delete a space with all that is in it, for good."`
	GC       gcCommand       `cmd:"" name:"gc" help:"Forget old deletions, and free the storage of what nobody can see."`
	Purge    purgeCommand    `cmd:"" help:"Delete what an interrupted reset left in storage."`
	Members  membersCommand  `cmd:"" help:"Say who may use a space."`
	Restored restoredCommand `cmd:"" help:"Say that a backup was put back into spaces."`
	Export   exportCommand   `cmd:"" help:"Write a backup of a space."`
	Import   importCommand   `cmd:"" help:"Put a backup into a space."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// helpFlag prints the help and ends parsing, so that --help needs no os.Exit and
// no other argument.
type helpFlag bool

// BeforeReset is called by kong as soon as it sees the flag.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errHelp
}
