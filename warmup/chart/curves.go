package chart

import (
	"math"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// stack draws the layers.
func (d *drawing) stack(area draw.Canvas) {
	below := make([]float64, len(d.X))
	for i, top := range d.tops() {
		upper, lower := d.points(top), d.points(below)
		ring := append(plotter.XYs(nil), upper...)
		for j := len(lower) - 1; j >= 0; j-- {
			ring = append(ring, lower[j])
		}
		s := d.series[i]
		d.canvas.open(s.name)
		(&plotter.Polygon{XYs: []plotter.XYs{ring}, Color: s.fill}).Plot(area, d.plot)
		(&plotter.Line{XYs: upper, LineStyle: draw.LineStyle{Color: s.color, Width: 1.25}}).Plot(area, d.plot)
		d.canvas.close()
		below = top
	}
}

// points are values at their points. A single one is as wide as the chart.
func (d *drawing) points(values []float64) plotter.XYs {
	if len(values) == 1 {
		return plotter.XYs{{X: -0.5, Y: values[0]}, {X: 0.5, Y: values[0]}}
	}
	xys := make(plotter.XYs, len(values))
	for i, v := range values {
		xys[i] = plotter.XY{X: float64(i), Y: v}
	}
	return xys
}

// lines draws the lines: first the dashed ones, so that a cap lies behind what has reached it.
func (d *drawing) lines(area draw.Canvas) {
	for _, dashes := range []bool{true, false} {
		for i, l := range d.Lines {
			if l.Dashed == dashes {
				d.canvas.open(l.Name)
				d.line(area, l, d.series[len(d.Stack)+i])
				d.canvas.close()
			}
		}
	}
}

// line draws a line in as many pieces as gaps make of it. A piece of one point is a dot.
func (d *drawing) line(area draw.Canvas, l Line, s series) {
	line := plotter.Line{LineStyle: draw.LineStyle{Color: s.color, Width: 2.25, Dashes: s.dash}}
	if l.Step {
		line.StepStyle = plotter.MidStep
	}
	var piece plotter.XYs
	flush := func() {
		if len(piece) == 1 {
			x, y := d.plot.Transforms(&area)
			d.canvas.dot(float64(x(piece[0].X)), d.canvas.height-float64(y(piece[0].Y)), 3.5, s.color)
		} else if len(piece) > 1 {
			line.XYs = piece
			line.Plot(area, d.plot)
		}
		piece = nil
	}
	for _, p := range d.points(l.Values) {
		if math.IsNaN(p.Y) || d.Log && p.Y < tiny {
			flush()
		} else {
			piece = append(piece, p)
		}
	}
	flush()
}
