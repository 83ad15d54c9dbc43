package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/replifire/replifire/internal/emulator"
)

// The part of the file that is replaced stands between these.
const (
	beginMark = "<!-- written by make bench: begin -->\n"
	endMark   = "<!-- written by make bench: end -->\n"
)

// table is a table of the report.
type table struct {
	title, note string
	header      []string
	rows        [][]string
}

// median is the middle one; of an even number, the higher of the two in the middle.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

func medianOf(list []sample, of func(sample) float64) float64 { return median(mapped(list, of)) }

func mapped(list []sample, of func(sample) float64) []float64 {
	values := make([]float64, len(list))
	for i, s := range list {
		values[i] = of(s)
	}
	return values
}

// spread is the median with the least and the most.
func spread(list []sample, of func(sample) float64) string {
	values := mapped(list, of)
	digits := "%.0f"
	if median(values) < 10 {
		digits = "%.1f"
	}
	return fmt.Sprintf("**"+digits+"** ["+digits+"–"+digits+"]", median(values), slices.Min(values), slices.Max(values))
}

func ms(seconds float64) string {
	if seconds >= 1 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	return fmt.Sprintf("%.0f ms", 1000*seconds)
}

// write replaces the marked part of the file, and writes the plots beside it.
func (b *bench) write(file string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(old, []byte(beginMark))
	_, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok || !ok2 {
		return fmt.Errorf("%s has no part between %q and %q", file, beginMark, endMark)
	}
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(beginMark)
	fmt.Fprintf(&out, "\n%s\n", b.circumstances())
	for _, p := range b.plots {
		fmt.Fprintf(&out, "\n![%s](plots/%s)\n", p.title, p.file)
		path := filepath.Join(filepath.Dir(file), "plots", p.file)
		if err := os.WriteFile(path, []byte(p.svg()), 0o644); err != nil {
			return err
		}
	}
	if err := writeTables(&out, b.tables); err != nil {
		return err
	}
	out.WriteString("\n" + endMark)
	out.Write(after)
	return os.WriteFile(file, out.Bytes(), 0o644)
}

func (b *bench) circumstances() string {
	em := "an emulator that was not found"
	if c, err := emulator.Find(); err == nil {
		em = filepath.Base(c.Jar)
	}
	return fmt.Sprintf("`make bench` on %s: %d cores, %s %s/%s, %s; emulator, service and load on the same cores. "+
		"Medians of %d interleaved runs of %v each [least–most].",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), runtime.Version(),
		runtime.GOOS, runtime.GOARCH, em, b.runs, b.window)
}

func writeTables(w io.Writer, tables []table) error {
	for _, t := range tables {
		fmt.Fprintf(w, "\n### %s\n\n", t.title)
		if t.note != "" {
			fmt.Fprintf(w, "%s\n\n", t.note)
		}
		fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(t.header, " | "), strings.Repeat(" --- |", len(t.header)))
		for _, row := range t.rows {
			if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | ")); err != nil {
				return err
			}
		}
	}
	return nil
}
