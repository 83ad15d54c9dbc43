package load

import (
	"context"
	"fmt"
	"time"
)

// startLive writes a line of figures in regular intervals, and returns what ends that.
func (r *run) startLive(ctx context.Context) (stop func()) {
	if r.config.Live == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l := live{run: r, last: r.start}
		for over := false; !over; {
			wait(ctx, r.config.LiveEvery, nil)
			over = ctx.Err() != nil // the last line is that of the end
			l.line(time.Now())
		}
		if r.config.LiveRewrite {
			fmt.Fprintln(r.config.Live)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// live remembers what the line before was about.
type live struct {
	run                     *run
	last                    time.Time
	acknowledged, confirmed int64
}

// line writes the figures since the line before. Whoever cannot read them is no
// reason to end the run.
func (l *live) line(now time.Time) {
	m := l.run.meter
	seconds := max(now.Sub(l.last).Seconds(), 1e-3)
	acknowledged, confirmed := m.acknowledged.Load(), m.confirmed.Load()
	begin, end := "", "\n"
	if l.run.config.LiveRewrite {
		begin, end = "\r\x1b[K", ""
	}
	push, pull, confirm := m.push.takeRecent(), m.pull.takeRecent(), m.confirm.takeRecent()
	fmt.Fprintf(l.run.config.Live,
		"%s%s %.0fs  ack %.0f/s  confirmed %.0f/s  pending %d  p99 ms: push %.0f pull %.0f confirm %.0f  "+
			"errors %d  reconnects %d%s",
		begin, l.phase(now), now.Sub(l.run.start).Seconds(),
		float64(acknowledged-l.acknowledged)/seconds, float64(confirmed-l.confirmed)/seconds,
		m.pending(), push.P99, pull.P99, confirm.P99, m.failures(), m.reconnects.Load(), end)
	l.last, l.acknowledged, l.confirmed = now, acknowledged, confirmed
}

func (l *live) phase(now time.Time) string {
	w := l.run.meter.window
	switch {
	case now.Before(w.from):
		return "ramp"
	case w.has(now):
		return "run"
	}
	return "settle"
}
