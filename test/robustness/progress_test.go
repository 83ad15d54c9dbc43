package robustness_test

import (
	"fmt"
	"io"
	"os"
	"testing"
)

// progress is where a long run says now and then how it fares; nil: nobody looks.
func (n *nemesis) progress() io.Writer {
	if !testing.Verbose() {
		return nil
	}
	return tally{n}
}

// tally adds what a nemesis has done to each line of the clients' figures.
type tally struct{ nemesis *nemesis }

// Write takes one line.
func (t tally) Write(line []byte) (int, error) {
	if _, err := fmt.Fprintf(os.Stderr, "kills %d ", t.nemesis.caught.Load()); err != nil {
		return 0, err
	}
	return os.Stderr.Write(line)
}
