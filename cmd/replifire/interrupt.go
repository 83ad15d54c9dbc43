package main

import (
	"context"
	"errors"
	"fmt"
)

// errInterrupted stands for what a signal has made of a call.
var errInterrupted = errors.New("interrupted")

// interrupted says of a command that a signal has ended what is to be done about it,
// and leaves other errors as they are.
func (p *program) interrupted(err error, command, then string) error {
	if err == nil || p.ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%s was interrupted: %s", command, then)
}

// cause is why a call failed: a signal, whatever the store says then, or its own error.
func (p *program) cause(err error) error {
	if p.ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// await runs what nothing can interrupt, such as the opening of a pipe or the reading of
// a silent terminal. When ctx ends first, f goes on by itself, until the program ends.
func await(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
