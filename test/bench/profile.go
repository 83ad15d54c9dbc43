package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// ticks is how often a second Linux counts the time of processes.
const ticks = 100

// cpu is the time a process has used so far, on all cores.
func cpu(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the third on
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * time.Second / ticks
}

// usage is the processor time of one mutation, in µs, by who used it.
type usage struct{ emulator, instance, load float64 }

// used runs f, which says how many mutations it made, and divides what was used.
func (b *bench) used(instance int, f func() (mutations float64, err error)) (usage, error) {
	pids := []int{b.pid, instance, os.Getpid()}
	before := make([]time.Duration, len(pids))
	for i, pid := range pids {
		before[i] = cpu(pid)
	}
	n, err := f()
	if err != nil {
		return usage{}, err
	}
	each := func(i int) float64 { return float64((cpu(pids[i]) - before[i]).Microseconds()) / max(n, 1) }
	return usage{emulator: each(0), instance: each(1), load: each(2)}, nil
}

// profile says who uses the two cores: the emulator, the service or the load.
func (b *bench) profile(ctx context.Context) error {
	t := table{
		title:  "Processor time of a mutation",
		header: []string{"", "", "emulator", "instance", "load", "emulator's share"},
		note: "Of 64 pushers, in µs on all cores, from Linux's own accounts. Unlike the rates it hardly depends on " +
			"what else the machine does.",
	}
	for _, work := range []struct {
		name          string
		spaces, batch int // of the raw limit
	}{{"one space", 1, 32}, {"64 spaces", 64, 1}} {
		var raw, ours []usage
		for range b.runs {
			u, err := b.used(0, func() (float64, error) {
				perSecond, err := b.rawLimit(ctx, work.spaces, work.batch)
				return perSecond * b.window.Seconds(), err
			})
			if err != nil {
				return err
			}
			raw = append(raw, u)
			if u, err = b.usedByService(ctx, work.spaces); err != nil {
				return err
			}
			ours = append(ours, u)
			b.say("%s: raw %.0f, 1 instance %.0f", work.name, raw[len(raw)-1], u)
		}
		t.rows = append(t.rows, usageRow(work.name, "raw", raw), usageRow(work.name, "1 instance", ours))
	}
	b.tables = append(b.tables, t)
	return nil
}

func (b *bench) usedByService(ctx context.Context, spaces int) (usage, error) {
	list, err := b.serveAll(ctx, 1)
	if err != nil {
		return usage{}, err
	}
	defer stopAll(list)
	c := client()
	defer c.CloseIdleConnections()
	return b.used(list[0].cmd.Process.Pid, func() (float64, error) {
		s, err := b.pushers(ctx, 64, pushTo(c, list, spaces))
		return s.perSecond * b.window.Seconds(), err
	})
}

func usageRow(work, name string, list []usage) []string {
	of := func(f func(usage) float64) float64 {
		var values []float64
		for _, u := range list {
			values = append(values, f(u))
		}
		return median(values)
	}
	em := of(func(u usage) float64 { return u.emulator })
	inst := of(func(u usage) float64 { return u.instance })
	load := of(func(u usage) float64 { return u.load })
	row := []string{work, name, fmt.Sprintf("%.0f µs", em), "", fmt.Sprintf("%.0f µs", load), ""}
	if inst > 0 {
		row[3] = fmt.Sprintf("%.0f µs", inst)
	}
	row[5] = fmt.Sprintf("%.0f %%", 100*em/(em+inst+load))
	return row
}
