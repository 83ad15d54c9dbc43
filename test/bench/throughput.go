package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	gcfirestore "cloud.google.com/go/firestore"
	"google.golang.org/api/option"

	"github.com/replifire/replifire/internal/rpccount"
)

// variant is one way to do the same work.
type variant struct {
	name string
	run  func(ctx context.Context, pushers int) (sample, error)
}

// throughput is one space, more and more pushers, each variant in its turn.
func (b *bench) throughput(ctx context.Context) error {
	variants := []variant{
		{"raw", func(ctx context.Context, n int) (sample, error) {
			perSecond, err := b.rawLimit(ctx, 1, max(1, n/2))
			return sample{perSecond: perSecond}, err
		}},
		{"1 instance", func(ctx context.Context, n int) (sample, error) { return b.service(ctx, 1, n, 1) }},
		{"2 instances", func(ctx context.Context, n int) (sample, error) { return b.service(ctx, 2, n, 1) }},
		{"plain", b.plainPattern},
	}
	counts := []int{8, 64, 256}
	for _, v := range variants[:3] { // the emulator's first seconds have half the speed
		if _, err := v.run(ctx, 64); err != nil {
			return err
		}
	}
	found := map[string][]sample{}
	for run := range b.runs {
		for _, n := range counts {
			for _, v := range variants {
				s, err := v.run(ctx, n)
				if err != nil {
					return err
				}
				b.say("run %d: %3d pushers, %s: %.0f mutations/s, p99 %v", run+1, n, v.name, s.perSecond, s.p99)
				key := fmt.Sprint(v.name, n)
				found[key] = append(found[key], s)
			}
		}
	}
	b.throughputTables(counts, variants, found)
	return nil
}

func (b *bench) throughputTables(counts []int, variants []variant, found map[string][]sample) {
	t := table{
		title:  "One space",
		header: []string{"pushers", "", "mutations/s", "of raw", "of 1 instance", "p50", "p99", "fewest by one pusher"},
		note: "Each pusher pushes one `createMessage` after the other over HTTP, as soon as the last one was " +
			"acknowledged. \"Raw\" is one bare `Commit` after the other with half of the pushers in it, which is how " +
			"they share out when one half waits while the other is committed; no HTTP, no reads, no transaction.",
	}
	p := plot{
		file: "throughput.svg", title: "One space: mutations per second", x: "pushers", y: "mutations/s",
		logX: true,
	}
	for _, v := range variants {
		line := series{name: v.name}
		for _, n := range counts {
			list := found[fmt.Sprint(v.name, n)]
			m := medianOf(list, func(s sample) float64 { return s.perSecond })
			raw := medianOf(found[fmt.Sprint("raw", n)], func(s sample) float64 { return s.perSecond })
			line.points = append(line.points, point{float64(n), m})
			row := []string{
				strconv.Itoa(n), v.name, spread(list, func(s sample) float64 { return s.perSecond }),
				fmt.Sprintf("%.0f %%", 100*m/raw), "", "", "", "",
			}
			if v.name != "raw" {
				one := medianOf(found[fmt.Sprint("1 instance", n)], func(s sample) float64 { return s.perSecond })
				row[4] = fmt.Sprintf("%.0f %%", 100*m/one)
				row[5] = ms(medianOf(list, func(s sample) float64 { return s.p50.Seconds() }))
				row[6] = ms(medianOf(list, func(s sample) float64 { return s.p99.Seconds() }))
				row[7] = fmt.Sprintf("%.0f", medianOf(list, func(s sample) float64 { return float64(s.slowest) }))
			}
			t.rows = append(t.rows, row)
		}
		p.lines = append(p.lines, line)
	}
	b.tables = append(b.tables, t)
	b.plots = append(b.plots, p, latencyPlot(counts, variants, found))
}

func latencyPlot(counts []int, variants []variant, found map[string][]sample) plot {
	p := plot{
		file: "latency.svg", title: "One space: time to acknowledgement", x: "pushers", y: "ms", logX: true,
	}
	for _, v := range variants[1:3] {
		for _, q := range []struct {
			name string
			of   func(sample) time.Duration
		}{{"p50", func(s sample) time.Duration { return s.p50 }}, {"p99", func(s sample) time.Duration { return s.p99 }}} {
			line := series{name: v.name + ", " + q.name}
			for _, n := range counts {
				m := medianOf(found[fmt.Sprint(v.name, n)], func(s sample) float64 { return 1000 * q.of(s).Seconds() })
				line.points = append(line.points, point{float64(n), m})
			}
			p.lines = append(p.lines, line)
		}
	}
	return p
}

