package engine

import (
	"time"

	"github.com/replifire/replifire/protocol"
)

// companyMemory is how long after the last push of another group a space is taken to
// be used by several.
const companyMemory = time.Second

// crowd remembers whether several groups push. It belongs to the worker.
type crowd struct {
	last protocol.ClientGroupID // whose push came last
	met  time.Time              // when another group's push came before or after it
}

// company notes whose pushes have come, and reports whether several groups push.
func (c *crowd) company(jobs []*job, now time.Time) bool {
	for _, j := range jobs {
		if c.last != "" && c.last != j.group {
			c.met = now
		}
		c.last = j.group
	}
	return now.Sub(c.met) < companyMemory
}
