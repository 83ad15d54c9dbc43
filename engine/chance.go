package engine

import (
	"encoding/base32"
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// chance is where random names and pauses come from. It is a field of its own, and
// not a call of crypto/rand, so that a simulation can repeat a run.
type chance struct {
	mu   sync.Mutex
	from io.Reader
}

// read fills b. A source that fails leaves nothing to go on with, as in
// crypto/rand: names that repeat would be worse than the end.
func (c *chance) read(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.ReadFull(c.from, b); err != nil {
		panic("engine: no random numbers: " + err.Error())
	}
}

// epoch is 80 random bits: what a cookie is compared with.
func (c *chance) epoch() string { return c.text(10) }

// nonce is 130 random bits and more: it names a commit among all there are.
func (c *chance) nonce() string { return c.text(20) }

func (c *chance) text(n int) string {
	b := make([]byte, n)
	c.read(b)
	return base32.StdEncoding.EncodeToString(b)
}

// around is half of d to one and a half.
func (c *chance) around(d time.Duration) time.Duration {
	var b [4]byte // a pause of up to 4 s, in nanoseconds
	c.read(b[:])
	return d/2 + time.Duration(binary.LittleEndian.Uint32(b[:]))%max(d, 1)
}
