package main

import (
	"fmt"
	"math"
	"strings"
)

// plot is a drawing of lines. It has no background and colours of middle lightness, so
// that it can be read on a light page and on a dark one.
type plot struct {
	file, title, x, y string
	logX              bool
	lines             []series
}

type series struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

const (
	plotWidth, plotHeight   = 640.0, 340.0
	left, right, top, below = 64.0, 150.0, 36.0, 44.0
)

// colours are told apart with any eyesight (Okabe and Ito), on white and on black.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

func (p plot) svg() string {
	maxX, maxY, minX := 0.0, 0.0, math.Inf(1)
	for _, l := range p.lines {
		for _, at := range l.points {
			maxX, maxY, minX = max(maxX, at.x), max(maxY, at.y), min(minX, at.x)
		}
	}
	top10 := math.Pow(10, math.Floor(math.Log10(max(maxY, 1e-9))))
	maxY = math.Ceil(maxY/top10*2) / 2 * top10
	px := func(x float64) float64 {
		if p.logX {
			x, minX, maxX := math.Log(x), math.Log(minX), math.Log(maxX)
			return left + (x-minX)/(maxX-minX)*(plotWidth-left-right)
		}
		return left + x/maxX*(plotWidth-left-right)
	}
	py := func(y float64) float64 { return plotHeight - below - y/maxY*(plotHeight-top-below) }
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img"`+
		` font-family="sans-serif" font-size="12" fill="#808080">`+"\n",
		plotWidth, plotHeight)
	fmt.Fprintf(&s, "<title>%s</title>\n"+`<text x="%g" y="18" font-size="14">%s</text>`+"\n", p.title, left, p.title)
	for i := range 5 {
		y := maxY * float64(i) / 4
		fmt.Fprintf(&s, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" stroke="#808080" stroke-opacity=".35"/>`+
			`<text x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, plotWidth-right, py(y), py(y), left-8, py(y)+4, short(y))
	}
	for _, at := range p.lines[0].points {
		fmt.Fprintf(&s, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`+"\n",
			px(at.x), plotHeight-below+18, short(at.x))
	}
	fmt.Fprintf(&s, `<text x="%g" y="%g" text-anchor="middle">%s</text><text x="8" y="%g">%s</text>`+"\n",
		(left+plotWidth-right)/2, plotHeight-6, p.x, top-4, p.y)
	for i, l := range p.lines {
		p.drawLine(&s, l, colours[i%len(colours)], top+20*float64(i)+10, px, py)
	}
	s.WriteString("</svg>\n")
	return s.String()
}

func (p plot) drawLine(s *strings.Builder, l series, colour string, y float64, px, py func(float64) float64) {
	var path []string
	for _, at := range l.points {
		path = append(path, fmt.Sprintf("%.1f,%.1f", px(at.x), py(at.y)))
		fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", px(at.x), py(at.y), colour)
	}
	fmt.Fprintf(s, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+
		`<circle cx="%g" cy="%.1f" r="4" fill="%s"/><text x="%g" y="%.1f">%s</text>`+"\n",
		strings.Join(path, " "), colour, plotWidth-right+14, y-4, colour, plotWidth-right+24, y, l.name)
}

// short is a number as people write it at an axis.
func short(v float64) string {
	switch {
	case v >= 10000:
		return fmt.Sprintf("%gk", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