// service has pushers push over HTTP.
func (b *bench) service(ctx context.Context, instances, pushers, spaces int) (sample, error) {
	list, err := b.serveAll(ctx, instances)
	if err != nil {
		return sample{}, err
	}
	defer stopAll(list)
	c := client()
	defer c.CloseIdleConnections()
	return b.pushers(ctx, pushers, pushTo(c, list, spaces))
}

func (b *bench) plainPattern(ctx context.Context, pushers int) (sample, error) {
	conn, _, err := rpccount.Dial(b.host)
	if err != nil {
		return sample{}, err
	}
	c, err := gcfirestore.NewClient(ctx, b.project(), option.WithGRPCConn(conn))
	if err != nil {
		return sample{}, err
	}
	defer c.Close()
	return b.pushers(ctx, pushers, func(ctx context.Context, pusher int, id int64) error {
		return plain(ctx, c, pusher, id)
	})
}

// spaces is 64 pushers with a space each.
func (b *bench) spaces(ctx context.Context) error {
	const n = 64
	var raw, ours []sample
	for range b.runs {
		perSecond, err := b.rawLimit(ctx, n, 1)
		if err != nil {
			return err
		}
		s, err := b.service(ctx, 1, n, n)
		if err != nil {
			return err
		}
		b.say("raw %.0f, 1 instance %.0f mutations/s", perSecond, s.perSecond)
		raw, ours = append(raw, sample{perSecond: perSecond}), append(ours, s)
	}
	perSecond := func(s sample) float64 { return s.perSecond }
	b.tables = append(b.tables, table{
		title:  "64 spaces, a pusher each",
		header: []string{"", "mutations/s", "of raw", "p50", "p99"},
		rows: [][]string{
			{"raw", spread(raw, perSecond), "", "", ""},
			{
				"1 instance", spread(ours, perSecond),
				fmt.Sprintf("%.0f %%", 100*medianOf(ours, perSecond)/medianOf(raw, perSecond)),
				ms(medianOf(ours, func(s sample) float64 { return s.p50.Seconds() })),
				ms(medianOf(ours, func(s sample) float64 { return s.p99.Seconds() })),
			},
		},
	})
	return nil
}

// backlog is one push of 5,000 mutations while eight others go on.
func (b *bench) backlog(ctx context.Context) error {
	var took, before, during, times, calmMiB, peakMiB []float64
	for range b.runs {
		list, err := b.serveAll(ctx, 1)
		if err != nil {
			return err
		}
		r, err := b.backlogOnce(ctx, list)
		if err != nil {
			return err
		}
		took = append(took, r.took.Seconds())
		before, during = append(before, r.before.Seconds()), append(during, r.during.Seconds())
		times = append(times, r.during.Seconds()/r.before.Seconds())
		calmMiB, peakMiB = append(calmMiB, r.calmMiB), append(peakMiB, r.peakMiB)
		stopAll(list)
	}
	b.tables = append(b.tables, table{
		title: "An offline backlog: one push of 5,000 mutations, beside 8 pushers",
		header: []string{
			"applied within", "p99 of the others before", "meanwhile", "times, of each run", "memory before", "at its peak",
		},
		rows: [][]string{{
			ms(median(took)), ms(median(before)), ms(median(during)),
			fmt.Sprintf("%.1f × [%.1f–%.1f]", median(times), slices.Min(times), slices.Max(times)),
			fmt.Sprintf("%.0f MiB", median(calmMiB)), fmt.Sprintf("%.0f MiB", median(peakMiB)),
		}},
	})
	return nil
}

// backlogRun is what a backlog did to an instance and to who pushed beside it.
type backlogRun struct {
	took, before, during time.Duration
	calmMiB, peakMiB     float64
}

func (b *bench) backlogOnce(ctx context.Context, list []*instance) (r backlogRun, err error) {
	c := client()
	defer c.CloseIdleConnections()
	calm, err := b.pushers(ctx, 8, pushTo(c, list, 1))
	if err != nil {
		return r, err
	}
	r.calmMiB, _ = list[0].memory()
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		began := time.Now()
		failed = post(ctx, c, list[0].url+"/api/replicache/push?space=s0", pushBody(999, 1, 5000), nil)
		r.took = time.Since(began)
	})
	busy, err := (&bench{window: 2 * time.Second}).pushers(ctx, 8, func(ctx context.Context, p int, id int64) error {
		return pushTo(c, list, 1)(ctx, p+1000, id)
	})
	wg.Wait()
	_, r.peakMiB = list[0].memory()
	r.before, r.during = calm.p99, busy.p99
	return r, errors.Join(err, failed)
}
