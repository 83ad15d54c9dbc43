package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteReplacesTheMarkedPart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "performance.md")
	write(t, file, "before\n"+beginMark+"old\n"+endMark+"after\n")
	if err := os.Mkdir(filepath.Join(dir, "plots"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := &bench{
		tables: []table{{title: "One", header: []string{"a", "b"}, rows: [][]string{{"1", "2"}}}},
		plots:  []plot{lines()},
	}
	if err := b.write(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n", "| a | b |\n| --- | --- |\n| 1 | 2 |\n", "(plots/p.svg)", endMark + "after\n",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if strings.Contains(string(got), "old") {
		t.Errorf("the old part is still there: %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "plots", "p.svg")); err != nil {
		t.Error(err)
	}
}

func TestWriteWantsMarks(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "performance.md")
	write(t, file, "no marks")
	if err := (&bench{}).write(file); err == nil {
		t.Error("got no error for a file without the marks")
	}
}

func TestPlotIsXMLWithEveryLine(t *testing.T) {
	t.Parallel()
	svg := lines().svg()
	decoder, polylines := xml.NewDecoder(strings.NewReader(svg)), 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			polylines++
		}
	}
	if polylines != 2 || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("got %d lines, want 2, and numbers only: %s", polylines, svg)
	}
}

func lines() plot {
	return plot{file: "p.svg", title: "P", x: "x", y: "y", logX: true, lines: []series{
		{"a", []point{{8, 10}, {64, 200}}}, {"b", []point{{8, 0}, {64, 0.5}}},
	}}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
