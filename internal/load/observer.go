package load

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	// maxSightings bounds what an observer remembers: some seconds of busy commits.
	maxSightings = 1024
	// maxWaiting bounds the commits whose pokes an observer waits for.
	maxWaiting = 16384
)

// observer measures, at one poke stream, how long after a push was answered the
// poke arrives. It is safe for concurrent use.
type observer struct {
	meter *meter

	mu sync.Mutex // guards what follows
	// sightings are the latest pokes whose version was higher than all before.
	sightings []sighting
	// forgotten: there were more of them.
	forgotten bool
	waiting   []sighting
}

// sighting is a version and a time: when it was seen, or since when it is waited for.
type sighting struct {
	version int64
	at      time.Time
}

// poked notes a poke and measures what it was waited for by.
func (o *observer) poked(version int64, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.sightings); n > 0 && o.sightings[n-1].version >= version {
		return
	}
	if len(o.sightings) == maxSightings {
		o.sightings, o.forgotten = slices.Delete(o.sightings, 0, maxSightings/2), true
	}
	o.sightings = append(o.sightings, sighting{version, now})
	o.waiting = slices.DeleteFunc(o.waiting, func(w sighting) bool {
		if w.version > version {
			return false
		}
		o.measure(w.at, now)
		return true
	})
}

// await measures the time from a push's answer to the first poke of that version or
// a later one, as soon as there is one. A poke before the answer took no time.
func (o *observer) await(version int64, answered time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i, _ := slices.BinarySearchFunc(o.sightings, version, func(s sighting, v int64) int {
		return cmp.Compare(s.version, v)
	})
	switch {
	case i == 0 && o.forgotten:
		o.meter.unseenPokes.Add(1) // it was seen, but nobody knows when
	case i < len(o.sightings):
		o.measure(answered, o.sightings[i].at)
	case len(o.waiting) == maxWaiting:
		o.meter.unseenPokes.Add(1)
	default:
		o.waiting = append(o.waiting, sighting{version, answered})
	}
}

func (o *observer) measure(answered, seen time.Time) {
	o.meter.poke.record(seen.Sub(answered), o.meter.window.has(answered))
}

// close counts what was waited for in vain.
func (o *observer) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.meter.unseenPokes.Add(int64(len(o.waiting)))
	o.waiting = nil
}
