package report

import (
	"fmt"
	"math"
	"strings"
)

// A panel of the picture of curves, in pixels. Both axes are logarithmic: what is ten times less is everywhere
// as far below.
const (
	panelWidth, panelHeight = 300, 190
	panelLeft, panelTop     = 52, 44
	panelGapX, panelGapY    = 40, 46
	panelsAcross            = 3
	curvesHeader            = 24
)

// DrawCurves draws how figures grow, a panel for each curve.
func (r *Report) DrawCurves(path string) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<line class="peer" x1="0" y1="12" x2="24" y2="12"/><text x="30" y="16">Kubernetes</text>`+
		`<line class="proa" x1="130" y1="12" x2="154" y2="12"/><text x="160" y="16">Proa</text><text class="faint" x="215" y="16">both axes logarithmic</text>`+"\n")
	drawn := 0
	for _, c := range r.Curves {
		p, ok := c.panel()
		if !ok {
			continue
		}
		x := drawn % panelsAcross * (panelLeft + panelWidth + panelGapX)
		y := curvesHeader + drawn/panelsAcross*(panelTop+panelHeight+panelGapY)
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", x+panelLeft, y+panelTop)
		p.draw(&b, c)
		b.WriteString("</g>\n")
		drawn++
	}
	rows := (drawn + panelsAcross - 1) / panelsAcross
	return writeSVG(path, panelsAcross*(panelLeft+panelWidth+panelGapX), curvesHeader+rows*(panelTop+panelHeight+panelGapY),
		"How cost grows at Kubernetes and at Proa", b.String())
}

// panel is where things are in the picture of a curve, in powers of ten.
type panel struct{ left, right, bottom, top float64 }

// panel is as large as the figures of both sides, and false if there are none.
func (c *Curve) panel() (panel, bool) {
	p := panel{math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)}
	for _, side := range []string{Peer, Proa} {
		for _, at := range c.line(side) {
			p.left, p.right = min(p.left, at[0]), max(p.right, at[0])
			p.bottom, p.top = min(p.bottom, at[1]), max(p.top, at[1])
		}
	}
	p.bottom, p.top = math.Floor(p.bottom), math.Ceil(p.top)
	if p.top == p.bottom {
		p.top++
	}
	return p, p.right > p.left
}

// line is the points that a side has, as powers of ten.
func (c *Curve) line(side string) (all [][2]float64) {
	for _, p := range c.Points {
		if s := summarize(p.Samples[side]); s.ok() && s.median > 0 && p.X > 0 {
			all = append(all, [2]float64{math.Log10(p.X), math.Log10(s.median)})
		}
	}
	return all
}

func (p panel) x(power float64) float64 { return (power - p.left) / (p.right - p.left) * panelWidth }
func (p panel) y(power float64) float64 {
	return panelHeight - (power-p.bottom)/(p.top-p.bottom)*panelHeight
}

func (p panel) draw(b *strings.Builder, c *Curve) {
	fmt.Fprintf(b, `<text class="title" x="%d" y="-16">%s<tspan class="faint">, %s</tspan></text>`+"\n", -panelLeft+4, escape(c.Name), escape(c.Unit))
	for power := p.bottom; power <= p.top; power++ {
		fmt.Fprintf(b, `<line class="grid" x1="0" y1="%.0f" x2="%d" y2="%.0f"/><text class="faint" x="-8" y="%.0f" text-anchor="end">%s</text>`,
			p.y(power), panelWidth, p.y(power), p.y(power)+4, round(math.Pow(10, power)))
	}
	for power := math.Ceil(p.left); power <= p.right; power++ {
		fmt.Fprintf(b, `<line class="grid" x1="%.0f" y1="0" x2="%.0f" y2="%d"/><text class="faint" x="%.0f" y="%d" text-anchor="middle">%s</text>`,
			p.x(power), p.x(power), panelHeight, p.x(power), panelHeight+16, round(math.Pow(10, power)))
	}
	fmt.Fprintf(b, `<text class="faint" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", panelWidth/2, panelHeight+32, escape(c.X))
	for _, side := range []string{Peer, Proa} {
		class := strings.ToLower(side)
		var points []string
		for _, at := range c.line(side) {
			points = append(points, fmt.Sprintf("%.1f,%.1f", p.x(at[0]), p.y(at[1])))
			fmt.Fprintf(b, `<circle class="%sdot" cx="%.1f" cy="%.1f" r="3"/>`, class, p.x(at[0]), p.y(at[1]))
		}
		fmt.Fprintf(b, `<polyline class="%s" points="%s"/>`+"\n", class, strings.Join(points, " "))
	}
}

// round is a power of ten in few letters.
func round(x float64) string {
	switch {
	case x >= 1e6:
		return grouped(x/1e6) + " M"
	case x >= 1e4:
		return grouped(x/1e3) + " k"
	case x >= 1:
		return grouped(x)
	}
	return short(x)
}
