package report

import (
	"fmt"
	"os"
	"strings"
)

// The picture of ratios, in pixels: columns of names, ratios, bars and figures.
const (
	namesEnd    = 470
	ratiosEnd   = 530
	barsBegin   = 540
	perTimes    = 9.0  // of a bar for one time
	mostTimes   = 30.0 // longer bars are cut
	barsEnd     = barsBegin + mostTimes*perTimes
	figures     = barsEnd + 24
	pictureEnd  = figures + 190
	rowHeight   = 25
	barHeight   = 13
	groupHeight = 34
	footer      = 26
)

// style follows the reader's preference. Colours keep their contrast on the pages of both.
const style = `<style>
text{font:13px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.title,.ratio{font-weight:600}
.faint{fill:#59636e;font-size:12px}
.bar{fill:#1a7f64}
.aim{stroke:#cf222e;stroke-dasharray:4 3}
.grid{stroke:#d1d9e0}
.peer{stroke:#8250df;fill:none;stroke-width:2}
.proa{stroke:#1a7f64;fill:none;stroke-width:2}
.peerdot{fill:#8250df}
.proadot{fill:#1a7f64}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}
.faint{fill:#9198a1}
.bar,.proadot{fill:#3fb594}
.aim{stroke:#ff7b72}
.grid{stroke:#3d444d}
.peer{stroke:#ab7df8}
.proa{stroke:#3fb594}
.peerdot{fill:#ab7df8}
}
</style>
`

// DrawRatios draws how many times less Proa needs, a bar for each row that both sides have finished.
func (r *Report) DrawRatios(path string) error {
	var b strings.Builder
	y, group := 0, ""
	for _, row := range r.Rows {
		peer, proa := summarize(row.Samples[Peer]), summarize(row.Samples[Proa])
		less := ratio(peer, proa)
		if less == 0 {
			continue
		}
		if row.Group != group {
			group = row.Group
			fmt.Fprintf(&b, `<text class="title" x="0" y="%d">%s</text>`+"\n", y+23, escape(group))
			y += groupHeight
		}
		unit, per := scale(row.Unit, peer.median)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><text class="ratio" x="%d" y="%d" text-anchor="end">%s×</text>`,
			namesEnd, y+17, escape(row.Name), ratiosEnd, y+17, times(less))
		fmt.Fprintf(&b, `<rect class="bar" x="%d" y="%d" width="%.0f" height="%d" rx="2"/>%s<text class="faint" x="%.0f" y="%d">%s → %s %s</text>`+"\n",
			barsBegin, y+6, min(less, mostTimes)*perTimes, barHeight, cut(less, y+17),
			figures, y+17, short(peer.median/per), short(proa.median/per), escape(unit))
		y += rowHeight
	}
	aim := barsBegin + 10*perTimes
	fmt.Fprintf(&b, `<line class="aim" x1="%.0f" y1="6" x2="%.0f" y2="%d"/><text class="faint" x="%.0f" y="%d" text-anchor="middle">a tenth</text>`+"\n",
		aim, aim, y+4, aim, y+18)
	return writeSVG(path, int(pictureEnd), y+footer, "How many times less Proa needs than Kubernetes", b.String())
}

// cut says that a bar goes on.
func cut(ratio float64, y int) string {
	if ratio <= mostTimes {
		return ""
	}
	return fmt.Sprintf(`<text class="faint" x="%.0f" y="%d">»</text>`, barsEnd+4, y)
}

func writeSVG(path string, width, height int, title, body string) error {
	return os.WriteFile(path, fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img"><title>%s</title>`+"\n%s%s</svg>\n",
		width, height, escape(title), style, body), 0o644)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
