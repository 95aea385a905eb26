package chart

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Distances in pixels.
const (
	pad       = 20  // around everything
	legendRow = 20  // of the legend
	labelRow  = 18  // of the texts of marks
	sample    = 24  // of a curve, in the legend
	minCurves = 140 // the least height for axes and curves
)

// series is a line or a layer with its looks.
type series struct {
	name  string
	color color.NRGBA
	fill  color.Color // of a layer
	dash  []vg.Length
}

// drawing is a chart while it is drawn.
type drawing struct {
	Chart
	canvas *canvas
	plot   *plot.Plot
	series []series // of the layers, then of the lines
	labels []label
}

func newDrawing(c Chart) *drawing {
	d := &drawing{Chart: c, canvas: &canvas{width: float64(c.Width)}, plot: plot.New()}
	d.paint()
	d.axes()
	return d
}

// paint gives each curve its looks.
func (d *drawing) paint() {
	n := 0
	colors := make(map[string]color.NRGBA)
	next := func(name string) (c color.NRGBA, round int) {
		c, round = hex(palette[n%len(palette)]), n/len(palette)
		colors[name] = c
		n++
		return c, round
	}
	for _, l := range d.Stack {
		c, round := next(l.Name)
		d.series = append(d.series, series{name: l.Name, color: c, fill: fade(c, round)})
	}
	first := len(d.series)
	for _, l := range d.Lines {
		s := series{name: l.Name}
		round := 0
		if l.Of == "" {
			s.color, round = next(l.Name)
		}
		if s.dash = whole[round]; l.Dashed {
			s.dash = dashed[round]
		}
		d.series = append(d.series, s)
	}
	for i, l := range d.Lines {
		if l.Of != "" {
			d.series[first+i].color = colors[l.Of]
		}
	}
}

// axes makes the axes.
func (d *drawing) axes() {
	p := d.plot
	p.BackgroundColor = nil
	tick := d.canvas.style(12, faint, false)

	x := &p.X
	x.Min, x.Max = 0, float64(len(d.X)-1)
	if len(d.X) == 1 {
		x.Min, x.Max = -0.5, 0.5
	}
	x.Padding = 0
	x.LineStyle = draw.LineStyle{Color: hex(axis), Width: 1}
	x.Tick.LineStyle, x.Tick.Length = x.LineStyle, 5
	x.Tick.Label = tick
	x.Tick.Label.XAlign, x.Tick.Label.YAlign = text.XCenter, text.YTop
	x.Label.Text, x.Label.Padding = fit(d.XLabel, tick, float64(d.Width)-100), 4
	x.Label.TextStyle = tick
	x.Label.TextStyle.XAlign, x.Label.TextStyle.YAlign = text.XCenter, text.YBottom

	y := &p.Y
	var ticks []plot.Tick
	y.Min, y.Max, ticks = d.yAxis()
	y.Tick.Marker = plot.ConstantTicks(ticks)
	if d.Log {
		y.Scale = plot.LogScale{}
	}
	y.Padding = 4
	y.LineStyle.Width, y.Tick.LineStyle.Width, y.Tick.Length = 0, 0, 0
	y.Tick.Label = tick
	y.Tick.Label.XAlign, y.Tick.Label.YAlign = text.XRight, text.YCenter
	y.Label.TextStyle = tick // it has no text: yLabel draws it

	// The names of points, as many as there is room for.
	names := make([]string, len(d.X))
	widest := 0.0
	for i, name := range d.X {
		names[i] = fit(name, tick, 140)
		widest = max(widest, float64(tick.Width(names[i])))
	}
	room := (float64(d.Width) - 2*pad - 60) / (widest + 14)
	step := every(len(names), max(int(room), 1))
	var points []plot.Tick
	for i := range names {
		t := plot.Tick{Value: float64(i)}
		if i%step == 0 {
			t.Label = names[i]
		} else if len(names) > 120 {
			continue
		}
		points = append(points, t)
	}
	x.Tick.Marker = plot.ConstantTicks(points)
}

// svg draws everything, from top to bottom.
func (d *drawing) svg() []byte {
	c := d.canvas
	inner := c.width - 2*pad
	titleStyle, subtitleStyle := c.style(17, ink, true), c.style(13, faint, false)
	title := wrap(d.Title, titleStyle, inner, 2)
	subtitle := wrap(d.Subtitle, subtitleStyle, inner, 3)

	y := float64(pad) - 4
	for _, s := range title {
		y += 22
		c.text(pad, y-4, titleStyle, s)
	}
	for _, s := range subtitle {
		y += 18
		c.text(pad, y-3, subtitleStyle, s)
	}
	y = d.legend(y + 8)
	top := y + 10
	top += float64(d.placeMarks() * labelRow)
	// Above the curves is the upper half of the topmost tick's name.
	c.height = max(float64(d.Height), top+minCurves+pad)
	area := d.area(c.height - top)

	d.plot.Add(plotting(d.yLabel), plotting(d.grid), plotting(d.stack), plotting(d.marks), plotting(d.lines))
	d.plot.Draw(area)
	return c.document(d.Title, d.description())
}

