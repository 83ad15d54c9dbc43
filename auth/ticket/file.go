package ticket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// rereadEvery is how often a file of keys is looked at.
	rereadEvery = 10 * time.Second
	// maxFile bounds a file of keys, in bytes.
	maxFile = 64 << 10
)

// FromFile returns Tickets with the keys of a file, such as a mounted secret, as
// ParseKeys reads them. The file is read again when a ticket is issued or
// verified, at most every ten seconds: one call in ten seconds takes as long as
// that. While what is there cannot be read, or is no keys, those before stay good
// and the log is told. Nil now is time.Now, nil log nobody.
//
// It reads the file's content and not its time of change, which mounted secrets do
// not keep reliably.
func FromFile(path string, now func() time.Time, log *slog.Logger) (*Tickets, error) {
	ring, err := readKeys(path)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &file{path: path, now: clock(now), log: log}
	f.read = f.now()
	f.ring.Store(&ring)
	return &Tickets{keys: f.keys, now: f.now}, nil
}

// file is a file of keys that may change.
type file struct {
	path string
	now  func() time.Time
	log  *slog.Logger
	ring atomic.Pointer[keyring]

	mu   sync.Mutex // held by the one call that reads; guards what follows
	read time.Time  // when the file was last read
}

// keys are those of the file, some seconds old at most. Only one call reads, and
// the others take what is there.
func (f *file) keys() keyring {
	if f.mu.TryLock() {
		defer f.mu.Unlock()
		if now := f.now(); !now.Before(f.read.Add(rereadEvery)) {
			f.read = now
			f.reread()
		}
	}
	return *f.ring.Load()
}

func (f *file) reread() {
	ring, err := readKeys(f.path)
	if err != nil {
		f.log.ErrorContext(context.Background(), "ticket keys cannot be read again; those before stay", "error", err)
		return
	}
	f.ring.Store(&ring)
}

// readKeys reads a file of keys. Its errors do not quote the file.
func readKeys(path string) (keyring, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("file of ticket keys: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("file of ticket keys: %w", err)
	}
	if len(text) > maxFile {
		return nil, errors.New("file of ticket keys: it is larger than 64 KiB")
	}
	keys, err := ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("file of ticket keys: %w", err)
	}
	return keys, nil
}
