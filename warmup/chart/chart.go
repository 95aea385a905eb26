package chart

import (
	"fmt"
	"io"
	"math"
)

// Chart is what is drawn. It is read only, and may be drawn by several goroutines at once.
type Chart struct {
	// Title says what is to be seen. It must be there: it is also what a screen reader says.
	Title string
	// Subtitle says more, in small letters. Defaults to none.
	Subtitle string
	// XLabel and YLabel say what is counted along the axes. Default to none.
	XLabel, YLabel string
	// X names the points, from left to right: "day 1", or "3 March". There must be at least one and at most 5000. Where there is no room for all names, every second
	// stands there, or that of every week or more.
	X []string
	// Lines are the curves. There may be at most 24 together with Stack, which must not both be empty.
	Lines []Line
	// Stack has layers on top of one another, the first at the bottom. It has no meaning with Log. Defaults to none.
	Stack []Layer
	// Marks are what happened at points. Defaults to none.
	Marks []Mark
	// Log makes the y axis logarithmic, for curves from tens to millions. Defaults to an even axis, which has zero on it.
	Log bool
	// Width and Height are in pixels, from 320 and 240 to 4000. The drawing becomes higher where legend and marks would leave too little to the curves. Default to 860
	// and 440.
	Width, Height int
}

// Line is a curve.
type Line struct {
	// Name stands in the legend. It must be there, and no other line or layer may have it.
	Name string
	// Values belong to X by their index, and there must be as many. NaN leaves a gap, and so does 0 with Log. None may be infinite or beyond 1e15 in size, nor negative
	// with Log.
	Values []float64
	// Of names another line, or a layer, whose colour this one has: that which it is the cap of. Defaults to a colour of its own.
	Of string
	// Dashed is for what is not measured or sent: caps, plans, averages. Dashed lines lie behind the others.
	Dashed bool
	// Step keeps a value for the whole of its day, and goes to the next one upright. Defaults to straight lines from point to point.
	Step bool
}

// Layer is one layer of a stack.
type Layer struct {
	// Name stands in the legend. It must be there, and no other line or layer may have it.
	Name string
	// Values are how thick the layer is. They belong to X by their index, and there must be as many. NaN counts as 0. None may be negative, infinite or beyond 1e15.
	Values []float64
}

// Mark is what happened at one point.
type Mark struct {
	// At is the index in X.
	At int
	// Text stands above the line. It should be a few words: one without room is cut, and left out when five others are in the way, but not in the description.
	Text string
}

// What a Chart may have.
const (
	maxPoints = 5000
	maxSeries = 24
	maxValue  = 1e15
	maxSide   = 4000
	minWidth  = 320
	minHeight = 240
	// tiny is what is nothing on a logarithmic axis, and not enough to make an even one.
	tiny = 1e-9
)

// WriteSVG draws the chart into w, with a single Write. An error names the field that cannot be, or is that of w.
func (c Chart) WriteSVG(w io.Writer) error {
	c = c.clean()
	if err := c.validate(); err != nil {
		return err
	}
	_, err := w.Write(newDrawing(c).svg())
	return err
}

// clean is c with texts that can be drawn, and its defaults.
func (c Chart) clean() Chart {
	c.Title, c.Subtitle, c.XLabel, c.YLabel = clean(c.Title), clean(c.Subtitle), clean(c.XLabel), clean(c.YLabel)
	x := make([]string, len(c.X))
	for i := range x {
		x[i] = clean(c.X[i])
	}
	lines := make([]Line, len(c.Lines))
	for i, l := range c.Lines {
		l.Name, l.Of = clean(l.Name), clean(l.Of)
		lines[i] = l
	}
	stack := make([]Layer, len(c.Stack))
	for i, l := range c.Stack {
		l.Name = clean(l.Name)
		stack[i] = l
	}
	marks := make([]Mark, len(c.Marks))
	for i, m := range c.Marks {
		m.Text = clean(m.Text)
		marks[i] = m
	}
	c.X, c.Lines, c.Stack, c.Marks = x, lines, stack, marks
	if c.Width == 0 {
		c.Width = 860
	}
	if c.Height == 0 {
		c.Height = 440
	}
	return c
}