// area is where axes and curves are drawn.
func (d *drawing) area(height float64) draw.Canvas {
	left := vg.Length(pad - 4)
	if d.YLabel != "" {
		left += 20
	}
	return draw.Canvas{Canvas: d.canvas, Rectangle: vg.Rectangle{
		Min: vg.Point{X: left, Y: pad - 6},
		Max: vg.Point{X: vg.Length(d.canvas.width) - pad, Y: vg.Length(height)},
	}}
}

// legend draws the legend from y down, and says where it ends.
func (d *drawing) legend(y float64) float64 {
	c := d.canvas
	style := c.style(13, ink, false)
	right := c.width - pad
	x := float64(pad)
	for _, s := range d.series {
		name := fit(s.name, style, min(right-pad-sample-6, 320))
		width := sample + 6 + float64(style.Width(name))
		if x > pad && x+width > right {
			x, y = pad, y+legendRow
		}
		middle := y + legendRow/2
		if s.fill != nil {
			c.box(x, middle-6, sample, 12, s.fill)
			c.SetLineWidth(1.25)
			c.SetLineDash(nil, 0)
			c.SetColor(s.color)
			c.line(x, middle-6, x+sample, middle-6)
		} else {
			c.SetLineWidth(2.25)
			c.SetLineDash(s.dash, 0)
			c.SetColor(s.color)
			c.line(x, middle, x+sample, middle)
		}
		c.text(x+sample+6, middle+4.5, style, name)
		x += width + 18
	}
	return y + legendRow
}

// placeMarks finds the places of the texts of marks, and says how many rows they take.
func (d *drawing) placeMarks() (rows int) {
	style := d.canvas.style(12, ink, false)
	// How high the area is makes no difference to where a point is from left to right.
	area := d.plot.DataCanvas(d.area(float64(d.Height)))
	d.labels = make([]label, len(d.Marks))
	for i, m := range d.Marks {
		l := label{x: float64(area.X(d.plot.X.Norm(float64(m.At)))), text: fit(m.Text, style, d.canvas.width/2.5)}
		l.right = float64(style.Width(l.text)) + 5
		d.labels[i] = l
	}
	return place(d.labels, d.canvas.width-pad/2)
}

// plotting makes a plot.Plotter of a method that draws curves.
type plotting func(draw.Canvas)

func (f plotting) Plot(area draw.Canvas, _ *plot.Plot) { f(area) }

// yLabel draws what is counted upwards, beside the middle of the axis. gonum's own label makes room as if a logarithmic axis were an even one.
func (d *drawing) yLabel(area draw.Canvas) {
	s := d.YLabel
	if s == "" {
		return
	}
	if d.Log {
		s += " (logarithmic)"
	}
	style := d.canvas.style(12, faint, false)
	style.XAlign, style.Rotation = text.XCenter, math.Pi/2
	s = fit(s, style, float64(area.Size().Y)+2*pad)
	d.canvas.text(pad+8, d.canvas.height-float64(area.Center().Y), style, s)
}

// grid draws a line for each name of the y axis.
func (d *drawing) grid(area draw.Canvas) {
	g := &plotter.Grid{Horizontal: draw.LineStyle{Color: hex(grid), Width: 1}}
	g.Plot(area, d.plot)
}

// marks draws the marks.
func (d *drawing) marks(area draw.Canvas) {
	c := d.canvas
	style := c.style(12, ink, false)
	bottom, top := c.height-float64(area.Min.Y), c.height-float64(area.Max.Y)
	base := func(row int) float64 { return top - 8 - float64(row*labelRow) } // the lower edge of a row
	for i, l := range d.labels {
		end := top
		if l.row >= 0 {
			end = base(l.row) - 12
			for _, other := range d.labels {
				if other.x == l.x && 0 <= other.row && other.row < l.row && other.left < l.x-1 {
					end = base(other.row) + 2 // not through the text of another one on the same point
				}
			}
			if l.left < l.x-1 {
				end = base(l.row) + 2
			}
		}
		c.open(d.X[d.Marks[i].At] + ": " + d.Marks[i].Text)
		c.SetLineWidth(1)
		c.SetLineDash([]vg.Length{3, 3}, 0)
		c.SetColor(hex(faint))
		c.line(l.x, bottom, l.x, end)
		if l.row >= 0 {
			c.text(l.left+5, base(l.row)-2, style, l.text)
		}
		c.close()
	}
}