// validate names the field that cannot be.
func (c Chart) validate() error {
	if c.Title == "" {
		return invalid("Title", "is empty")
	}
	if len(c.X) == 0 || len(c.X) > maxPoints {
		return invalid("X", "has %d points, and must have 1 to %d", len(c.X), maxPoints)
	}
	if n := len(c.Lines) + len(c.Stack); n == 0 {
		return invalid("Lines", "is empty, and so is Stack")
	} else if n > maxSeries {
		return invalid("Lines", "has, with Stack, %d curves; no more than %d can be told apart", n, maxSeries)
	}
	if c.Width < minWidth || c.Width > maxSide {
		return invalid("Width", "is %d, and must be %d to %d", c.Width, minWidth, maxSide)
	}
	if c.Height < minHeight || c.Height > maxSide {
		return invalid("Height", "is %d, and must be %d to %d", c.Height, minHeight, maxSide)
	}
	if c.Log && len(c.Stack) > 0 {
		return invalid("Log", "has no meaning for a Stack")
	}
	if err := c.validateStack(); err != nil {
		return err
	}
	if err := c.validateLines(); err != nil {
		return err
	}
	for i, m := range c.Marks {
		if m.At < 0 || m.At >= len(c.X) {
			return invalid(fmt.Sprintf("Marks[%d].At", i), "is %d, and X has %d points", m.At, len(c.X))
		}
	}
	return nil
}

func (c Chart) validateStack() error {
	names := make(map[string]bool)
	for i, l := range c.Stack {
		field := fmt.Sprintf("Stack[%d]", i)
		if err := c.validateSeries(field, l.Name, l.Values, names); err != nil {
			return err
		}
		for j, v := range l.Values {
			if v < 0 {
				return invalid(fmt.Sprintf("%s.Values[%d]", field, j), "is %v: a layer cannot be negative", v)
			}
		}
	}
	return nil
}

func (c Chart) validateLines() error {
	own := make(map[string]bool) // the names of what has a colour of its own
	names := make(map[string]bool)
	for _, l := range c.Stack {
		own[l.Name], names[l.Name] = true, true
	}
	for i, l := range c.Lines {
		field := fmt.Sprintf("Lines[%d]", i)
		if err := c.validateSeries(field, l.Name, l.Values, names); err != nil {
			return err
		}
		if l.Of == "" {
			own[l.Name] = true
		}
		for j, v := range l.Values {
			if c.Log && v < 0 {
				return invalid(fmt.Sprintf("%s.Values[%d]", field, j), "is %v: with Log it cannot be negative", v)
			}
		}
	}
	for i, l := range c.Lines {
		if l.Of != "" && !own[l.Of] {
			return invalid(fmt.Sprintf("Lines[%d].Of", i), "is %q, and no line or layer of that name has a colour of its own", l.Of)
		}
	}
	return nil
}

// validateSeries checks what lines and layers share, and adds the name to names.
func (c Chart) validateSeries(field, name string, values []float64, names map[string]bool) error {
	if name == "" {
		return invalid(field+".Name", "is empty")
	}
	if names[name] {
		return invalid(field+".Name", "is %q, as another one's is", name)
	}
	names[name] = true
	if len(values) != len(c.X) {
		return invalid(field+".Values", "has %d values for %d points of X", len(values), len(c.X))
	}
	for j, v := range values {
		if math.Abs(v) > maxValue {
			return invalid(fmt.Sprintf("%s.Values[%d]", field, j), "is %v, and must not be beyond %v", v, float64(maxValue))
		}
	}
	return nil
}

// invalid says which field of a Chart cannot be, and why.
func invalid(field, format string, args ...any) error {
	return fmt.Errorf("chart: %s: %s", field, fmt.Sprintf(format, args...))
}
